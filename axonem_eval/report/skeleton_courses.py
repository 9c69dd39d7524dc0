"""Courses of skeletons through their volume, coarse enough for a page to draw."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.skeletons import SkeletonGraph

# Nodes closer together than this part of the volume's diagonal become one: they lie on one pixel.
PART_OF_DIAGONAL = 1 / 500
MOST_NODES = 20_000


def skeleton_courses(graph: SkeletonGraph, skeletons: Sequence[int], most_nodes: int = MOST_NODES) -> dict[str, Any]:
    """Some skeletons in their volume, as plain data in whole nm.

    Nodes of one cell of a grid become one node, so that all courses together have about ``most_nodes`` at most.
    skeletons : their places in ``graph.skeleton_id``.
    Returns ``box_nm``, the extent of the volume z, y, x, and ``courses``: for each skeleton ``nodes``, rows of z, y, x
    and radius (0 where it is not measured), and ``edges``, rows of two places in ``nodes``.
    """
    box_nm = np.asarray(graph.shape_zyx) * np.asarray(graph.voxel_size_nm_zyx)
    cable_nm = float(graph.skeleton_length_nm[list(skeletons)].sum())
    cell_nm = max(float(np.linalg.norm(box_nm)) * PART_OF_DIAGONAL, cable_nm / most_nodes)
    return {"box_nm": np.rint(box_nm).tolist(), "courses": [_course(graph, i, cell_nm) for i in skeletons]}


def _course(graph: SkeletonGraph, skeleton: int, cell_nm: float) -> dict[str, list[list[int]]]:
    node = np.flatnonzero(graph.node_skeleton == skeleton)
    position = graph.centre_nm_zyx(node)
    radius = np.zeros(len(node)) if graph.node_radius_nm is None else graph.node_radius_nm[node]
    cell = np.floor(position / cell_nm).astype(np.int64)
    _, place, count = np.unique(cell, axis=0, return_inverse=True, return_counts=True)
    place = place.reshape(-1)
    columns = np.column_stack([position, radius])
    means = np.column_stack([np.bincount(place, weights=column) / count for column in columns.T])
    edge = np.flatnonzero(graph.edge_skeleton == skeleton)
    ends: NDArray[np.int64] = place[np.searchsorted(node, np.stack([graph.edge_u[edge], graph.edge_v[edge]], axis=1))]
    ends = np.unique(np.sort(ends[ends[:, 0] != ends[:, 1]], axis=1), axis=0)
    return {"nodes": np.rint(means).astype(np.int64).tolist(), "edges": ends.tolist()}
