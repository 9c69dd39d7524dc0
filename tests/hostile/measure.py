"""Read hostile files one after the other in the confined child, and tell what came of each and what it cost.

``python -m tests.hostile.measure`` reads names and paths on stdin and writes one line for each. It forks for every
file: the system tells the peak memory of all children together, and a process that has read one file has one child.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from axonem_eval import InputError, VolumeSpec
from axonem_eval.confine import sample_confined
from tests.hostile.case import Case

# A reader that is still at work now is not held by any limit of its own.
HANGS_AFTER_S = 150
VOXEL_NM = (30.0, 8.0, 8.0)


@dataclass(frozen=True)
class Outcome:
    """What came of a file.

    codes : of its complaints; empty where labels came.   message : all of them.
    right : the labels are those expected.   crash : what a fault of ours said, or the hang.   cpu_seconds, peak_mb : of the child.
    """

    codes: tuple[str, ...] = ()
    message: str = ""
    right: bool = False
    crash: str = ""
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0

    @property
    def verdict(self) -> str:
        """One word or a few."""
        return (self.crash and "CRASH") or ", ".join(self.codes) or ("labels" if self.right else "other labels")

    def faults(self, case: Case) -> list[str]:
        """What is not as the case demands."""
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
        if self.cpu_seconds > case.cpu_seconds:
            found.append(f"{self.cpu_seconds:.0f} s of CPU, expected {case.cpu_seconds:.0f} at most")
        if self.peak_mb > case.memory_mb:
            found.append(f"{self.peak_mb:.0f} MB, expected {case.memory_mb} at most")
        return found


class Measurer:
    """A context manager that reads files in a process of its own, which stays small."""

    def __enter__(self) -> "Measurer":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.measure"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
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


def _read(case: Case, path: Path) -> Outcome:
    begun = time.monotonic()
    found = Outcome()
    try:
        sample = sample_confined(path, VolumeSpec(case.shape_zyx, VOXEL_NM), case.nodes_zyx)
        if case.reads is not None:
            expected = case.reads[tuple(case.nodes_zyx.T)]
            found = Outcome(right=bool(np.array_equal(sample.node_segment, expected)))
    except InputError as error:
        found = Outcome(tuple(c.code for c in error.complaints), str(error))
    except Exception as error:
        found = Outcome(crash=f"{type(error).__name__}: {str(error)[-1500:]}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cost = (time.monotonic() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
    return Outcome(found.codes, found.message, found.right, found.crash, *cost)


def _in_a_fork(case: Case, path: Path) -> Outcome:
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(HANGS_AFTER_S)
        with os.fdopen(write_end, "w") as out:
            json.dump(asdict(_read(case, path)), out)
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    if not text:
        return Outcome(crash=f"no answer in {HANGS_AFTER_S} s", wall_seconds=HANGS_AFTER_S, cpu_seconds=HANGS_AFTER_S)
    return Outcome(**json.loads(text))


def main() -> None:
    """Serve until stdin ends."""
    from tests.hostile.make_files import CASES

    by_name = {case.name: case for case in CASES}
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(asdict(_in_a_fork(by_name[asked["name"]], Path(asked["path"])))), flush=True)


if __name__ == "__main__":
    main()
