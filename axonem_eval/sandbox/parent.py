"""Open an untrusted file in a child process that can only read it and knows nothing else.

HDF5 and a dozen codecs written in C open a segmentation, and a crafted file may take them over. So a child opens,
checks and decodes it. This process, which holds the nodes and masks of the ground truth, looks labels up. The child has

- no environment, no inherited files but its pipes, and a working directory of its own that is removed afterwards;
- Landlock rules (Linux 5.13 on): it reads the upload and the Python installation and writes nothing (a diagnosis: only
  into its working directory, and into one that the children of one diagnosis share); no TCP, and from Linux 6.12 on no
  signal and no abstract socket beyond itself;
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
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.file_kinds import is_zip
from axonem_eval.files import read_npz, write_atomically
from axonem_eval.processes import usable_cores
from axonem_eval.progress import StageProgress
from axonem_eval.sampling import NodeSample, NodeTable, sample_nodes
from axonem_eval.sandbox.confined_volume import ConfinedVolume, Lanes
from axonem_eval.sandbox.process import (
    GRAPH_FILE,
    MISREAD,
    TABLE_FILE,
    ConfinedCrash,
    ConfinedProcess,
    Limits,
    OtherCode,
)
from axonem_eval.sizes import size_in_words
from axonem_eval.skeletons import ForeignGraph
from axonem_eval.spec import VolumeSpec
from axonem_eval.submission_rule import ANY_FILE, FileRule
from axonem_eval.volumes import Labels, LabelVolume, ReversedAxes, open_labels, split_dataset, warm_filters

if TYPE_CHECKING:
    from axonem_eval.skeletonize import Mapper

__all__ = [
    "ConfinedCrash",
    "Limits",
    "OtherCode",
    "SharedTracing",
    "counting_seconds",
    "diagnose_confined",
    "has_traced_share",
    "node_table_confined",
    "open_confined",
    "sample_confined",
    "trace_share_confined",
    "unpickle_confined",
]

MAX_REPORT_BYTES = 16 << 20
# One share of the tracing of a volume: about a minute of work, which outweighs the start of a child.
SHARE_VOXELS = 1 << 28
# A child that only reads writes nothing else.
MAX_STDERR_BYTES = 1 << 20
# Labels of 134 million nodes; this process holds them.
MAX_TABLE_BYTES = 1 << 30
# Speed of counting voxels (under a mask, against dense ground truth), which this process does beside the child.
VOXELS_A_SECOND = 25e6


@contextmanager
def open_confined(
    path: str | Path,
    spec: VolumeSpec,
    *,
    rule: FileRule = ANY_FILE,
    limits: Limits | None = None,
    on_progress: StageProgress | None = None,
    poll: Callable[[], None] | None = None,
) -> Iterator[LabelVolume]:
    """Check a label file in a confined child, which then decodes its chunks.

    rule : how the file must be stored. Its name is not looked at: ours is that of the storage.
    on_progress : called with ("check", done, total) in this process.
    poll : called every second from a thread; an error that it raises ends the child and is raised here.
    Raises InputError for any fault of the file, also where it takes too much time or memory, and ConfinedCrash where
    the child died by no fault of the file. Reading chunks raises the same.
    """
    with unpacked_confined(path, rule, limits=limits, poll=poll) as plain:
        file, dataset = split_dataset(plain)
        allowed = (limits or Limits()).for_file(_stored_bytes(file))
        allowed = replace(allowed, written_bytes=min(allowed.written_bytes, MAX_STDERR_BYTES))
        lanes = Lanes(2 * min(8, usable_cores()) + 1)
        with tempfile.TemporaryDirectory(prefix="axonem-") as folder:
            request = {"work": "read", "writable": [], **lanes.request(), **_file_request(file, dataset, spec, rule)}
            try:
                with ConfinedProcess(request, allowed, Path(folder), pass_fds=lanes.child_fds, poll=poll) as process:
                    lanes.close_childs()
                    warm_filters()  # into the cache, for the child to load: it may not write there
                    answer = process.answer(on_progress)
                    try:
                        volume = _confined_volume(file, spec, rule, process, lanes, answer)
                    except MISREAD:
                        raise ConfinedCrash("the reader's answer is not readable") from None
                    with volume:
                        yield volume
            finally:
                lanes.close()


def _confined_volume(
    file: Path, spec: VolumeSpec, rule: FileRule, process: ConfinedProcess, lanes: Lanes, answer: dict[str, Any]
) -> LabelVolume:
    """What the child serves, in z,y,x. Raises ConfinedCrash where it states what the rule does not allow."""
    if not answer["reversed"]:
        return ConfinedVolume(file, spec, process, lanes, answer)
    if rule.axes != "xyz":
        raise ConfinedCrash("the reader states another order of axes than it was asked for")
    (z, y, x), (vz, vy, vx) = spec.shape_zyx, spec.voxel_size_nm_zyx
    stored = ConfinedVolume(file, VolumeSpec((x, y, z), (vx, vy, vz)), process, lanes, answer)
    volume = ReversedAxes(stored)
    volume.info = stored.info  # as the child checked it: z,y,x already
    return volume


@contextmanager
def unpacked_confined(
    path: str | Path, rule: FileRule, *, limits: Limits | None = None, poll: Callable[[], None] | None = None
) -> Iterator[str | Path]:
    """The file itself; of an archive that the rule takes, the one file in it, unpacked by a confined child."""
    if not (rule.zipped and is_zip(Path(path))):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="axonem-") as folder:
        work = Path(folder)
        request = {"work": "unpack", "writable": [folder], "path": str(Path(path).resolve()), "rule": rule.to_json()}
        allowed = (limits or Limits()).for_file(_stored_bytes(Path(path)))
        with ConfinedProcess(request, allowed, work, poll=poll) as process:
            process.answer()
        _require_plain(work / "out")
        yield work / "out" / rule.file_name


def sample_confined(
    path: str | Path,
    spec: VolumeSpec,
    node_voxel_zyx: NDArray[np.int32],
    *,
    no_merge_mask: str | Path | None = None,
    limits: Limits | None = None,
    on_open: Callable[[LabelVolume], Callable[[int, Labels], None] | None] | None = None,
    on_progress: StageProgress | None = None,
    **confinement: Any,
) -> NodeSample:
    """Check a label file in a confined child, and look up the labels at the nodes here.

    no_merge_mask : a file of the ground truth, opened in this process.
    on_open : called with the volume once it is checked; what it returns is called with each chunk, for other counts in
        the same pass (``also`` of ``sample_nodes``). Give limits with time for them.
    on_progress : called with (stage, done, total) in this process, stages check and sample; an error that it raises
    ends the child and is raised here.
    confinement : ``rule`` and ``poll`` of ``open_confined``.
    Raises as ``open_confined`` does.
    """
    allowed = limits or Limits()
    if no_merge_mask is not None:
        allowed = replace(allowed, our_seconds=allowed.our_seconds + counting_seconds(spec))
    sampled = partial(on_progress, "sample") if on_progress else None
    opened = open_confined(path, spec, limits=allowed, on_progress=on_progress, **confinement)
    with opened as volume:
        also = on_open(volume) if on_open else None
        if no_merge_mask is None:
            return sample_nodes(volume, node_voxel_zyx, on_progress=sampled, also=also)
        with open_labels(no_merge_mask, mask=True) as mask:
            return sample_nodes(volume, node_voxel_zyx, no_merge_mask=mask, on_progress=sampled, also=also)


def counting_seconds(spec: VolumeSpec) -> float:
    """Time that this process may take for a count over all voxels, beside the child."""
    return spec.voxels / VOXELS_A_SECOND


@dataclass(frozen=True)
class SharedTracing:
    """Tracing by many workers, each share in a confined child of its own.

    folder : every worker reaches it. It stays, so that the same diagnosis goes on from it after a kill; the caller
        removes it at the end. What lies in its folder ``shared`` may be a hostile file's: only confined children open
        it.
    executor : runs ``partial(trace_share_confined, folder)`` for each share.
    """

    folder: Path
    executor: "Mapper"


def diagnose_confined(
    path: str | Path,
    spec: VolumeSpec,
    out: str | Path,
    *,
    view: bool = False,
    tracing: SharedTracing | None = None,
    limits: Limits | None = None,
    on_progress: StageProgress | None = None,
    **confinement: Any,
) -> dict[str, Any]:
    """Skeletonize and diagnose a label file in a confined child; returns ``Diagnosis.to_json``.

    out : a new folder, which gets ``skeletons.npz`` and, with ``view``, a folder ``view`` with segmentation and
    skeletons as precomputed. A file that took over its reader may have written them: treat them as hostile, and pass
    them on as bytes.
    tracing : who traces the labels of a large volume; else the child that reads them, alone.
    on_progress : as in ``open_confined``, stages read, skeletonize, place, view.
    confinement : ``rule`` and ``poll`` of ``open_confined``.
    Raises as ``open_confined`` does.
    """
    rule, poll = confinement.get("rule", ANY_FILE), confinement.get("poll")
    allowed = limits or Limits()
    if spec.voxels <= SHARE_VOXELS:
        tracing = None
    with unpacked_confined(path, rule, limits=limits, poll=poll) as plain:
        request = {"work": "diagnose", "view": view, "shared": "", **_file_request(*split_dataset(plain), spec, rule)}
        if tracing is not None:
            request["shared"] = str(_shared(tracing.folder))
            _trace_in_shares(request, tracing, allowed, on_progress, poll)
        with tempfile.TemporaryDirectory(prefix="axonem-") as folder:
            work = Path(folder)
            left = partial(_after_tracing, on_progress) if tracing and on_progress else on_progress
            _answer({**request, "step": "diagnose"}, allowed, work, left, poll)
            _require_plain(work / "out")
            report = _read_report(work / "out" / "diagnosis.json")
            (work / "out" / "diagnosis.json").unlink()
            shutil.move(work / "out", out)
    return report


def _trace_in_shares(
    request: dict[str, Any],
    tracing: SharedTracing,
    limits: Limits,
    on_progress: StageProgress | None,
    poll: Callable[[], None] | None,
) -> None:
    Path(request["shared"]).mkdir(parents=True, exist_ok=True)
    shares = -(-int(np.prod(request["shape_zyx"], dtype=np.int64)) // SHARE_VOXELS)
    write_atomically(tracing.folder / "shares.txt", lambda file: file.write(str(shares).encode()))
    with tempfile.TemporaryDirectory(prefix="axonem-") as folder:
        _answer({**request, "step": "read"}, limits, Path(folder), on_progress, poll)
    traced = tracing.executor.map(partial(trace_share_confined, str(tracing.folder)), range(shares))
    for done, _ in enumerate(traced, start=1):
        if on_progress:
            on_progress("skeletonize", done, shares)


def _after_tracing(on_progress: StageProgress, stage: str, done: int, total: int) -> None:
    """Leave out the stages that the last child finds done."""
    if stage not in ("read", "skeletonize"):
        on_progress(stage, done, total)


def trace_share_confined(
    folder: str | Path, share: int, *, limits: Limits | None = None, poll: Callable[[], None] | None = None
) -> None:
    """Trace one share of the labels of a ``SharedTracing`` in a confined child. Raises as ``open_confined`` does."""
    if has_traced_share(folder, share):
        return
    shared, of = str(_shared(folder)), int(Path(folder, "shares.txt").read_text())
    request = {"work": "diagnose", "step": "trace", "path": shared, "shared": shared, "share": share, "of": of}
    with tempfile.TemporaryDirectory(prefix="axonem-") as work:
        _answer(request, limits or Limits(), Path(work), None, poll)
    _traced(folder, share).parent.mkdir(parents=True, exist_ok=True)
    _traced(folder, share).touch()


def has_traced_share(folder: str | Path, share: int) -> bool:
    """Whether ``trace_share_confined`` has nothing left to do."""
    return _traced(folder, share).exists()


def _traced(folder: str | Path, share: int) -> Path:
    return Path(folder) / "traced" / str(share)  # outside the folder that the children write into


def _shared(folder: str | Path) -> Path:
    return Path(folder).resolve() / "shared"


def _answer(
    request: dict[str, Any],
    limits: Limits,
    work: Path,
    on_progress: StageProgress | None,
    poll: Callable[[], None] | None,
) -> None:
    """Let a child do one step in a new folder, and in the shared one if there is one."""
    writable = [str(work), *filter(None, [request["shared"]])]
    with ConfinedProcess({**request, "writable": writable}, limits, work, poll=poll) as process:
        process.answer(on_progress)


def node_table_confined(
    path: str | Path, *, limits: Limits | None = None, poll: Callable[[], None] | None = None
) -> NodeTable:
    """Read a table of labels at nodes in a confined child.   poll : as in ``open_confined``.

    Raises InputError for a file that is none, and ConfinedCrash where the child died by no fault of the file.
    """
    path = Path(path)
    allowed = (limits or Limits()).for_file(_stored_bytes(path))
    allowed = replace(allowed, written_bytes=min(allowed.written_bytes, MAX_TABLE_BYTES))
    with tempfile.TemporaryDirectory(prefix="axonem-") as folder:
        work = Path(folder)
        request = {"work": "table", "writable": [folder], "path": str(path.resolve())}
        with ConfinedProcess(request, allowed, work, poll=poll) as process:
            answer = process.answer()
        _require_plain(work / TABLE_FILE)
        label = np.fromfile(work / TABLE_FILE, "<u8").astype(np.uint64, copy=False)
        return NodeTable(label, str(answer.get("nodes_sha256"))[:64])


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


def _file_request(file: Path, dataset: str | None, spec: VolumeSpec, rule: FileRule) -> dict[str, Any]:
    return {
        "path": str(file.resolve()),
        "dataset": dataset,
        "shape_zyx": spec.shape_zyx,
        "voxel_size_nm_zyx": spec.voxel_size_nm_zyx,
        "rule": rule.to_json(),
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
