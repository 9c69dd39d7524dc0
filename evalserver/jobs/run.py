"""How a worker runs a job to an end state, and how a job whose worker is gone is found and sent again."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import redis
from django.conf import settings
from django.db import models, transaction
from django.db.models import F
from django.utils import timezone

from evalserver.jobs.broker import LAST_SWEEP_KEY, redis_client, send, waiting_task_ids
from evalserver.jobs.complaints import STOPPED
from evalserver.jobs.model import (
    FAILED,
    HOLDER,
    REJECTED,
    RUNNING,
    WAITING,
    Job,
    Lease,
    LeaseLost,
    change_status,
    claim,
    is_stale,
    new_incident_id,
)
from evalserver.jobs.registry import KINDS
from evalserver.unavailable import unavailable

logger = logging.getLogger("evalserver.jobs")


class Rejection(Exception):
    """The input is at fault. complaints : JSON-able, each with at least `code` and `message`."""

    def __init__(self, complaints: list[dict[str, Any]]) -> None:
        super().__init__(f"{len(complaints)} complaints")
        self.complaints = complaints


def run_job(model: type[Job], pk: int, work: Callable[[Lease], None]) -> None:
    """Claim a job and do the work, which ends it with `lease.finish`. An exception becomes an end state."""
    lease = claim(model, pk)
    if lease is None:
        logger.info("%s %s is not waiting; nothing to do", model.__name__, pk)
        return
    try:
        with lease:
            work(lease)
    except LeaseLost:
        _say_dropped(lease)
    except Rejection as rejection:
        with transaction.atomic():
            # A lost lease is no error here: whoever holds it will come to the same complaints.
            if change_status(
                model,
                pk,
                sources=[RUNNING],
                target=REJECTED,
                token=lease.token,
                complaints=rejection.complaints,
            ):
                KINDS[model].release(pk)
    except Exception as error:
        if lease.lost:
            # Whatever broke while the work was being stopped is nobody's fault.
            _say_dropped(lease)
            return
        _after_error(lease, error)


def _after_error(lease: Lease, error: Exception) -> None:
    """Send the job again, or fail it. What database, bucket or disk cannot do now is not the job's fault."""
    passing = unavailable(error)
    if passing:
        logger.exception("%s %s is tried again later: %s", lease.model.__name__, lease.pk, passing.message)
        if change_status(
            lease.model, lease.pk, sources=[RUNNING], target=WAITING, token=lease.token, attempts=F("attempts") - 1
        ):
            send(lease.model._default_manager.get(pk=lease.pk), countdown=settings.RECONCILE_SECONDS)
        return
    incident_id = new_incident_id()
    logger.exception("incident %s: %s %s", incident_id, lease.model.__name__, lease.pk)
    retry_or_fail(
        lease.model, lease.pk, token=lease.token, incident_id=incident_id, most_attempts=settings.MAX_ATTEMPTS
    )


def _say_dropped(lease: Lease) -> None:
    logger.warning("%s %s was stopped or taken over; this worker's results are dropped", lease.model.__name__, lease.pk)


def stop_job(model: type[Job], pk: int, *, target: str = REJECTED) -> bool:
    """End a job that waits or runs; its worker notices by its lease. False if it had ended before.

    target : REJECTED, or the model's own word where an earlier result stands.
    """
    with transaction.atomic():
        stopped = change_status(model, pk, sources=[WAITING, RUNNING], target=target, complaints=[STOPPED])
        if stopped and target == REJECTED:
            KINDS[model].release(pk)
    return stopped


