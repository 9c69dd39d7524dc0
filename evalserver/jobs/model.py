"""Rows that a worker processes: their status, lease and progress.

A job's row is the truth, its Celery task only a wake-up call that may come twice or never:

    uploaded ──claim──▶ running ──▶ done (the model's own word) | rejected (the input's fault) | failed (ours)
        ▲                  │
        └──lease is stale──┘   at most MAX_ATTEMPTS times, then failed

A worker that is told to stop takes its attempt back (`run.give_back`): attempts count deaths, not stops.
`change_status` is the only place where the status of a job changes. Who claims a row gets a random fencing token; a
worker that was taken for dead and comes back holds an old token, and its results are refused.
"""

import logging
import math
import secrets
import signal
import threading
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, ClassVar, Self

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import DatabaseError, connection, models
from django.utils import timezone

from evalserver.jobs.complaints import bounded

logger = logging.getLogger("evalserver.jobs")

# The stored word for a waiting job is older than the jobs that are no uploads.
WAITING, RUNNING, REJECTED, FAILED = "uploaded", "running", "rejected", "failed"


# Begins every lease token of this process and of those it forks: a worker finds the jobs of its pool by it.
HOLDER = secrets.token_hex(8)
# Celery's pool has its own use for USR1.
INTERRUPT = signal.SIGUSR2
# How often a worker looks whether its job is still its own.
LOOK_SECONDS = 1.0
# How long work that lost its job may take to ask for it, before it is interrupted; and again after.
TELL_SECONDS, TELL_AGAIN_SECONDS = 2.0, 10.0


class LeaseLost(Exception):
    """Another worker has taken this job, or it was stopped. The worker must end and write nothing."""


class Job(models.Model):
    """State of one job. `stage` and `percent` are words for the progress bar, never state."""

    DONE_STATUS: ClassVar[str]
    TASK: ClassVar[str]  # name of the Celery task that takes this model's ids
    is_stoppable: ClassVar[bool] = True  # by an organiser

    status = models.CharField(max_length=10, default=WAITING, db_index=True, editable=False)
    stage = models.CharField(max_length=120, blank=True, editable=False)
    percent = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(100)], editable=False)
    attempts = models.PositiveSmallIntegerField(default=0, editable=False)
    queued_at = models.DateTimeField(default=timezone.now, editable=False)
    claimed_at = models.DateTimeField(null=True, editable=False)
    heartbeat_at = models.DateTimeField(null=True, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)
    lease_token = models.CharField(max_length=32, blank=True, editable=False)
    complaints = models.JSONField(default=list, blank=True, editable=False)
    incident_id = models.CharField(max_length=16, blank=True, editable=False)

    class Meta:
        abstract = True

    @property
    def is_active(self) -> bool:
        """Whether a worker has it or will get it."""
        return self.status in (WAITING, RUNNING)

    @property
    def seconds_left(self) -> float | None:
        """Rough estimate of what the run still takes, by how far it has come; None while that says nothing."""
        if self.status != RUNNING or self.claimed_at is None or self.percent < 5:
            return None
        return (timezone.now() - self.claimed_at).total_seconds() * (100 - self.percent) / self.percent

    @property
    def task_id(self) -> str:
        """Name of the Celery task that wakes this job, by which the reconciler finds it in the queue."""
        return f"{self._meta.label_lower}-{self.pk}"


def change_status(
    model: type[Job],
    pk: int,
    *,
    sources: Iterable[str],
    target: str,
    token: str | None = None,
    extra: models.Q | None = None,
    **changes: Any,
) -> bool:
    """Move one row from one of the source states to the target, if it is still there; True when it moved.

    token : when given, only the holder of this lease moves it.
    changes : further fields, written in the same statement.
    """
    if "complaints" in changes:
        changes["complaints"] = bounded(changes["complaints"])
    condition = models.Q(pk=pk, status__in=list(sources))
    if token is not None:
        condition &= models.Q(lease_token=token)
    if extra is not None:
        condition &= extra
    if target == WAITING:
        changes = {"stage": "Waiting for a worker", "percent": 0, "queued_at": timezone.now(), **changes}
    if target != RUNNING:
        changes = {"lease_token": "", "heartbeat_at": None, **changes}
    if target not in (WAITING, RUNNING):
        changes = {"stage": "", "finished_at": timezone.now(), **changes}
    return model._default_manager.filter(condition).update(status=target, **changes) == 1


