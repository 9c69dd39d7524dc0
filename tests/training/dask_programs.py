"""A Dask scheduler and its workers as programs of their own, which a test may kill."""

import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


class DaskPrograms:
    """A scheduler at one address, and workers. Use it in a ``with`` statement."""

    def __init__(self) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []

    def start(self, workers: int = 1) -> None:
        """Start a scheduler and workers; these wait for it."""
        self.scheduler = _dask("scheduler", "--host", "127.0.0.1", "--port", str(self.port))
        for _ in range(workers):
            self.workers.append(_dask("worker", self.address, "--nthreads", "1", "--no-nanny"))

    def kill(self) -> None:
        """SIGKILL to the scheduler and the workers."""
        for program in (self.scheduler, *self.workers):
            if program:
                program.kill()
                program.wait()
        self.scheduler, self.workers = None, []

    def __enter__(self) -> "DaskPrograms":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def _dask(*arguments: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "dask", *arguments, "--no-dashboard"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