def retry_or_fail(
    model: type[Job],
    pk: int,
    *,
    incident_id: str,
    token: str | None = None,
    condition: models.Q | None = None,
    most_attempts: int,
) -> str | None:
    """Send a running job again, or fail it after so many attempts; its new status, or None when it had moved on."""
    condition = condition or models.Q()
    last = models.Q(attempts__gte=most_attempts)
    with transaction.atomic():
        if change_status(
            model,
            pk,
            sources=[RUNNING],
            target=FAILED,
            token=token,
            extra=condition & last,
            incident_id=incident_id,
        ):
            KINDS[model].release(pk)
            return FAILED
        if change_status(model, pk, sources=[RUNNING], target=WAITING, token=token, extra=condition & ~last):
            send(model._default_manager.get(pk=pk), countdown=settings.RETRY_DELAY_SECONDS)
            return WAITING
    return None


@dataclass
class Sweep:
    """What one round of the reconciler did: numbers of rows."""

    sent_again: int = 0
    taken_back: int = 0
    failed: int = 0


def sweep() -> Sweep:
    """Find jobs that no worker has and no queue holds, and send them again."""
    result = Sweep()
    try:
        client = redis_client()
        queued, held = waiting_task_ids(client)
    except redis.RedisError:
        logger.exception("Redis does not answer; waiting rows are sent when it is back")
        client, queued, held = None, set(), set()
    for model in KINDS:
        _take_back_stale(model, result)
        if client is not None:
            _send_lost(model, queued, held, result)
    if client is not None:
        client.set(LAST_SWEEP_KEY, timezone.now().isoformat())
    return result


def _take_back_stale(model: type[Job], result: Sweep) -> None:
    for pk in list(model._default_manager.filter(is_stale(), status=RUNNING).values_list("pk", flat=True)):
        incident_id = new_incident_id()
        status = retry_or_fail(
            model, pk, incident_id=incident_id, condition=is_stale(), most_attempts=settings.MAX_LOST_WORKERS
        )
        if status == FAILED:
            logger.error("incident %s: the worker of %s %s died too often", incident_id, model.__name__, pk)
            result.failed += 1
        elif status == WAITING:
            logger.warning("the worker of %s %s is gone; sent again", model.__name__, pk)
            result.taken_back += 1


def _send_lost(model: type[Job], queued: set[str], held: set[str], result: Sweep) -> None:
    now = timezone.now()
    just_sent = timedelta(seconds=min(10, settings.LEASE_SECONDS))
    # A worker that died between taking a task and claiming its row leaves the task "held" for an hour.
    held_too_long = timedelta(seconds=settings.LEASE_SECONDS + settings.RETRY_DELAY_SECONDS)
    for job in model._default_manager.filter(status=WAITING, queued_at__lt=now - just_sent):
        if job.task_id in queued or (job.task_id in held and now - job.queued_at < held_too_long):
            continue
        # Only the reconciler that changes queued_at sends the task: two of them do not both send it.
        if model._default_manager.filter(pk=job.pk, status=WAITING, queued_at=job.queued_at).update(queued_at=now):
            send(job)
            result.sent_again += 1


def release_all_leases() -> int:
    """Make every running job stale at once; only for a start at which no worker can be alive."""
    return sum(m._default_manager.filter(status=RUNNING).update(heartbeat_at=_long_ago()) for m in KINDS)


def give_back(forgiven: set[str], *, now: bool) -> int:
    """Do not count the attempts of this worker's running jobs: it is stopped, and they are not to blame.

    forgiven : lease tokens whose attempt is not counted already; those of this call are added.
    now : also let go of the jobs, so that the next sweep sends them again; without it they may still end here.
    Returns the number of jobs.
    """
    changes: dict[str, Any] = {"lease_token": "", "heartbeat_at": _long_ago()} if now else {}
    given = 0
    for model in KINDS:
        held = model._default_manager.filter(status=RUNNING, lease_token__startswith=HOLDER)
        for pk, token in list(held.values_list("pk", "lease_token")):
            less = {} if token in forgiven else {"attempts": F("attempts") - 1}
            if less or changes:
                given += held.filter(pk=pk, lease_token=token).update(**less, **changes)
            forgiven.add(token)
    return given


def _long_ago() -> datetime:
    return timezone.now() - timedelta(days=1)
