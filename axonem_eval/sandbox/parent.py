"""Open an untrusted file in a child process that can only read it and knows nothing else.

HDF5 and a dozen codecs written in C open a segmentation, and a crafted file may take them over. So a child opens,
checks and decodes it. This process, which holds the nodes and masks of the ground truth, looks labels up. The child has

- no environment, no inherited files but its pipes, and a working directory of its own that is removed afterwards;
- Landlock rules (Linux 5.13 on): it reads the upload and the Python installation and writes nothing (a diagnosis: only
  into its working directory); no TCP, and from Linux 6.12 on no signal and no abstract socket beyond itself;
- a seccomp filter: no socket of any kind, no other process, no change to a file by its name;
- limits on memory, CPU time, written bytes and open files, and a limit on time that grows with the file's size.

``axonem_eval.sandbox.protection`` says which of these the machine has.
"""

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.files import read_npz
from axonem_eval.processes import usable_cores
from axonem_eval.progress import StageProgress
from axonem_eval.sampling import NodeSample, sample_nodes
from axonem_eval.sandbox.confined_volume import ConfinedVolume, Lanes
from axonem_eval.sandbox.process import GRAPH_FILE, MISREAD, ConfinedCrash, ConfinedProcess, Limits
from axonem_eval.sizes import size_in_words
from axonem_eval.skeletons import ForeignGraph
from axonem_eval.spec import VolumeSpec
from axonem_eval.volumes import Labels, LabelVolume, open_labels, split_dataset, warm_filters

__all__ = [
    "ConfinedCrash",
    "Limits",
    "counting_seconds",
    "diagnose_confined",
    "open_confined",
    "sample_confined",
    "unpickle_confined",
]

MAX_REPORT_BYTES = 16 << 20
# A child that only reads writes nothing else.
MAX_STDERR_BYTES = 1 << 20
# Speed of counting voxels (under a mask, against dense ground truth), which this process does beside the child.
VOXELS_A_SECOND = 25e6


@contextmanager
def open_confined(
    path: str | Path,
    spec: VolumeSpec,
    *,
    limits: Limits | None = None,
    on_progress: StageProgress | None = None,
    poll: Callable[[], None] | None = None,
) -> Iterator[ConfinedVolume]:
    """Check a label file in a confined child, which then decodes its chunks.

    on_progress : called with ("check", done, total) in this process.
    poll : called every second from a thread; an error that it raises ends the child and is raised here.
    Raises InputError for any fault of the file, also where it takes too much time or memory, and ConfinedCrash where
    the child died by no fault of the file. Reading chunks raises the same.
    """
    file, dataset = split_dataset(path)
    allowed = (limits or Limits()).for_file(_stored_bytes(file))
    allowed = replace(allowed, written_bytes=min(allowed.written_bytes, MAX_STDERR_BYTES))
    lanes = Lanes(2 * min(8, usable_cores()) + 1)
    with tempfile.TemporaryDirectory(prefix="axonem-") as folder:
        request = {"work": "read", "writable": [], **lanes.request(), **_file_request(file, dataset, spec)}
        try:
            with ConfinedProcess(request, allowed, Path(folder), pass_fds=lanes.child_fds, poll=poll) as process:
                lanes.close_childs()
                warm_filters()  # into the cache, for the child to load: it may not write there
                answer = process.answer(on_progress)
                try:
                    volume = ConfinedVolume(file, spec, process, lanes, answer)
                except MISREAD:
                    raise ConfinedCrash("the reader's answer is not readable") from None
                with volume:
                    yield volume
        finally:
            lanes.close()


def sample_confined(
    path: str | Path,
    spec: VolumeSpec,
    node_voxel_zyx: NDArray[np.int32],
    *,
    no_merge_mask: str | Path | None = None,
    limits: Limits | None = None,
    on_open: Callable[[LabelVolume], Callable[[int, Labels], None] | None] | None = None,
    on_progress: StageProgress | None = None,
    poll: Callable[[], None] | None = None,
) -> NodeSample:
    """Check a label file in a confined child, and look up the labels at the nodes here.

    no_merge_mask : a file of the ground truth, opened in this process.
    on_open : called with the volume once it is checked; what it returns is called with each chunk, for other counts in
        the same pass (``also`` of ``sample_nodes``). Give limits with time for them.
    on_progress : called with (stage, done, total) in this process, stages check and sample; an error that it raises
    ends the child and is raised here.   poll : as in ``open_confined``.
    Raises as ``open_confined`` does.
    """
    allowed = limits or Limits()
    if no_merge_mask is not None:
        allowed = replace(allowed, our_seconds=allowed.our_seconds + counting_seconds(spec))
    sampled = partial(on_progress, "sample") if on_progress else None
    with open_confined(path, spec, limits=allowed, on_progress=on_progress, poll=poll) as volume:
        also = on_open(volume) if on_open else None
        if no_merge_mask is None:
            return sample_nodes(volume, node_voxel_zyx, on_progress=sampled, also=also)
        with open_labels(no_merge_mask, mask=True) as mask:
            return sample_nodes(volume, node_voxel_zyx, no_merge_mask=mask, on_progress=sampled, also=also)


