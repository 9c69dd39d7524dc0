"""A whole server for browser tests: `manage.py up` in a folder of its own, with Redis, web and workers."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

from tests.migrated import copy_kept_database, keep_database

ROOT = Path(__file__).parents[2]
PASSWORD = "correct-horse-battery"
ORGANISER = "organiser@example.org"
# `up` itself waits as long for its web server.
STARTS_WITHIN_S = 300


class RunningServer:
    """Start with ``with``; every process is gone afterwards."""

    def __init__(self, var: Path, port: int) -> None:
        self.var = var
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.environment = {
            **os.environ,
            "VAR_DIR": str(var),
            "CONFIRM_EMAIL": "0",
            "DATABASE_URL": "",
            "REDIS_URL": "",
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, check=True, capture_output=True, text=True, timeout=300
        ).stdout

    def logs(self) -> list[tuple[Path, str]]:
        """What each of its processes has written."""
        return [(path, path.read_text(errors="replace")) for path in sorted((self.var / "log").glob("*.log"))]

    def start(self) -> None:
        self.log = open(self.var / "up.log", "ab")  # noqa: SIM115  closed in stop
        command = [sys.executable, "manage.py", "up", "--port", str(self.port)]
        self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.3)
        self.stop()
        raise RuntimeError(f"the server did not start:\n{(self.var / 'up.log').read_text()[-4000:]}")

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=60)
            self.log.close()

    def __enter__(self) -> "RunningServer":
        self.var.mkdir(parents=True, exist_ok=True)
        database = self.var / "db.sqlite3"
        if not database.exists():
            copy_kept_database(database)
        self.start()
        with closing(sqlite3.connect(database)) as migrated:
            keep_database(migrated)
        self.manage("createsuperuser", "--noinput", "--email", ORGANISER, "--name", "Olga Organiser")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
