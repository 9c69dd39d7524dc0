"""What waits in Redis, and how to put a job there."""

import json
import logging
from functools import partial
from typing import Any

import redis
from celery import current_app
from django.conf import settings
from django.db import transaction

from evalserver.jobs.model import Job

logger = logging.getLogger("evalserver.queue")

JOB_QUEUE = settings.CELERY_TASK_DEFAULT_QUEUE
CONTROL_QUEUE = "control"
DIAGNOSIS_QUEUE = "diagnosis"
QUEUES = (JOB_QUEUE, CONTROL_QUEUE, DIAGNOSIS_QUEUE)
LAST_SWEEP_KEY = "evalserver:last-sweep"


def redis_client() -> "redis.Redis":
    """A connection to Redis that gives up after seconds."""
    url = settings.REDIS_URL.replace("redis+socket://", "unix://", 1)
    return redis.Redis.from_url(url, socket_connect_timeout=3, socket_timeout=5)


def send(job: Job, *, countdown: int = 0) -> None:
    """Queue the task of a job once the current transaction is committed.

    While Redis does not answer, the row stays `uploaded`. The reconciler sends it when Redis is back.
    """
    transaction.on_commit(partial(_publish, job.TASK, job.pk, job.task_id, countdown), robust=True)


def _publish(task: str, pk: int, task_id: str, countdown: int) -> None:
    try:
        current_app.send_task(task, args=[pk], task_id=task_id, countdown=countdown or None)
    except Exception:
        logger.exception("could not queue %s; the reconciler will", task_id)


def waiting_task_ids(client: "redis.Redis") -> tuple[set[str], set[str]]:
    """Ids of the tasks in the queues, and of those that a worker holds unacknowledged."""
    queued = {_task_id(json.loads(raw)) for name in QUEUES for raw in client.lrange(name, 0, -1)}
    held = {_task_id(json.loads(raw)[0]) for raw in client.hvals("unacked")}
    return queued, held


def _task_id(message: dict[str, Any]) -> str:
    return str(message["headers"]["id"])
