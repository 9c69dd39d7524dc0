"""State of queue, workers and disk, for the organisers' page."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import redis
from celery import current_app
from django.conf import settings
from django.utils import timezone
from kombu.exceptions import OperationalError

from evalserver.benchmarks.models import GroundTruth
from evalserver.jobs import FAILED, RUNNING, UPLOADED, Job
from evalserver.queue import LAST_SWEEP_KEY, QUEUES, redis_client
from evalserver.submissions.models import Diagnosis, Submission


@dataclass
class QueueHealth:
    """What the page shows; alarms : sentences, empty when all is well."""

    workers: list[str] = field(default_factory=list)
    queued_tasks: dict[str, int] = field(default_factory=dict)
    last_sweep: datetime | None = None
    waiting: list[Job] = field(default_factory=list)
    running: list[Job] = field(default_factory=list)
    failed: list[Job] = field(default_factory=list)
    disk_free_gb: float = 0.0
    alarms: list[str] = field(default_factory=list)

    @property
    def oldest_waiting(self) -> timedelta | None:
        return timezone.now() - min(job.queued_at for job in self.waiting) if self.waiting else None


def queue_health() -> QueueHealth:
    health = QueueHealth(
        waiting=_jobs(UPLOADED),
        running=_jobs(RUNNING),
        failed=_jobs(FAILED),
        disk_free_gb=shutil.disk_usage(settings.MEDIA_ROOT).free / 1e9,
    )
    try:
        client = redis_client()
        health.queued_tasks = {name: client.llen(name) for name in QUEUES}
        stamp = client.get(LAST_SWEEP_KEY)
        health.last_sweep = datetime.fromisoformat(stamp.decode()) if stamp else None
        health.workers = sorted(reply for row in current_app.control.ping(timeout=1.0) for reply in row)
    except (redis.RedisError, OperationalError):
        health.alarms.append("Redis does not answer: nothing is evaluated until it is back.")
    _add_alarms(health)
    return health


def _add_alarms(health: QueueHealth) -> None:
    if not health.workers:
        health.alarms.append("No worker answers. Start one; waiting submissions are kept.")
    silent = timedelta(seconds=4 * settings.RECONCILE_SECONDS)
    if health.last_sweep is None or timezone.now() - health.last_sweep > silent:
        health.alarms.append("The reconciler has not run: is `celery beat`, or the control worker, down?")
    if health.oldest_waiting and health.oldest_waiting > timedelta(hours=1):
        health.alarms.append("A job has been waiting for more than an hour: add workers, or look at the running ones.")
    if health.disk_free_gb < 20:
        health.alarms.append(f"Only {health.disk_free_gb:.0f} GB of disk are free for uploads.")


def _diagnoses(status: str) -> Sequence[Job]:
    return Diagnosis.objects.filter(status=status).select_related("volume_file__volume")


def _jobs(status: str, limit: int = 50) -> list[Job]:
    submissions: Sequence[Job] = Submission.objects.filter(status=status).select_related("team")[:limit]
    registrations: Sequence[Job] = GroundTruth.objects.filter(status=status).select_related("volume")[:limit]
    # Diagnoses may wait: they come last on purpose.
    diagnoses = [] if status == UPLOADED else _diagnoses(status)[:limit]
    return sorted([*registrations, *submissions, *diagnoses], key=lambda job: job.queued_at)
