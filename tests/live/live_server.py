"""A whole running server with a benchmark and a participant's token."""

import json
from pathlib import Path

from tests.browser.running_server import RunningServer

USER_PASSWORD = "a long enough password"  # of every user that the factories make


MAKE_PARTICIPANT = """
import json
from evalserver.accounts.services import create_token
from tests.factories import make_benchmark, make_user
phase = make_benchmark(("a", "b"), per_day=50)
user = make_user("Ada")
token = create_token(user=user, name="test", scopes=["read", "submit"])[1]
print(json.dumps({"benchmark": phase.benchmark.slug, "token": token, "email": user.email}))
"""


class LiveServer(RunningServer):
    """With a benchmark of two tiny volumes, and a participant's token."""

    benchmark: str
    token: str
    email: str

    def __enter__(self) -> "LiveServer":
        self.environment["UPLOAD_STALL_SECONDS"] = "5"  # how long a dead sender's lock lasts
        super().__enter__()
        made = json.loads(self.manage("shell", "--no-imports", "-c", MAKE_PARTICIPANT).splitlines()[-1])
        self.benchmark, self.token, self.email = made["benchmark"], made["token"], made["email"]
        return self

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Tus-Resumable": "1.0.0"}

    def web_workers(self) -> list[int]:
        """Processes that answer requests: the children of gunicorn's master."""
        assert self.process is not None
        masters = [pid for pid in children(self.process.pid) if "gunicorn" in command_line(pid)]
        return [pid for master in masters for pid in children(master)]


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except FileNotFoundError:
        return ""
