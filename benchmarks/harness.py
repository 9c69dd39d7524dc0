"""What the benchmarks share: a clock, a measurement in a process of its own, and the best of several."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any


class Clock:
    """Wall and CPU seconds since it was made, ended children included, and the peak memory of the largest process."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), self._cpu_s()

    @staticmethod
    def _cpu_s() -> float:
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(u.ru_utime + u.ru_stime for u in usages)

    def read(self) -> dict[str, float]:
        own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "wall_s": time.perf_counter() - self._wall,
            "cpu_s": self._cpu_s() - self._cpu,
            "rss_gb": own.ru_maxrss / 1e6,
            "child_rss_gb": children.ru_maxrss / 1e6,
        }


def in_child(script: str, *arguments: object) -> dict[str, Any]:
    """Run a script with these arguments in a process of its own; the JSON in the last line that it prints.

    Raises ChildProcessError with what it wrote to stderr if it fails.
    """
    command = [sys.executable, script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChildProcessError(done.stderr.strip() or f"{script} ended with status {done.returncode}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def best(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The first of several measurements, with the least wall and CPU time of all: other work only slows them."""
    return {**results[0], **{key: min(r[key] for r in results) for key in ("wall_s", "cpu_s")}}


def timed(name: str, work: Callable[[], Any], voxels: int = 0) -> Any:
    """What ``work`` returns; prints its time, its speed where it reads voxels, and the peak memory so far."""
    clock = Clock()
    result = work()
    found = clock.read()
    speed = f"{voxels / found['wall_s'] / 1e6:7.0f} Mvoxel/s" if voxels else ""
    print(
        f"{name:40}{found['wall_s']:8.2f} s, {found['cpu_s']:6.2f} s of CPU {speed}"
        f"   peak memory so far {found['rss_gb']:5.1f} GB"
    )
    return result
