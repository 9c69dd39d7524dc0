"""Child processes that end with this one: start, watch and stop them together."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from axonem_eval.processes import die_with_parent


@dataclass
class Child:
    """One running program, the leader of its own process group."""

    name: str
    process: subprocess.Popen[bytes]
    stop_signal: signal.Signals = signal.SIGTERM
    # The others talk to it to their end: it is stopped when they are gone.
    is_foundation: bool = False

    def signal_group(self, signal_number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal_number)


@dataclass
class Family:
    """Programs that run together: when one ends, or we are told to stop, all of them end."""

    log_dir: Path
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
        self.log_dir.mkdir(parents=True, exist_ok=True)
        with (self.log_dir / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                # An own group: Ctrl-C in the terminal reaches us alone, and we stop the rest in order.
                start_new_session=True,
                preexec_fn=partial(die_with_parent, signal.SIGKILL, parent=os.getpid()),
            )
        child = Child(name, process, stop_signal, is_foundation)
        self.children.append(child)
        return child

    def ended(self) -> Child | None:
        """The first program that has ended by itself, or None."""
        return next((child for child in self.children if child.process.poll() is not None), None)

    def stop(self, grace_s: float = 8.0) -> None:
        """Stop every program, foundations last; what has not ended after the grace is killed."""
        _stop([child for child in self.children if not child.is_foundation], grace_s)
        _stop([child for child in self.children if child.is_foundation], grace_s)
        self.children.clear()


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