def counting_seconds(spec: VolumeSpec) -> float:
    """Time that this process may take for a count over all voxels, beside the child."""
    return spec.voxels / VOXELS_A_SECOND


def diagnose_confined(
    path: str | Path,
    spec: VolumeSpec,
    out: str | Path,
    *,
    view: bool = False,
    limits: Limits | None = None,
    on_progress: StageProgress | None = None,
    poll: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Skeletonize and diagnose a label file in a confined child; returns ``Diagnosis.to_json``.

    out : a new folder, which gets ``skeletons.npz`` and, with ``view``, a folder ``view`` with segmentation and
    skeletons as precomputed. A file that took over its reader may have written them: treat them as hostile, and pass
    them on as bytes.
    on_progress, poll : as in ``sample_confined``, stages read, skeletonize, place, view.
    Raises as ``open_confined`` does.
    """
    file, dataset = split_dataset(path)
    with tempfile.TemporaryDirectory(prefix="axonem-") as folder:
        work = Path(folder)
        asked = {"work": "diagnose", "writable": [folder], "view": view}
        request = {**asked, **_file_request(file, dataset, spec)}
        with ConfinedProcess(request, limits or Limits(), work, poll=poll) as process:
            process.answer(on_progress)
        _require_plain(work / "out")
        report = _read_report(work / "out" / "diagnosis.json")
        (work / "out" / "diagnosis.json").unlink()
        shutil.move(work / "out", out)
    return report


def unpickle_confined(
    path: str | Path, *, limits: Limits | None = None, poll: Callable[[], None] | None = None
) -> ForeignGraph:
    """Read the graph of skeletons in a pickle, in a confined child that runs nothing that the pickle names.

    poll : as in ``open_confined``.
    Raises InputError for a pickle that is damaged, holds no such graph, or names anything else, and ConfinedCrash where
    the child died by no fault of the file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError.of("no_file", f"{path}: no such file")
    allowed = (limits or Limits()).for_file(_stored_bytes(path))
    with tempfile.TemporaryDirectory(prefix="axonem-") as folder:
        work = Path(folder)
        request = {"work": "unpickle", "writable": [folder], "path": str(path.resolve())}
        with ConfinedProcess(request, allowed, work, poll=poll) as process:
            process.answer()
        _require_plain(work / GRAPH_FILE)
        return ForeignGraph.of_arrays(read_npz(work / GRAPH_FILE), path.name)


def _file_request(file: Path, dataset: str | None, spec: VolumeSpec) -> dict[str, Any]:
    return {
        "path": str(file.resolve()),
        "dataset": dataset,
        "shape_zyx": spec.shape_zyx,
        "voxel_size_nm_zyx": spec.voxel_size_nm_zyx,
    }


def _stored_bytes(path: Path) -> int:
    """Size of a file, or of all files of a folder."""
    if not path.is_dir():
        return path.stat().st_size if path.exists() else 0
    return sum(os.lstat(os.path.join(at, name)).st_size for at, _, names in os.walk(path) for name in names)


def _require_plain(path: Path) -> None:
    """Raises ConfinedCrash unless there are only files and folders: a link would be followed with our rights."""
    inside = [Path(folder) / name for folder, *names in os.walk(path) for name in (*names[0], *names[1])]
    for found in (path, *inside):
        mode = found.lstat().st_mode if found.is_symlink() or found.exists() else 0
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise ConfinedCrash(f"the reader left no plain file at {found.name}")


def _read_report(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_REPORT_BYTES:
        raise ConfinedCrash(f"the reader left a diagnosis of more than {size_in_words(MAX_REPORT_BYTES)}")
    # Here, because sampling needs nothing of what diagnoses.
    from axonem_eval.diagnosis import SCHEMA

    report: dict[str, Any] = json.loads(path.read_bytes())
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        raise ConfinedCrash("the reader left a diagnosis of another schema")
    return report
