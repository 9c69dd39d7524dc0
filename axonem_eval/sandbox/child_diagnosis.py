"""The diagnosis that a confined child makes; in its own module, because sampling needs none of its imports."""

import json
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from axonem_eval.diagnosis import diagnose, diagnosis_json
from axonem_eval.progress import StageProgress
from axonem_eval.skeletonize import read_labels, skeletonize_labels, skeletonize_share
from axonem_eval.skeletons import export_precomputed
from axonem_eval.submission_rule import FileRule
from axonem_eval.volumes import ReadOptions, open_labels, write_precomputed

# Shorter skeletons are not shown in the viewer, where each is a file.
VIEW_LEAST_UM = 0.5


def rehearse() -> None:
    """Diagnose tiny volumes before this process is confined: kernels are compiled into the cache, and some libraries
    open files when they are first used."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        for dtype in (np.uint8, np.uint16, np.uint32, np.uint64):
            labels = np.zeros((8, 8, 40), dtype)
            labels[2:6, 2:6] = 1
            path = Path(folder) / f"{np.dtype(dtype).name}.h5"
            with h5py.File(path, "w") as file:
                file["main"] = labels
            diagnose(skeletonize_labels(path, (30.0, 30.0, 15.0)))


def read_for_shares(request: dict[str, Any], on_progress: StageProgress) -> None:
    """Read the labels into the folder ``shared``, so that other children can trace them in shares."""
    read_labels(
        request["path"],
        tuple(request["voxel_size_nm_zyx"]),
        request["shared"],
        ReadOptions(_rule(request)),
        on_progress,
    )


def trace_share(request: dict[str, Any], _: StageProgress) -> None:
    """Trace one share of the labels of the folder ``shared``."""
    skeletonize_share(request["shared"], request["share"], request["of"])


def write_diagnosis(request: dict[str, Any], on_progress: StageProgress) -> None:
    """Write skeletons, diagnosis and the files for the viewer into the folder ``out``."""
    size, out, rule = tuple(request["voxel_size_nm_zyx"]), Path("out"), _rule(request)
    skeletons = skeletonize_labels(
        request["path"], size, reading=ReadOptions(rule), work_dir=request["shared"] or "work", on_progress=on_progress
    )
    out.mkdir()
    skeletons.save(out / "skeletons.npz")
    if request["view"]:
        export_precomputed(skeletons.longer_than(VIEW_LEAST_UM), out / "view" / "skeletons")
        with open_labels(request["path"], rule.dataset or None, axes=rule.axes) as volume:
            progress = partial(on_progress, "view")
            write_precomputed(volume, out / "view", size, skeletons="skeletons", on_progress=progress)
    (out / "diagnosis.json").write_text(json.dumps(diagnosis_json(diagnose(skeletons))))


def _rule(request: dict[str, Any]) -> FileRule:
    rule = FileRule.of_json(request["rule"])
    # The name is that of the storage, and an archive was unpacked before.
    return replace(rule, dataset=request["dataset"] or rule.dataset, file_name="", zipped=False)


STEPS = {"read": read_for_shares, "trace": trace_share, "diagnose": write_diagnosis}
