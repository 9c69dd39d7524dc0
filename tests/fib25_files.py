"""FIB-25 training sample 2 (250-cube, 10 nm) from its published files to what the scorer reads."""

import gzip
import io
from pathlib import Path

import h5py
import numpy as np

from axonem_eval import SkeletonGraph

VOXEL_NM = (10.0, 10.0, 10.0)
LEAST_SECTIONS = 40


def write_fib25(source: Path, folder: Path) -> Path:
    """Labels, skeletons gt.npz as `axonem-eval skeletonize` makes them, and mask.h5 (1 on bodies without skeleton)."""
    from axonem_eval.skeletonize import skeletonize_labels

    truth = write_labels(source, folder)
    graph = skeletonize_labels(folder / "gt.h5", VOXEL_NM)
    graph.save(folder / "gt.npz")
    _write(folder / "mask.h5", (~np.isin(truth, graph.skeleton_id)).astype(np.uint8))
    return folder


def write_fib25_lines(source: Path, folder: Path) -> Path:
    """Labels, ``centre_lines`` as lines.npz, and lines_mask.h5 (1 on bodies without one)."""
    truth = write_labels(source, folder)
    graph = centre_lines(truth)
    graph.save(folder / "lines.npz")
    _write(folder / "lines_mask.h5", (~np.isin(truth, graph.skeleton_id)).astype(np.uint8))
    return folder


def write_labels(source: Path, folder: Path) -> np.ndarray:
    """Write gt.h5, ffn.h5 and overseg.h5; returns the ground truth's labels."""
    with h5py.File(_unpacked(source / "groundtruth.h5.gz"), "r") as file:
        body_of = np.zeros(int(file["transforms"][:, 0].max()) + 1, np.uint32)
        body_of[file["transforms"][:, 0]] = file["transforms"][:, 1]
        truth = body_of[file["stack"][:]]
    with h5py.File(_unpacked(source / "oversegmented_stack_labels.h5.gz"), "r") as file:
        oversegmentation = file["stack"][:].astype(np.uint32)
    with np.load(source / "ffn_published_segmentation.npz") as file:
        ffn = file["segmentation"]
    for name, labels in (("gt", truth), ("overseg", oversegmentation), ("ffn", ffn)):
        _write(folder / f"{name}.h5", labels)
    return truth


def centre_lines(labels: np.ndarray) -> SkeletonGraph:
    """Each body of LEAST_SECTIONS or more as a chain of one node a section: its voxel nearest to its centroid there.

    Plain arithmetic on integers, so that recorded scores hold whatever becomes of the skeletonizer.
    """
    n_ids = int(labels.max()) + 1
    place_y, place_x = np.indices(labels.shape[1:], np.int64).reshape(2, -1)
    found = []
    for z, section in enumerate(labels.reshape(len(labels), -1)):
        size = np.bincount(section, minlength=n_ids)
        off = np.zeros(section.size, np.int64)
        for place in (place_y, place_x):
            total = np.bincount(section, weights=place, minlength=n_ids).astype(np.int64)
            off += (place * size[section] - total[section]) ** 2
        least = np.full(n_ids, np.iinfo(np.int64).max)
        np.minimum.at(least, section, off)
        nearest = np.flatnonzero(off == least[section])
        here, first = np.unique(section[nearest], return_index=True)
        voxel = nearest[first]
        found.append(np.stack([here, np.full(len(here), z), place_y[voxel], place_x[voxel]], axis=1))
    node = np.concatenate(found)
    node = node[np.argsort(node[:, 0], kind="stable")]
    sections = np.bincount(node[:, 0])
    node = node[(sections[node[:, 0]] >= LEAST_SECTIONS) & (node[:, 0] > 0)]
    body, skeleton = np.unique(node[:, 0], return_inverse=True)
    edge_u = np.flatnonzero(skeleton[:-1] == skeleton[1:]).astype(np.int32)
    step = node[edge_u + 1, 1:] - node[edge_u, 1:]
    return SkeletonGraph(
        skeleton_id=body.astype(np.uint64),
        node_skeleton=skeleton.astype(np.int32),
        node_voxel_zyx=node[:, 1:].astype(np.int32),
        edge_u=edge_u,
        edge_v=edge_u + np.int32(1),
        edge_length_nm=10.0 * np.sqrt((step**2).sum(axis=1)),
        shape_zyx=labels.shape,
        voxel_size_nm_zyx=VOXEL_NM,
    )


def _unpacked(path: Path) -> io.BytesIO:
    with gzip.open(path) as file:
        return io.BytesIO(file.read())


def _write(path: Path, labels: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        data = file.create_dataset("main", data=labels, chunks=(64, 64, 64), compression="gzip")
        data.attrs["voxel_size_nm"] = VOXEL_NM
