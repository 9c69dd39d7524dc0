"""Rules for the processes of this package: when they end and how many cores they may use."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(signal_number: int = signal.SIGKILL, *, parent: int | None = None) -> None:
    """Have Linux send this process a signal when its parent dies, however the parent dies.

    parent : pid of the expected parent. If another process is the parent by now, this process exits at once.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
        if parent is not None and os.getppid() != parent:
            os._exit(1)


def usable_cores() -> int:
    """Number of cores that this process may run on; a container or ``taskset`` may allow fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
