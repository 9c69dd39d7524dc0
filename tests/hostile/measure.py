"""Read hostile files one after the other, and tell what came of each and what it cost.

``python -m tests.hostile.measure`` reads names and paths on stdin and writes one line for each. It forks for every
file. The fork has the file read as the server does, in a confined child, which it has alone: the system tells the peak
memory of all children together. Or, with ``--here``, the fork confines itself and reads the file: that saves the start
of a Python, which takes longer than all but a few of the files.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from axonem_eval import InputError, VolumeSpec, open_labels, sample_nodes
from axonem_eval.sampling import warm_kernels
from axonem_eval.sandbox import Limits, sample_confined
from axonem_eval.sandbox.child import save_no_kernels
from axonem_eval.sandbox.protection import confine
from axonem_eval.volumes import check_labels
from tests.hostile.case import Case

# A reader that is still at work now is not held by any limit of its own.
HANGS_AFTER_S = 75
# Without a child no limit on time holds; what it may cost is told in seconds of the processor, and others use that too.
HANGS_HERE_AFTER_S = 180
VOXEL_NM = (30.0, 8.0, 8.0)


@dataclass(frozen=True)
class Outcome:
    """What came of a file.

    codes : of its complaints; empty where labels came.   message : all of them.
    right : the labels are those expected.   crash : what a fault of ours said, or the hang.
    cpu_seconds, peak_mb : of the child.
    """

    codes: tuple[str, ...] = ()
    message: str = ""
    right: bool = False
    crash: str = ""
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0

    @property
    def verdict(self) -> str:
        """One word or a few."""
        return (self.crash and "CRASH") or ", ".join(self.codes) or ("labels" if self.right else "other labels")

    def faults(self, case: Case) -> list[str]:
        """What differs from what the case expects."""
        found = []
        if self.crash:
            found.append(f"a fault of ours: {self.crash}")
        elif not self.codes and case.reads is None and not case.any_answer:
            found.append(f"was read, expected one of {case.codes}")
        elif not self.codes and case.reads is not None and not self.right:
            found.append("other labels than were written")
        elif self.codes and not case.any_answer and not set(self.codes) & set(case.codes):
            found.append(f"refused for {self.codes}, expected {case.codes or 'labels'}: {self.message}")
        if self.codes and (len(self.message) > 4000 or not self.message.strip()):
            found.append(f"a message of {len(self.message)} characters")
        if any(not (c.isprintable() or c == "\n") for c in self.message):
            found.append(f"a message with control characters: {self.message!r}")
        if self.cpu_seconds > case.cpu_seconds:
            found.append(f"{self.cpu_seconds:.0f} s of CPU, expected {case.cpu_seconds:.0f} at most")
        if self.peak_mb > case.memory_mb:
            found.append(f"{self.peak_mb:.0f} MB, expected {case.memory_mb} at most")
        return found


class Measurer:
    """A context manager that reads files in a process of its own, which stays small.

    confined : in the child that the server uses, else by the same readers in a fork.
    """

    def __init__(self, *, confined: bool) -> None:
        self._arguments = [] if confined else ["--here"]

    def __enter__(self) -> "Measurer":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.measure", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            # Whoever confines itself must not have started a thread before.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(timeout=10)

    def __call__(self, case: Case, path: Path) -> Outcome:
        """Read one file."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"name": case.name, "path": str(path)}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Outcome(**{**answer, "codes": tuple(answer["codes"])})


def _answer(case: Case, read: Callable[[], NDArray[np.uint64]]) -> Outcome:
    """What ``read`` comes to, without its costs."""
    try:
        segment = read()
    except InputError as error:
        return Outcome(tuple(c.code for c in error.complaints), str(error))
    except BaseException as error:
        return Outcome(crash=f"{type(error).__name__}: {str(error)[-1500:]}")
    expected = None if case.reads is None else case.reads[tuple(case.nodes_zyx.T)]
    return Outcome(right=expected is not None and bool(np.array_equal(segment, expected)))


def _confined(case: Case, path: Path) -> Outcome:
    """Read by the server's child."""
    spec = VolumeSpec(case.shape_zyx, VOXEL_NM)
    return _answer(case, lambda: sample_confined(path, spec, case.nodes_zyx).node_segment)


def _here(case: Case, path: Path) -> Outcome:
    """Read by this process, behind the same walls."""
    confine([path], [], Limits().for_file(path.stat().st_size))

    def read() -> NDArray[np.uint64]:
        check_labels(path, VolumeSpec(case.shape_zyx, VOXEL_NM))
        with open_labels(path) as volume:
            return sample_nodes(volume, case.nodes_zyx).node_segment

    return _answer(case, read)


def _in_a_fork(case: Case, path: Path, read: Callable[[Case, Path], Outcome]) -> Outcome:
    begun = time.monotonic()
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(HANGS_HERE_AFTER_S if read is _here else HANGS_AFTER_S)
        found = read(case, path)
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = children if children.ru_maxrss else resource.getrusage(resource.RUSAGE_SELF)
        found = replace(found, cpu_seconds=used.ru_utime + used.ru_stime, peak_mb=used.ru_maxrss / 1024)
        with os.fdopen(write_end, "w") as out:
            json.dump(asdict(found), out)
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as answer:
        text = answer.read()
    _, status = os.waitpid(pid, 0)
    wall_seconds = time.monotonic() - begun
    if not text:
        return Outcome(crash=f"no answer in {wall_seconds:.0f} s, status {status}", cpu_seconds=wall_seconds)
    return Outcome(**json.loads(text))


def main() -> None:
    """Serve until stdin ends."""
    from tests.hostile.make_files import CASES

    by_name = {case.name: case for case in CASES}
    read = _here if "--here" in sys.argv[1:] else _confined
    if read is _here:
        import tensorstore  # noqa: F401  once, not in every fork
        import tifffile  # noqa: F401

        warm_kernels()
        save_no_kernels()
    for line in sys.stdin:
        asked = json.loads(line)
        found = _in_a_fork(by_name[asked["name"]], Path(asked["path"]), read)
        print(json.dumps(asdict(found)), flush=True)


if __name__ == "__main__":
    main()
