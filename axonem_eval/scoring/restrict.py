"""Skeletons and labels as a variant wants them: cut to a region, pieces as skeletons, background numbered."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.sampling import NodeSample
from axonem_eval.scoring.variant import ScoringVariant
from axonem_eval.skeletons import SkeletonGraph, connected_pieces
from axonem_eval.spec import Region


def restrict(graph: SkeletonGraph, sample: NodeSample, variant: ScoringVariant) -> tuple[SkeletonGraph, NodeSample]:
    """The skeletons and the labels at their nodes that a variant scores; both unchanged where it changes neither.

    Raises InputError for a sample of other nodes, and where no node lies in the region.
    """
    graph, sample = cut(graph, sample, variant)
    if variant.background_nodes_are_segments:
        sample = replace(sample, node_segment=number_background(graph.node_voxel_zyx, sample.node_segment))
    return graph, sample


def cut(graph: SkeletonGraph, sample: NodeSample, variant: ScoringVariant) -> tuple[SkeletonGraph, NodeSample]:
    """Only the first step of ``restrict``: background keeps its label 0."""
    require_same_nodes(graph, sample)
    if not variant.cut_to_region:
        return graph, sample
    graph, kept = cut_to_region(graph, variant.region)
    return graph, replace(sample, node_segment=sample.node_segment[kept])


def require_same_nodes(graph: SkeletonGraph, sample: NodeSample) -> None:
    """Raises InputError where a sample was made with other ground truth."""
    if len(sample.node_segment) != graph.n_nodes:
        raise InputError.of(
            "other_nodes",
            f"the sample has {len(sample.node_segment):,} node labels, the ground truth {graph.n_nodes:,} nodes; "
            "sample the segmentation again with this ground truth",
        )


def cut_to_region(graph: SkeletonGraph, region: Region | None) -> tuple[SkeletonGraph, NDArray[np.intp]]:
    """Drop the nodes outside of a region, with their edges; each connected piece becomes a skeleton.

    Pieces are numbered from 1, in the order of their first nodes. Returns also the indices of the nodes that are kept.
    Raises InputError where none is left.
    """
    keep: NDArray[np.bool_] = np.ones(graph.n_nodes, bool)
    if region is not None:
        inside = (graph.node_voxel_zyx >= region.start_zyx) & (graph.node_voxel_zyx < region.stop_zyx)
        keep = np.asarray(inside.all(axis=1))
    if not keep.any():
        raise InputError.of(
            "nothing_in_region",
            f"none of {graph.n_nodes:,} ground-truth nodes lies in the region that is scored; give the region in "
            "voxels (z, y, x) of the volume that the ground truth was made for",
        )
    cut = graph.part(keep)
    piece = connected_pieces(cut.n_nodes, cut.edge_u, cut.edge_v)
    ids = np.arange(1, int(piece.max()) + 2, dtype=np.uint64)
    return replace(cut, skeleton_id=ids, node_skeleton=piece, volume_um3=None), np.flatnonzero(keep)


def number_background(node_voxel_zyx: NDArray[np.int32], segment: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Labels with an unused id for each voxel of background that holds a node."""
    background = np.flatnonzero(segment == 0)
    if not len(background):
        return segment
    _, voxel = np.unique(node_voxel_zyx[background], axis=0, return_inverse=True)
    n_voxels = int(voxel.max()) + 1
    used = np.unique(segment)
    free = np.setdiff1d(np.arange(1, n_voxels + len(used) + 1, dtype=np.uint64), used)
    numbered = segment.copy()
    numbered[background] = free[voxel.reshape(-1)]
    return numbered
