"""Start, watch and end the confined child, and find out why it ended.

The child reads its request from stdin and writes JSON to stdout, one object in each line: ``{"confined": ...}`` once it
is confined, ``{"stage", "done", "total"}`` as it proceeds, and at last ``{"complaints": [...]}`` or its answer. All
that follows the first object may come from a file that took the child over.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from axonem_eval.errors import Complaint, InputError
from axonem_eval.processes import usable_cores
from axonem_eval.progress import StageProgress
from axonem_eval.sizes import size_in_words


class Contents(StrEnum):
    """What is in a file of voxels."""

    SEGMENTATION = "segmentation"
    # Of organisers: it may have a single label.
    TRUTH = "truth"
    # It may be empty, and booleans are read too.
    MASK = "mask"
    IMAGE = "image"


MAX_LINE_BYTES = 4 << 20
MAX_COMPLAINTS = 200
MAX_COMPLAINT_CHARACTERS = 2_000
POLL_EVERY_S = 1.0
# What a child that read a pickle leaves in its folder.
GRAPH_FILE = "graph.npz"
# And one that read a table of labels at nodes: uint64, little-endian, nothing to parse.
TABLE_FILE = "labels.bin"
PROGRAM = ("-I", "-m", "axonem_eval.sandbox.child")
# Exit status of a child that is of another release than its parent.
OTHER_CODE = 75

# What reading an answer of another form raises; the child may answer anything.
MISREAD = (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)

# Time limit of a file: a fixed part, and more for each stored MB. Real label volumes take 10 ms per MB.
BASE_SECONDS = 45.0
SECONDS_PER_MB = 4.0


@dataclass(frozen=True)
class Limits:
    """What the child may use. memory_bytes counts address space; cpu_seconds over all threads.

    threads : it starts none where the user's processes together have so many; the kernel does not hold root to it.
    our_seconds : time for the work of the parent, beside what a file of that size needs.
    """

    memory_bytes: int = 6 << 30
    cpu_seconds: int = 4 * 3600
    wall_seconds: float = 2 * 3600
    written_bytes: int = 4 << 30
    open_files: int = 128
    threads: int = 4096
    our_seconds: float = 0.0

    def for_file(self, stored_bytes: int) -> "Limits":
        """These limits, with no more time than a file of that size needs."""
        wall = min(self.wall_seconds, BASE_SECONDS + SECONDS_PER_MB * stored_bytes / 1e6 + self.our_seconds)
        cpu = min(self.cpu_seconds, int(wall * usable_cores()) + 1)
        return replace(self, wall_seconds=wall, cpu_seconds=cpu)


class ConfinedCrash(RuntimeError):
    """The child died without an answer, by no fault of the file."""


class OtherCode(ConfinedCrash):
    """The child is of another release: the files were replaced while this process ran. It works after a restart."""


def _digest_of_code() -> str:
    """Digest of what parent and child agree on: the modules of this room and at the top of the package."""
    package = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted([*package.glob("*.py"), *package.glob("sandbox/*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


# At import: of the code that this process runs, whatever lies on the disk later.
CODE = _digest_of_code()


class ConfinedProcess:
    """One child at work; a context manager that kills it at the end.

    poll : called every second from a thread; an error that it raises ends the child and is raised by ``failure``.
    """

    def __init__(
        self,
        request: dict[str, Any],
        limits: Limits,
        work: Path,
        *,
        pass_fds: Sequence[int] = (),
        poll: Callable[[], None] | None = None,
    ) -> None:
        self._limits = limits
        self._confined = self._late = False
        self._poll = poll
        self._poll_error: BaseException | None = None
        self._ended = threading.Event()
        # Held open: where the child may write into the folder, it could put a pipe or a link in the file's place.
        self._stderr = (work / "stderr.txt").open("w+b")
        self._child = subprocess.Popen(
            [sys.executable, *PROGRAM],
            cwd=work,
            env=_environment(work),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,
            pass_fds=pass_fds,
        )
        self._watchdog = threading.Thread(target=self._watch, name="confined-watchdog", daemon=True)
        self._watchdog.start()
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps({**request, "code": CODE, "limits": asdict(limits)}).encode())
            self._child.stdin.close()
        except BrokenPipeError:
            pass  # it died; whoever waits for its answer says why

    def __enter__(self) -> "ConfinedProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._stderr.close()

    def answer(self, on_progress: StageProgress | None = None) -> dict[str, Any]:
        """The child's answer. Raises InputError with its complaints, or what ``failure`` says where there is none."""
        assert self._child.stdout is not None
        while True:
            line = self._child.stdout.readline(MAX_LINE_BYTES)
            try:
                message = json.loads(line)
                if message.get("complaints"):
                    complaints = complaints_of(message["complaints"])
                    break
                if "confined" in message:
                    self._confined = True
                elif "stage" not in message:
                    return dict(message)
                step = (str(message.get("stage"))[:40], int(message.get("done", 0)), int(message.get("total", 0)))
            except MISREAD:
                raise self.failure() from None
            if on_progress and "stage" in message:
                on_progress(*step)
        raise InputError(complaints)

    def failure(self) -> BaseException:
        """Why the child gave no answer; ends it."""
        code = self.end(patience_s=2.0)
        if self._poll_error is not None:
            return self._poll_error
        limits = self._limits
        if self._late or code == -signal.SIGXCPU:
            return InputError.of(
                "too_slow",
                f"reading the file took longer than the limit of {limits.wall_seconds:,.0f} s (or "
                f"{limits.cpu_seconds:,} s of CPU time), which grows with the size of the file. Store it in chunks of "
                "about 64 x 64 x 64 voxels with gzip level 4",
            )
        if code == OTHER_CODE and not self._confined:
            return OtherCode("the files of this release were replaced while it runs. Restart the worker")
        tail = self._said_last()
        if any(text in tail for text in ("MemoryError", "Cannot allocate memory", "std::bad_alloc")):
            return InputError.of(
                "too_much_memory",
                f"reading the file took more than {size_in_words(limits.memory_bytes)} of memory. Store it in "
                "chunks of about 64 x 64 x 64 voxels",
            )
        if self._confined and code != -signal.SIGKILL:
            # A codec that crashes on what it reads: the file is damaged or made to do that.
            return InputError.of(
                "reader_crashed",
                f"the reader of such files crashed on it ({_ending(code)}). The file is damaged: write it again, in "
                "HDF5 with gzip compression, and compare checksums after copying",
            )
        return ConfinedCrash(f"the reader ended with code {code}: {tail}")

    def _said_last(self) -> str:
        """The end of what the child wrote to stderr, which may be very much."""
        written = os.fstat(self._stderr.fileno()).st_size
        return os.pread(self._stderr.fileno(), 2000, max(0, written - 2000)).decode(errors="replace")

    def end(self, patience_s: float = 0.2) -> int:
        """Return code of the child, which has a moment to end by itself."""
        try:
            code = self._child.wait(timeout=patience_s)
        except subprocess.TimeoutExpired:
            self._kill()
            code = self._child.wait()
        self._ended.set()
        self._watchdog.join()
        if self._child.stdout is not None:
            self._child.stdout.close()
        return code

    def _watch(self) -> None:
        deadline = time.monotonic() + self._limits.wall_seconds
        while not self._ended.wait(max(0.0, min(POLL_EVERY_S, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                self._late = True
                self._kill()
                return
            if self._poll is not None:
                try:
                    self._poll()
                except BaseException as error:
                    self._poll_error = error
                    self._kill()
                    return

    def _kill(self) -> None:
        try:
            os.killpg(self._child.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def _environment(work: Path) -> dict[str, str]:
    """The child's environment: of ours only the folder of compiled kernels, which it may read.

    Some libraries start threads at import; they get one thread each, because Landlock does not cover threads that run
    already.
    """
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(work),
        "NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR", ""),
        "LC_ALL": "C.UTF-8",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }


def complaints_of(said: Any) -> list[Complaint]:
    """Complaints in the child's words, cut to size. Raises one of MISREAD where they are none."""
    return [
        Complaint(str(one["code"])[:60], str(one["message"])[:MAX_COMPLAINT_CHARACTERS])
        for one in said[:MAX_COMPLAINTS]
    ]


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
