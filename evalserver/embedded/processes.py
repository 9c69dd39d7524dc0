"""Child processes that end with this one: start, watch, restart and stop them together."""

import contextlib
import logging
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from axonem_eval.processes import die_with_parent
from evalserver.embedded.restarts import REMEMBERED_S, Restarts, write_restarts

logger = logging.getLogger("evalserver.embedded")

# A run of this length means that the earlier end has passed.
STEADY_S = 60.0
LONGEST_DELAY_S = 60.0
MANY_QUICK_ENDS = 3


@dataclass(frozen=True)
class Spec:
    """A program: log is the file of its output, env what it has besides our own environment."""

    log: Path
    command: tuple[str, ...]
    env: dict[str, str]

    def start(self) -> subprocess.Popen[bytes]:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.env},
                # An own group: Ctrl-C in the terminal reaches us alone, and we stop the rest in order.
                start_new_session=True,
                preexec_fn=partial(die_with_parent, signal.SIGKILL, parent=os.getpid()),
            )


@dataclass
class Child:
    """One running program, the leader of its own process group.

    spec : how it is started again; None where it is not.
    ends : times (s since the epoch) of the last hour at which it ended by itself; last_end says how.
    quick_ends : how often it ended since it last ran for STEADY_S.
    """

    name: str
    process: subprocess.Popen[bytes]
    stop_signal: signal.Signals = signal.SIGTERM
    # The others talk to it to their end: it is stopped when they are gone.
    is_foundation: bool = False
    spec: Spec | None = None
    ends: list[float] = field(default_factory=list)
    last_end: str = ""
    quick_ends: int = 0
    started_at: float = field(default_factory=time.monotonic)
    # Time (monotonic) of the next start; None while it runs.
    start_at: float | None = None

    def signal_group(self, signal_number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal_number)


@dataclass
class Family:
    """Programs that run together: when we are told to stop, all of them end. One that ends by itself can be restarted.

    restarts_file : where `keep_running` writes what it had to do, for the organisers' page.
    """

    log_dir: Path
    restarts_file: Path | None = None
    children: list[Child] = field(default_factory=list)

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        is_foundation: bool = False,
    ) -> Child:
        """Start a program with its output in `<log_dir>/<name>.log`."""
        spec = Spec(self.log_dir / f"{name}.log", tuple(command), dict(env or {}))
        child = Child(name, spec.start(), stop_signal, is_foundation, spec)
        self.children.append(child)
        return child

    def keep_running(self) -> None:
        """Start again what has ended by itself: soon at first, later and later if it keeps ending. Call it often."""
        changed = False
        for child in self.children:
            if child.spec is None:
                continue
            if child.start_at is not None:
                if time.monotonic() >= child.start_at:
                    changed |= not _start_again(child, child.spec)
            elif (code := child.process.poll()) is not None:
                # A process of its group may be left, and hold its port.
                child.signal_group(signal.SIGKILL)
                _note_end(child, f"signal {-code}" if code < 0 else f"exit status {code}")
                changed = True
            elif child.quick_ends and time.monotonic() - child.started_at > STEADY_S:
                child.quick_ends = 0
                changed = True
        if changed and self.restarts_file:
            try:
                write_restarts(self.restarts_file, [_restarts_of(child) for child in self.children if child.ends])
            except OSError:  # the disk may be full: it is in the log
                logger.exception("%s could not be written", self.restarts_file)

    def stop(self, grace_s: float = 8.0) -> None:
        """Stop every program, foundations last; what has not ended after the grace is killed."""
        # What waits for its next start is gone, and its number may be another's.
        running = [child for child in self.children if child.start_at is None]
        _stop([child for child in running if not child.is_foundation], grace_s)
        _stop([child for child in running if child.is_foundation], grace_s)
        self.children.clear()


def _note_end(child: Child, how: str) -> None:
    child.quick_ends += 1
    delay_s = min(LONGEST_DELAY_S, 2 ** (child.quick_ends - 1))
    child.start_at = time.monotonic() + delay_s
    child.ends = [at for at in child.ends if at > time.time() - REMEMBERED_S] + [time.time()]
    child.last_end = how
    logger.error("%s has ended (%s); it starts again in %.0f s", child.name, how, delay_s)


def _start_again(child: Child, spec: Spec) -> bool:
    child.started_at = time.monotonic()
    try:
        child.process = spec.start()
    except OSError as error:
        _note_end(child, f"not started: {error}")
        return False
    child.start_at = None
    logger.warning("%s is started again", child.name)
    return True


def _restarts_of(child: Child) -> Restarts:
    return Restarts(child.name, child.ends, child.last_end, child.quick_ends >= MANY_QUICK_ENDS)


def _stop(children: list[Child], grace_s: float) -> None:
    for child in children:
        child.process.send_signal(child.stop_signal)
    deadline = time.monotonic() + grace_s
    for child in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(max(0.1, deadline - time.monotonic()))
        # Also when the leader has gone: a process of its group may be left.
        child.signal_group(signal.SIGKILL)
        child.process.wait()
