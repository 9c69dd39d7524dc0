"""Diagnose a segmentation in confined children; in its own module, because reading needs none of its imports."""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from axonem_eval.files import write_atomically
from axonem_eval.progress import StageProgress
from axonem_eval.sandbox.parent import file_request, require_plain, unpacked_confined
from axonem_eval.sandbox.process import ConfinedCrash, ConfinedProcess, Limits
from axonem_eval.sizes import size_in_words
from axonem_eval.spec import VolumeSpec
from axonem_eval.submission_rule import ANY_FILE
from axonem_eval.volumes import split_dataset

if TYPE_CHECKING:
    from axonem_eval.skeletonize import Mapper

MAX_REPORT_BYTES = 16 << 20
# One share of the tracing of a volume: about a minute of work, which outweighs the start of a child.
SHARE_VOXELS = 1 << 28


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
        request = {"work": "diagnose", "view": view, "shared": "", **file_request(*split_dataset(plain), spec, rule)}
        if tracing is not None:
            request["shared"] = str(_shared(tracing.folder))
            _trace_in_shares(request, tracing, allowed, on_progress, poll)
        with tempfile.TemporaryDirectory(prefix="axonem-") as folder:
            work = Path(folder)
            left = partial(_after_tracing, on_progress) if tracing and on_progress else on_progress
            _answer({**request, "step": "diagnose"}, allowed, work, left, poll)
            require_plain(work / "out")
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


def _read_report(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_REPORT_BYTES:
        raise ConfinedCrash(f"the reader left a diagnosis of more than {size_in_words(MAX_REPORT_BYTES)}")
    # Here, because sampling needs nothing of what diagnoses.
    from axonem_eval.diagnosis import SCHEMA

    report: dict[str, Any] = json.loads(path.read_bytes())
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        raise ConfinedCrash("the reader left a diagnosis of another schema")
    return report
