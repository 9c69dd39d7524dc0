"""Open an untrusted file in a child process that can do nothing but read it.

A segmentation is opened by HDF5 and a dozen codecs written in C; a crafted file may take them over. So the parent
sends node coordinates, a child samples, and labels come back. The child has

- no environment, no inherited files, and a working directory of its own that is removed afterwards;
- Landlock rules (Linux 5.13 on): it can read the uploaded file, the no-merge mask and the Python installation,
  write only into its working directory, and open no TCP connection; where the kernel has no Landlock,
  ``landlock_abi()`` is 0 and the limits below are what remains;
- limits on memory, CPU time, written bytes and open files, and a wall-clock limit kept by the parent.
"""

import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import Complaint, InputError
from axonem_eval.sample import NodeSample
from axonem_eval.spec import VolumeSpec
from axonem_eval.volume import StageProgress, split_dataset

MAX_REPORT_BYTES = 16 << 20


@dataclass(frozen=True)
class Limits:
    """What the child may use. memory_bytes counts address space; cpu_seconds over all threads."""

    memory_bytes: int = 8 << 30
    cpu_seconds: int = 4 * 3600
    wall_seconds: int = 2 * 3600
    written_bytes: int = 4 << 30
    open_files: int = 64


class ConfinedCrash(RuntimeError):
    """The child died without an answer: our fault, or a file made to break the reader."""


def sample_confined(
    path: str | Path,
    spec: VolumeSpec,
    node_voxel_zyx: NDArray[np.int32],
    *,
    dataset: str | None = None,
    no_merge_mask: str | Path | None = None,
    limits: Limits | None = None,
    on_progress: StageProgress | None = None,
) -> NodeSample:
    """Check a label file and sample it at the nodes, both in a confined child.

    on_progress : called with (stage, done, total) in this process, stages check and sample; an error that it raises
    ends the child and is raised here.
    Raises InputError for whatever is wrong with the file, its limits included, and ConfinedCrash where the child died.
    """
    with tempfile.TemporaryDirectory(prefix="axonem-") as folder:
        work = Path(folder)
        np.save(work / "nodes.npy", np.ascontiguousarray(node_voxel_zyx, np.int32))
        mask = None if no_merge_mask is None else str(Path(no_merge_mask).resolve())
        request = {"work": "sample", "no_merge_mask": mask, **_file_request(path, dataset, spec)}
        _demand(work, request, limits or Limits(), on_progress)
        _demand_plain(work / "sample.npz")
        return _read_sample(work / "sample.npz", len(node_voxel_zyx))


def diagnose_confined(
    path: str | Path,
    spec: VolumeSpec,
    out: str | Path,
    *,
    dataset: str | None = None,
    view: bool = False,
    limits: Limits | None = None,
    on_progress: StageProgress | None = None,
) -> dict[str, Any]:
    """Skeletonize and diagnose a label file in a confined child; returns ``Diagnosis.to_json``.

    out : a new folder, which gets ``skeletons.npz`` and, with ``view``, a folder ``view`` with segmentation and
    skeletons as precomputed. What a file broke out of its reader would write here is as hostile as the file: hand it
    on as bytes.
    on_progress : as in ``sample_confined``, stages read, skeletonize, place, view.
    Raises as ``sample_confined`` does.
    """
    with tempfile.TemporaryDirectory(prefix="axonem-") as folder:
        work = Path(folder)
        request = {"work": "diagnose", "no_merge_mask": None, "view": view, **_file_request(path, dataset, spec)}
        _demand(work, request, limits or Limits(), on_progress)
        _demand_plain(work / "out")
        report = _read_report(work / "out" / "diagnosis.json")
        (work / "out" / "diagnosis.json").unlink()
        shutil.move(work / "out", out)
    return report


def _file_request(path: str | Path, dataset: str | None, spec: VolumeSpec) -> dict[str, Any]:
    file, named = split_dataset(path)
    return {
        "path": str(file.resolve()),
        "dataset": dataset or named,
        "shape_zyx": spec.shape_zyx,
        "voxel_size_nm_zyx": spec.voxel_size_nm_zyx,
    }


def _demand(work: Path, request: dict[str, Any], limits: Limits, on_progress: StageProgress | None) -> None:
    """Have a child do what is asked; raises the complaints it comes back with."""
    answer = _converse(work, {**request, "limits": asdict(limits)}, limits, on_progress)
    if "complaints" in answer:
        raise InputError(Complaint(c["code"], c["message"]) for c in answer["complaints"])


