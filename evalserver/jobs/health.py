"""State of queue, workers, disk and walls, for the organisers' page; and how organisers stop a job."""

import shutil
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import redis
from celery import current_app
from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import AbstractUser
from django.db import transaction
from django.db.models import Min
from django.utils import timezone
from kombu.exceptions import OperationalError
from kombu.pidbox import Mailbox

from axonem_eval.sandbox import Wall, walls
from evalserver.embedded import recent_restarts
from evalserver.jobs.broker import LAST_SWEEP_KEY, QUEUES, redis_client
from evalserver.jobs.model import FAILED, RUNNING, WAITING, Job
from evalserver.jobs.registry import KINDS
from evalserver.jobs.run import stop_job


class NotStopped(Exception):
    """A job cannot be stopped; the message is for the organiser."""


@dataclass(frozen=True)
class ListedJob:
    """A job as one organiser sees it. name, stage : nothing that this organiser may not read."""

    job: Job
    name: str
    stage: str
    may_stop: bool


@dataclass
class QueueHealth:
    """What the page shows; alarms : sentences, empty when all is well."""

    workers: list[str] = field(default_factory=list)
    queued_tasks: dict[str, int] = field(default_factory=dict)
    last_sweep: datetime | None = None
    waiting: list[ListedJob] = field(default_factory=list)
    running: list[ListedJob] = field(default_factory=list)
    failed: list[ListedJob] = field(default_factory=list)
    disk_free_gb: float = 0.0
    alarms: list[str] = field(default_factory=list)
    protection: list[Wall] = field(default_factory=list)

    @property
    def oldest_waiting(self) -> timedelta | None:
        return timezone.now() - min(row.job.queued_at for row in self.waiting) if self.waiting else None


def queue_health(user: AbstractUser) -> QueueHealth:
    """user : the organiser who looks; jobs on what this one may not read are listed without their names."""
    health = QueueHealth(
        waiting=_jobs(WAITING, user),
        running=_jobs(RUNNING, user),
        failed=_jobs(FAILED, user),
        disk_free_gb=shutil.disk_usage(settings.MEDIA_ROOT).free / 1e9,
        protection=walls(),
    )
    try:
        client = redis_client()
        health.queued_tasks = queue_lengths(client)
        health.last_sweep = last_sweep_of(client)
        health.workers = answering_workers()
    except (redis.RedisError, OperationalError):
        health.alarms.append("Redis does not answer: nothing is evaluated until it is back.")
    _add_alarms(health)
    return health


def answering_workers() -> list[str]:
    """Names of the workers that answer within a second. Who waits for no more than are registered waits for ms."""
    with current_app.connection_or_acquire() as connection:
        registered = connection.default_channel.get_table(Mailbox.exchange_fmt % current_app.conf.control_exchange)
    if not registered:
        return []
    replies = current_app.control.broadcast("ping", reply=True, timeout=1.0, limit=len(registered))
    return sorted(name for reply in replies or [] for name in reply)


def last_sweep_of(client: "redis.Redis") -> datetime | None:
    """When the reconciler last ran."""
    stamp = client.get(LAST_SWEEP_KEY)
    return datetime.fromisoformat(stamp.decode()) if isinstance(stamp, bytes) else None


def job_counts() -> dict[str, int]:
    """Number of jobs that wait, run and failed; without asking the workers."""
    return {
        status: sum(
            kind.model._default_manager.filter(status=status).count()
            for kind in KINDS.values()
            if not kind.may_wait or status != WAITING
        )
        for status in (WAITING, RUNNING, FAILED)
    }


@dataclass(frozen=True)
class KindFigures:
    """Jobs of one kind. oldest_waiting_s : age of the one that waits longest, 0 where none does."""

    name: str
    by_status: dict[str, int]
    oldest_waiting_s: float


def figures() -> list[KindFigures]:
    """For programs that watch the server; the workers are not asked."""
    found = []
    for model, kind in KINDS.items():
        rows = model._default_manager.all()
        counts = {status: rows.filter(status=status).count() for status in (WAITING, RUNNING, FAILED)}
        first = None if kind.may_wait else rows.filter(status=WAITING).aggregate(first=Min("queued_at"))["first"]
        age_s = (timezone.now() - first).total_seconds() if first else 0.0
        found.append(KindFigures(model._meta.model_name or "", counts, age_s))
    return found


def queue_lengths(client: "redis.Redis") -> dict[str, int]:
    """Tasks that wait in each queue."""
    return {name: client.llen(name) for name in QUEUES}


def restart_alarms() -> list[str]:
    """A sentence for each program of `up` that ended by itself within the last hour."""
    return [str(row) for row in recent_restarts(settings.VAR_DIR)]


def _add_alarms(health: QueueHealth) -> None:
    health.alarms += restart_alarms()
    if not health.workers:
        health.alarms.append("No worker answers. Start one; waiting submissions are kept.")
    silent = timedelta(seconds=4 * settings.RECONCILE_SECONDS)
    if health.last_sweep is None or timezone.now() - health.last_sweep > silent:
        health.alarms.append("The reconciler has not run: is `celery beat`, or the control worker, down?")
    if health.oldest_waiting and health.oldest_waiting > timedelta(hours=1):
        health.alarms.append("A job has been waiting for more than an hour: add workers, or look at the running ones.")
    if health.disk_free_gb < 20:
        health.alarms.append(f"Only {health.disk_free_gb:.0f} GB of disk are free for uploads.")


def _jobs(status: str, user: AbstractUser, limit: int = 50) -> list[ListedJob]:
    found: list[ListedJob] = []
    for kind in KINDS.values():
        if kind.may_wait and status == WAITING:
            continue
        app, model = kind.model._meta.app_label, kind.model._meta.model_name
        may_change = user.has_perm(f"{app}.change_{model}")
        may_read = may_change or user.has_perm(f"{app}.view_{model}")
        for job in kind.model._default_manager.filter(status=status).select_related(*kind.named_by)[:limit]:
            name = str(job) if may_read else f"{kind.model._meta.verbose_name} {job.pk}"
            stage = job.stage if may_read else ""  # it may name a volume
            found.append(ListedJob(job, name, stage, may_stop=may_change and job.is_stoppable))
    return sorted(found, key=lambda row: row.job.queued_at)


def stop(task_id: str, *, by: AbstractUser) -> Job:
    """Stop a job that waits or runs, and note who did. Raises NotStopped.

    task_id : as Job.task_id.
    """
    label, _, pk = task_id.rpartition("-")
    kind = next((kind for kind in KINDS.values() if kind.model._meta.label_lower == label), None)
    job = kind.model._default_manager.filter(pk=pk if pk.isdecimal() and len(pk) < 19 else 0).first() if kind else None
    if kind is None or job is None or not job.is_stoppable:
        raise NotStopped("There is no such job.")
    if not by.has_perm(f"{job._meta.app_label}.change_{job._meta.model_name}"):
        raise NotStopped(f"You may not change what this is: {job._meta.verbose_name}.")
    with transaction.atomic():
        if not (kind.stop(job) if kind.stop else stop_job(kind.model, job.pk)):
            raise NotStopped(f"{job} had ended before.")
        LogEntry.objects.log_actions(
            by.pk, type(job)._default_manager.filter(pk=job.pk), CHANGE, "stopped", single_object=True
        )
    return job


def protection_in_words() -> str:
    """The walls around the process that reads uploads, in one line."""
    return ", ".join(f"{wall.name}: {'yes' if wall.given else 'NO'}" for wall in walls())
