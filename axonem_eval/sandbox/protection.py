"""The walls around the process that opens uploads: limits, Landlock and seccomp, and what of them this kernel gives."""

import os
import resource
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from axonem_eval.sandbox.landlock import confine_to, landlock_abi
from axonem_eval.sandbox.process import Limits
from axonem_eval.sandbox.seccomp import refuse_dangerous_calls, seccomp_available

_SYSTEM = (
    *("/etc/ld.so.cache", "/dev/urandom", "/dev/null", "/proc/self", "/proc/meminfo"),
    *("/proc/cpuinfo", "/sys/devices/system/cpu"),
)


@dataclass(frozen=True)
class Wall:
    """One protection: whether this machine has it, and what it keeps the reader from."""

    name: str
    given: bool
    keeps_from: str


def walls() -> list[Wall]:
    """What protects the server from the process that opens uploads, on this machine."""
    abi, filtered = landlock_abi(), seccomp_available()
    return [
        Wall("limits", True, "taking more memory, time, disk or open files than it may"),
        Wall("Landlock: files", abi >= 1, "opening any file but the upload and the Python installation"),
        Wall("Landlock: TCP", abi >= 4 or filtered, "TCP connections"),
        Wall("Landlock: scopes", abi >= 6 or filtered, "signals to other processes and abstract sockets"),
        Wall("seccomp", filtered, "UDP and local sockets, new processes, tracing others, changing files by name"),
    ]


def installation() -> list[Path]:
    """The folders of Python, its libraries and this package, which a confined process may read."""
    # Not sys.path: an editable install has the checkout on it, and the server's files may lie below that.
    python = (Path(p) for p in (sys.prefix, sys.base_prefix, "/usr", "/lib", "/lib64"))
    return [*python, Path(__file__).parent.parent]


def confine(readable: Iterable[Path], writable: Iterable[str], limits: Limits) -> dict[str, bool]:
    """Confine this process for good; returns which walls stand.

    readable : files that it may read beside the Python installation.   writable : folders that it may write below.
    """
    limit_resources(limits)
    # Landlock holds for the calling thread and its descendants; a thread that runs already would stay free.
    threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1
    if threads != 1:
        raise RuntimeError(f"{threads} threads run before the process is confined, expected 1")
    landlock = confine_to([*readable, *installation(), *map(Path, _SYSTEM)], [Path(p) for p in writable])
    return {"landlock": landlock, "seccomp": refuse_dangerous_calls()}


def limit_resources(limits: Limits) -> None:
    """Set the limits of this process; cannot be undone."""
    for what, value in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_FSIZE, limits.written_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_NPROC, limits.threads),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (value, value))
