"""What is broken, for how long, and how it is put right again."""

import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.chaos.installation import Embedded, Installation, Production

# Programs that run the faults themselves.
FILL = "filling"


@dataclass(frozen=True)
class Fault:
    """kind, what : what was done to whom.   undo : puts it right.   lasts_s : how long until then."""

    kind: str
    what: str
    lasts_s: float = 0.0
    undo: Callable[[], None] = lambda: None


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


class Breaker:
    """Breaks something at random.   dice : seeded, so that a run can be repeated in kind."""

    def __init__(self, server: Installation, dice: random.Random) -> None:
        self.server, self.dice = server, dice
        short, long = (1, 5) if server.fast else (1, 20)
        self._short, self._long = short, long
        self.kinds: dict[str, tuple[int, Callable[[], Fault]]] = {
            "kill": (6, self.kill_process),
            "kill program": (3, self.kill_program),
            "stop and continue": (3, self.stop_process),
            "told to end": (1, self.end_program),
            "redis flushed": (2, self.flush),
            "redis away": (2, self.redis_away),
            "line of participants cut": (2, self.cut_participants),
        }
        if server.isolated:
            self.kinds["disk full"] = (2, self.fill_disk)
        if isinstance(server, Embedded):
            self.kinds["database locked"] = (2, self.lock_database)
        if isinstance(server, Production):
            self.kinds |= {
                "database away": (2, self.database_away),
                "database crashes": (2, self.crash_database),
                "bucket away": (2, self.bucket_away),
                "network cut": (4, self.cut_network),
            }

    def seconds(self) -> float:
        return self.dice.uniform(self._short, self._long)

    def break_something(self) -> Fault:
        names = list(self.kinds)
        kind = self.dice.choices(names, [self.kinds[name][0] for name in names])[0]
        return self.kinds[kind][1]()

    def kill_process(self) -> Fault:
        name, pid = self.dice.choice(self.server.processes())
        _signal(pid, signal.SIGKILL)
        return Fault("kill", name)

    def kill_program(self) -> Fault:
        name, pid = self.dice.choice(self.server.programs())
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        return Fault("kill program", name)

    def end_program(self) -> Fault:
        child = self.dice.choice(self.server.family.children)
        _signal(child.process.pid, child.stop_signal if self.dice.random() < 0.5 else signal.SIGTERM)
        return Fault("told to end", child.name)

    def stop_process(self) -> Fault:
        name, pid = self.dice.choice(self.server.processes())
        lasts = 1.3 * self.server.lease_s if self.dice.random() < 0.25 else self.seconds()
        _signal(pid, signal.SIGSTOP)
        return Fault("stop and continue", name, lasts, lambda: _signal(pid, signal.SIGCONT))

    def flush(self) -> Fault:
        with suppress(redis.RedisError):
            self.server.redis_client().flushall()
        return Fault("redis flushed", "all keys")

    def redis_away(self) -> Fault:
        pid = self.server.redis_child()
        if pid is None:
            return self.kill_process()
        _signal(pid, signal.SIGSTOP)
        return Fault("redis away", "stopped", self.seconds(), lambda: _signal(pid, signal.SIGCONT))

    def cut_participants(self) -> Fault:
        line = self.server.line
        if self.dice.random() < 0.5:
            line.go_dead()
            return Fault("line of participants cut", "its connections carry nothing more")
        line.cut()
        line.down = True
        return Fault("line of participants cut", "refused", self.seconds(), lambda: setattr(line, "down", False))

    def fill_disk(self) -> Fault:
        path = self.server.var / FILL
        _fill(path)
        return Fault("disk full", "", self.seconds(), lambda: path.unlink(missing_ok=True))

    def lock_database(self) -> Fault:
        connection = sqlite3.connect(self.server.var / "db.sqlite3", timeout=10, check_same_thread=False)
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            connection.close()
            return self.kill_process()
        return Fault("database locked", "", 2 * self.seconds(), connection.close)

    def database_away(self) -> Fault:
        line = self.server.database
        line.down = True
        line.cut()
        return Fault("database away", "refused", self.seconds(), lambda: setattr(line, "down", False))

    def bucket_away(self) -> Fault:
        line = self.server.bucket
        line.down = True
        line.cut()
        return Fault("bucket away", "refused", self.seconds(), lambda: setattr(line, "down", False))

    def crash_database(self) -> Fault:
        """A killed process of PostgreSQL makes all of it start anew from its log."""
        backends = _backends_of_postgres()
        if not backends:
            return self.database_away()
        _signal(self.dice.choice(backends), signal.SIGKILL)
        return Fault("database crashes", "one of its processes is killed")

    def cut_network(self) -> Fault:
        machine = self.server.machine
        name = self.dice.choice(self.server.lines)
        machine.set_line(name, up=False)
        lasts = 1.3 * self.server.lease_s if self.dice.random() < 0.15 else self.seconds()
        return Fault("network cut", name, lasts, lambda: machine.set_line(name, up=True))


def _fill(path: Path) -> None:
    """Take all space that is left."""
    block = bytes(2**20)
    for size in (2**20, 4096):
        with path.open("ab", buffering=0) as file, suppress(OSError):
            while file.write(block[:size]):
                pass


def _backends_of_postgres() -> list[int]:
    """Processes that serve a connection. They are children of the server that tests/with_postgres.py started."""
    from tests.chaos.installation import _socket_of_postgres
    from tests.live.live_server import children, command_line

    data = Path(_socket_of_postgres()).parent / "data"
    postmaster = int((data / "postmaster.pid").read_text().split()[0])
    return [pid for pid in children(postmaster) if "axonem" in command_line(pid)]


def wait(seconds: float, over: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not over():
        time.sleep(0.1)