def _demand_plain(path: Path) -> None:
    """Raises ConfinedCrash unless there are only files and folders: a link would be followed with our rights."""
    inside = [Path(folder) / name for folder, *names in os.walk(path) for name in (*names[0], *names[1])]
    for found in (path, *inside):
        mode = found.lstat().st_mode if found.is_symlink() or found.exists() else 0
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise ConfinedCrash(f"the reader left no plain file at {found.name}")


def _read_report(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_REPORT_BYTES:
        raise ConfinedCrash("the reader left a diagnosis of more than 16 MiB")
    # Here, because the child that samples imports this module, and needs nothing of what diagnoses.
    from axonem_eval.diagnose import SCHEMA

    report: dict[str, Any] = json.loads(path.read_bytes())
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        raise ConfinedCrash("the reader left a diagnosis of another schema")
    return report


def _read_sample(path: Path, n_nodes: int) -> NodeSample:
    """What the child wrote, believed only so far as its types and sizes."""
    try:
        sample = NodeSample.load(path)
    except InputError as error:
        raise ConfinedCrash(f"the reader left no usable sample: {error}") from None
    if sample.node_segment.shape != (n_nodes,) or sample.node_segment.dtype != np.uint64:
        raise ConfinedCrash(f"the reader answered with {sample.node_segment.dtype} {sample.node_segment.shape}")
    return sample


def _converse(work: Path, request: dict[str, Any], limits: Limits, on_progress: StageProgress | None) -> dict[str, Any]:
    """Run the child; relay its progress lines; return its answer."""
    child = subprocess.Popen(
        [sys.executable, "-I", "-m", "axonem_eval.confined_child"],
        cwd=work,
        env={"PATH": "/usr/bin:/bin", "HOME": str(work), "NUMBA_CACHE_DIR": _numba_cache(), "LC_ALL": "C.UTF-8"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=open(work / "stderr.txt", "wb"),  # noqa: SIM115  closed with the child
        start_new_session=True,
        close_fds=True,
    )
    deadline = time.monotonic() + limits.wall_seconds
    assert child.stdin is not None
    assert child.stdout is not None
    watchdog = _Watchdog(child, deadline)
    answer: dict[str, Any] | None = None
    try:
        child.stdin.write(json.dumps(request).encode())
        child.stdin.close()
        for line in child.stdout:
            message = json.loads(line)
            if "stage" in message:
                if on_progress:
                    on_progress(str(message["stage"]), int(message["done"]), int(message["total"]))
            else:
                answer = message
                break
    except (json.JSONDecodeError, BrokenPipeError, KeyError, ValueError):
        answer = None
    finally:
        code = watchdog.end()
    if answer is not None:
        return answer
    if watchdog.late or code == -signal.SIGXCPU:
        raise InputError.of(
            "too_slow",
            f"reading the file took longer than the limit of {limits.wall_seconds / 60:.0f} min (or "
            f"{limits.cpu_seconds / 60:.0f} min of CPU time). Store it in chunks of about 64 x 64 x 64 voxels with "
            "gzip level 4",
        )
    tail = (work / "stderr.txt").read_bytes()[-2000:].decode(errors="replace")
    if "MemoryError" in tail or "Cannot allocate memory" in tail:
        raise InputError.of(
            "too_much_memory",
            f"reading the file took more than {limits.memory_bytes / 2**30:.0f} GiB of memory. Store it in chunks of "
            "about 64 x 64 x 64 voxels",
        )
    raise ConfinedCrash(f"the reader ended with code {code}: {tail}")


class _Watchdog:
    """Kills the child's whole session at the deadline, and in any case at the end."""

    def __init__(self, child: "subprocess.Popen[bytes]", deadline: float) -> None:
        self.late = False
        self._child = child
        self._timer = threading.Timer(max(0.0, deadline - time.monotonic()), self._expire)
        self._timer.daemon = True
        self._timer.start()

    def _expire(self) -> None:
        self.late = True
        self._kill()

    def _kill(self) -> None:
        try:
            os.killpg(self._child.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def end(self) -> int:
        """Return code of the child, which is given a moment to end by itself."""
        try:
            code = self._child.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            self._kill()
            code = self._child.wait()
        self._timer.cancel()
        return code


def _numba_cache() -> str:
    """Where compiled kernels lie: the child may read them, and compiles in memory what is missing."""
    return os.environ.get("NUMBA_CACHE_DIR", "")


def limit_resources(limits: Limits) -> None:
    """Set the limits of this process; cannot be undone."""
    for what, value in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_FSIZE, limits.written_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (value, value))