def claim(model: type[Job], pk: int) -> "Lease | None":
    """Lease of a waiting job, or None when somebody else has it or it is done."""
    token, now = HOLDER + secrets.token_hex(8), timezone.now()
    claimed = change_status(
        model,
        pk,
        sources=[WAITING],
        target=RUNNING,
        lease_token=token,
        claimed_at=now,
        heartbeat_at=now,
        finished_at=None,
        incident_id="",
        stage="Starting",
        attempts=models.F("attempts") + 1,
    )
    return Lease(model, pk, token) if claimed else None


class Lease:
    """The right to process one job, renewed by a thread while the `with` block runs.

    When it is lost, LeaseLost is raised in the block within a few seconds: also while the block waits for a child
    or computes, where it runs in the main thread as in a worker's process; elsewhere at the next call of `check`.
    """

    def __init__(self, model: type[Job], pk: int, token: str) -> None:
        self.model, self.pk, self.token = model, pk, token
        self.lost = False
        self._progress = ("Starting", 0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew_until_stopped, name=f"lease-{pk}", daemon=True)

    def __enter__(self) -> Self:
        self._listen()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._stop.set()
        except LeaseLost:  # it was lost at this very moment
            self._stop.set()
        self._thread.join()
        if self._interrupts:
            signal.signal(INTERRUPT, self._earlier)

    def _listen(self) -> None:
        self._tell_at = math.inf
        self._interrupts = threading.current_thread() is threading.main_thread()
        if self._interrupts:
            self._earlier = signal.signal(INTERRUPT, self._interrupt)

    def _interrupt(self, *_: object) -> None:
        # Not on the way out of the block: whatever happens there, `finish` looks at the row itself.
        if not self._stop.is_set():
            self.check()

    def check(self) -> None:
        """Raise LeaseLost when another worker holds the job by now."""
        if self.lost:
            raise LeaseLost(f"{self.model.__name__} {self.pk}")

    def progress(self, stage: str, percent: float) -> None:
        """Report progress. It is cheap, so call it often. Raises LeaseLost when the lease is lost."""
        self.check()
        self._progress = (stage[:120], min(100, max(0, int(percent))))

    def finish(self, target: str, **changes: Any) -> None:
        """Write the end state; raises when another worker holds the job by now.

        Call it first in the transaction that writes the results: the refusal then undoes them all.
        """
        if not change_status(self.model, self.pk, sources=[RUNNING], target=target, token=self.token, **changes):
            raise LeaseLost(f"{self.model.__name__} {self.pk}")

    def _renew_until_stopped(self) -> None:
        renew_every = settings.LEASE_SECONDS / 4
        last_write, written = time.monotonic(), self._progress
        # A job that hangs keeps its thread alive: past the limit it is left to the reconciler.
        give_up_at = time.monotonic() + settings.MAX_RUN_SECONDS
        try:
            while not self._stop.wait(min(LOOK_SECONDS, renew_every)) and time.monotonic() < give_up_at:
                if self.lost:
                    self._tell()
                elif self._progress == written and time.monotonic() - last_write < renew_every:
                    self._look()
                elif self._write():
                    last_write, written = time.monotonic(), self._progress
        finally:
            connection.close()

    def _row(self) -> models.QuerySet["Job"]:
        return self.model._default_manager.filter(pk=self.pk, status=RUNNING, lease_token=self.token)

    def _look(self) -> None:
        try:
            self._set_lost(not self._row().exists())
        except DatabaseError:
            connection.close()

    def _tell(self) -> None:
        # Only when nothing came of `check`, so that a block that cleans up is not cut off; again, as what it waits
        # for may swallow an exception.
        if self._interrupts and time.monotonic() > self._tell_at:
            self._tell_at = time.monotonic() + TELL_AGAIN_SECONDS
            signal.pthread_kill(threading.main_thread().ident or 0, INTERRUPT)

    def _write(self) -> bool:
        stage, percent = self._progress
        try:
            rows = self._row().update(heartbeat_at=timezone.now(), stage=stage, percent=percent)
        except DatabaseError:
            # The database may be away for a moment; the lease lasts a few more tries.
            logger.warning("could not renew the lease of %s %s", self.model.__name__, self.pk, exc_info=True)
            connection.close()
            return False
        self._set_lost(rows == 0)
        return not self.lost

    def _set_lost(self, lost: bool) -> None:
        if lost and not self.lost:
            self._tell_at = time.monotonic() + TELL_SECONDS
        self.lost = lost


def new_incident_id() -> str:
    """What a user quotes and an organiser finds in the log."""
    return secrets.token_hex(5)


def is_stale() -> models.Q:
    """Condition of running rows whose worker has been silent for longer than a lease."""
    return models.Q(heartbeat_at__lt=timezone.now() - timedelta(seconds=settings.LEASE_SECONDS))
