"""Skeletons small enough to score by hand: chains of nodes 1,000 nm apart."""

from collections.abc import Sequence

import numpy as np

from axonem_eval import NodeSample, SkeletonGraph
from axonem_eval.scoring import OverlapTable

STEP_NM = 1000.0


def chains(*n_nodes: int, step_nm: float = STEP_NM) -> SkeletonGraph:
    """One unbranched skeleton for each number of nodes, along x, at y = 0, 1, 2, ...; ids 1, 2, 3, ..."""
    skeleton = np.repeat(np.arange(len(n_nodes), dtype=np.int32), n_nodes)
    x = np.concatenate([np.arange(n, dtype=np.int32) for n in n_nodes]) if n_nodes else np.empty(0, np.int32)
    node = np.arange(len(skeleton), dtype=np.int32)
    edge_u = node[:-1][skeleton[:-1] == skeleton[1:]]
    return SkeletonGraph(
        skeleton_id=np.arange(1, len(n_nodes) + 1, dtype=np.uint64),
        node_skeleton=skeleton,
        node_voxel_zyx=np.stack([np.zeros_like(x), skeleton, x], axis=1),
        edge_u=edge_u,
        edge_v=edge_u + np.int32(1),
        edge_length_nm=np.full(len(edge_u), step_nm),
        shape_zyx=(1, max(1, len(n_nodes)), max(n_nodes, default=1)),
        voxel_size_nm_zyx=(step_nm, step_nm, step_nm),
    )


def u64(*labels: int) -> np.ndarray:
    """Node labels, exact."""
    return np.array(labels, np.uint64)


def masked(labels: Sequence[int], mask_voxels: dict[int, int]) -> NodeSample:
    """A sample whose segments cover so many voxels of the no-merge mask."""
    return NodeSample(
        u64(*labels), np.array(list(mask_voxels), np.uint64), np.array(list(mask_voxels.values()), np.int64)
    )


def table(*rows: tuple[int, int, int]) -> OverlapTable:
    """From (truth, segment, voxels)."""
    truth, segment, voxels = zip(*rows, strict=True)
    return OverlapTable(np.array(truth, np.uint64), np.array(segment, np.uint64), np.array(voxels, np.int64))
