"""Rand index and variation of information over the nodes of the skeletons, and how many nodes lie on background."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.sampling import NodeSample, index_pairs
from axonem_eval.scoring.overlap import Overlap
from axonem_eval.scoring.restrict import cut, number_background
from axonem_eval.scoring.variant import AXONEM, ScoringVariant
from axonem_eval.skeletons import SkeletonGraph


@dataclass(frozen=True)
class NodeScores:
    """Agreement of the segments with the skeletons, node by node (docs/metric.md, "Over the nodes").

    rand_split, rand_merge : 0 to 1, higher is better.   voi_split, voi_merge : bits, lower is better.
    counted : nodes that were counted, or voxels where the variant counts voxels.
    nodes_on_background, nodes_on_background_share : of all nodes of the scored skeletons.
    """

    rand_split: float
    rand_merge: float
    voi_split: float
    voi_merge: float
    counted: int
    nodes_on_background: int
    nodes_on_background_share: float

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        return [
            f"over nodes       Rand {self.rand_split:.4f} split, {self.rand_merge:.4f} merge; VOI {self.voi_split:.4f} "
            f"split, {self.voi_merge:.4f} merge (bits)",
            f"on background    {self.nodes_on_background:,} nodes, {100 * self.nodes_on_background_share:.2f}%",
        ]


def node_scores(graph: SkeletonGraph, sample: NodeSample, variant: ScoringVariant = AXONEM) -> NodeScores:
    """Rand and VOI between skeletons and segments over the nodes.

    Background is one segment, unless the variant numbers it. With ``count_voxels`` the skeletons of a voxel are
    replaced by the last of them, and the first skeleton is left out; where nothing else is left, all four are 0 or 1 as
    for a perfect result.
    Raises InputError for a sample of other nodes, and where no node lies in the variant's region.
    """
    graph, sample = cut(graph, sample, variant)
    skeleton, segment = graph.node_skeleton, sample.node_segment
    on_background = int((segment == 0).sum())
    share = on_background / max(1, graph.n_nodes)
    if variant.background_nodes_are_segments:
        segment = number_background(graph.node_voxel_zyx, segment)
    if variant.count_voxels:
        skeleton, segment = _last_in_each_voxel(graph.node_voxel_zyx, skeleton, segment)
    skeletons, segments, pair = index_pairs(skeleton, segment)
    if not len(skeletons):
        return NodeScores(1.0, 1.0, 0.0, 0.0, 0, on_background, share)
    overlap = Overlap.of(skeletons, segments, np.bincount(pair, minlength=len(skeletons)))
    return NodeScores(
        rand_split=overlap.rand_split,
        rand_merge=overlap.rand_merge,
        voi_split=overlap.voi_split,
        voi_merge=overlap.voi_merge,
        counted=len(skeleton),
        nodes_on_background=on_background,
        nodes_on_background_share=share,
    )


def _last_in_each_voxel(
    node_voxel_zyx: NDArray[np.int32], skeleton: NDArray[np.int32], segment: NDArray[np.uint64]
) -> tuple[NDArray[np.int32], NDArray[np.uint64]]:
    """Skeleton and segment of each voxel that holds a node, as if skeletons were drawn into a volume one by one.

    The first skeleton is drawn with 0, and so is not counted.
    """
    order = np.lexsort((skeleton, *node_voxel_zyx.T))
    voxel = node_voxel_zyx[order]
    last = np.append((voxel[1:] != voxel[:-1]).any(axis=1), True)[: len(order)]
    drawn = order[last]
    drawn = drawn[skeleton[drawn] > 0]
    return skeleton[drawn], segment[drawn]
