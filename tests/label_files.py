"""Small label files and skeletons for the tests of the scorer."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from axonem_eval import SkeletonGraph

VOXEL_NM = (30.0, 8.0, 8.0)
SHAPE = (12, 24, 20)


def two_axons(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """(z,y,x) uint64: axon 1 along x at y < half, axon 2 at y >= half, a background plane between."""
    labels = np.zeros(shape, np.uint64)
    half = shape[1] // 2
    labels[:, : half - 1] = 1
    labels[:, half + 1 :] = 2
    return labels


def write_h5(path: Path, labels: np.ndarray, dataset: str = "main", **attributes: Any) -> Path:
    """One chunked, compressed dataset; attributes are set on it."""
    with h5py.File(path, "w") as file:
        chunks = tuple(min(8, n) for n in labels.shape) if labels.size else None
        data = file.create_dataset(dataset, data=labels, chunks=chunks, compression="gzip" if chunks else None)
        data.attrs.update(attributes)
    return path


def straight_graph(shape: tuple[int, int, int] = SHAPE) -> SkeletonGraph:
    """Two skeletons along x, one in each axon of ``two_axons``; nodes 8 nm apart."""
    n = shape[2]
    x = np.arange(n, dtype=np.int32)
    rows = [np.stack([np.full(n, shape[0] // 2), np.full(n, y), x], axis=1) for y in (shape[1] // 4, 3 * shape[1] // 4)]
    u = np.concatenate([np.arange(n - 1), np.arange(n - 1) + n]).astype(np.int32)
    return SkeletonGraph(
        skeleton_id=np.array([1, 2], np.uint64),
        node_skeleton=np.repeat(np.array([0, 1], np.int32), n),
        node_voxel_zyx=np.concatenate(rows).astype(np.int32),
        edge_u=u,
        edge_v=u + 1,
        edge_length_nm=np.full(len(u), 8.0),
        shape_zyx=shape,
        voxel_size_nm_zyx=VOXEL_NM,
    )
