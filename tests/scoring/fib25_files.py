"""FIB-25 training sample 2 (250-cube, 10 nm) from its published files to what the scorer reads."""

import gzip
import io
from pathlib import Path

import h5py
import numpy as np

from axonem_eval.skeletonize import skeletonize_labels

VOXEL_NM = (10.0, 10.0, 10.0)


def write_fib25(source: Path, folder: Path) -> Path:
    """Write gt.h5, ffn.h5, overseg.h5, mask.h5 and gt.npz (163 skeletons at 30 nm) to ``folder``; seconds."""
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
    graph = skeletonize_labels(folder / "gt.h5", VOXEL_NM)
    graph.save(folder / "gt.npz")
    _write(folder / "mask.h5", (~np.isin(truth, graph.skeleton_id)).astype(np.uint8))
    return folder


def _unpacked(path: Path) -> io.BytesIO:
    with gzip.open(path) as file:
        return io.BytesIO(file.read())


def _write(path: Path, labels: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        data = file.create_dataset("main", data=labels, chunks=(64, 64, 64), compression="gzip")
        data.attrs["voxel_size_nm"] = VOXEL_NM
