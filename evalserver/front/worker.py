"""The web process: uvicorn's event loop under gunicorn, which starts the processes and replaces dead ones."""

import asyncio
import ctypes
import resource
from typing import Any

from uvicorn_worker import UvicornWorker

from axonem_eval.processes import die_with_parent
from evalserver.front.protocol import RESERVED_DESCRIPTORS, SteadyProtocol, protocol_options

# mallopt's parameters (glibc's malloc.h), and what they are set to.
M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8
OWN_MAPPING_BYTES = 256 * 1024
ARENAS = 2
C_LIBRARY = ctypes.CDLL(None)


class Worker(UvicornWorker):
    """For gunicorn's `worker_class`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.CONFIG_KWARGS = protocol_options()
        super().__init__(*args, **kwargs)

    def init_process(self) -> None:
        die_with_parent()
        _keep_little_free_memory()
        SteadyProtocol.most_connections = _allow_descriptors() - RESERVED_DESCRIPTORS
        super().init_process()

    async def callback_notify(self) -> None:
        """Every half of gunicorn's `timeout`, 30 s."""
        await super().callback_notify()
        await asyncio.to_thread(_give_back_free_memory)


def _allow_descriptors() -> int:
    """As many open files as this user may have, at most 65,536: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return wanted if soft == resource.RLIM_INFINITY else soft


def _keep_little_free_memory() -> None:
    """Share two heaps among all threads, and give a large buffer back to the system as soon as it is free.

    glibc gives each thread a heap of its own, and what is free in one serves no other thread: under load the process
    grew by 100 MB within minutes while what it used stayed the same. Other C libraries have no such parameters.
    """
    if mallopt := getattr(C_LIBRARY, "mallopt", None):
        mallopt(M_ARENA_MAX, ARENAS)
        mallopt(M_MMAP_THRESHOLD, OWN_MAPPING_BYTES)


def _give_back_free_memory() -> None:
    """Free pages between those in use as well, which glibc keeps by itself."""
    if trim := getattr(C_LIBRARY, "malloc_trim", None):
        trim(0)
