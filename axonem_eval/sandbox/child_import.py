"""Skeletons of any known kind out of a file; the part of their import that a confined child does."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from axonem_eval.files import read_npz
from axonem_eval.sandbox.child_pickle import write_graph
from axonem_eval.skeletons import ForeignGraph, ImportOptions, SkeletonGraph, import_any
from axonem_eval.spec import VolumeSpec


def write_skeletons(request: dict[str, Any], out: str) -> None:
    """Import the skeletons of a file and write their bundle. Raises InputError where it holds none."""
    spec = VolumeSpec(tuple(request["shape_zyx"]), tuple(request["voxel_size_nm_zyx"]))
    graph = import_any(
        request["path"],
        spec,
        ImportOptions(**request["options"]),
        unpickle=partial(_unpickle, Path(out).with_suffix(".arrays.npz")),
        drop_outside=request["drop_outside"],
        min_length_um=request["min_length_um"],
    )
    graph.save(out)


def _unpickle(arrays: Path, path: Path) -> ForeignGraph:
    write_graph(str(path), str(arrays))
    return ForeignGraph.of_arrays(read_npz(arrays), path.name)


def rehearse(folder: Path) -> None:
    """Write and read skeletons before this process is confined, so that all that is imported on the way is imported."""
    one = np.zeros(1, np.int32)
    none = np.empty(0, np.int32)
    graph = SkeletonGraph(
        np.ones(1, np.uint64), one, np.zeros((1, 3), np.int32), none, none, np.empty(0), (1, 1, 1), (1.0, 1.0, 1.0)
    )
    path = folder / "rehearsal.npz"
    graph.save(path)
    SkeletonGraph.load(path).longer_than(0.0)
    path.unlink()
