"""The kinds of jobs there are. Each app registers its own when Django is ready: this room imports no app."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from evalserver.jobs.model import Job


def no_release(pk: int) -> None:
    """Nothing to give back."""


@dataclass(frozen=True)
class JobKind:
    """What the reconciler and the organisers' page must know of a job model.

    named_by : tables that a job's name is read from.
    release : runs in the transaction that ends a job without a result, e.g. to give back its quota.
    stop : ends a job that waits or runs, False where it had ended; None for `stop_job`.
    may_wait : a long wait is normal, so the organisers' page does not list it.
    """

    model: type[Job]
    named_by: tuple[str, ...] = ()
    release: Callable[[int], None] = no_release
    stop: Callable[[Any], bool] | None = None
    may_wait: bool = False


KINDS: dict[type[Job], JobKind] = {}


def register_job(kind: JobKind) -> None:
    """Have jobs of this kind swept, listed and stopped."""
    KINDS[kind.model] = kind
