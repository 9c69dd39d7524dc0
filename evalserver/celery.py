"""The Celery application. Tasks carry ids, but for mail of accounts; every one may be delivered twice, or never."""

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from types import FrameType
from typing import Any

from celery import Celery
from celery.signals import (
    beat_init,
    setup_logging,
    task_postrun,
    task_prerun,
    worker_init,
    worker_process_init,
    worker_ready,
)
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from axonem_eval.processes import die_with_parent
from evalserver.log_format import job_id

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evalserver.settings")

logger = logging.getLogger("evalserver.celery")

app = Celery("evalserver")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@task_prerun.connect
def name_the_job(task_id: str, **_: Any) -> None:
    """Lines of the log say which task they are of."""
    job_id.set(task_id)


@task_postrun.connect
def name_no_job(**_: Any) -> None:
    """Log lines after a task name no job."""
    job_id.set("")


@worker_process_init.connect
def end_with_the_worker(**_: Any) -> None:
    """A pool process ends when its worker does."""
    # A pool process whose worker was killed would go on reading a volume that nobody waits for.
    die_with_parent()


@worker_init.connect
def start_worker(**_: Any) -> None:
    """Check the settings before a worker takes tasks."""
    _prepare("The worker")
    # The folders of confined processes too: the timer removes there what a killed worker leaves.
    tempfile.tempdir = str(settings.SCRATCH_DIR)
    from evalserver.jobs.health import protection_in_words

    logger.info("walls around the process that reads uploads: %s", protection_in_words())


@worker_ready.connect
def give_jobs_back_when_stopped(**_: Any) -> None:
    """Stand before Celery's handlers: its own signal of a stop comes when the pool has ended, or not at all."""
    forgiven: set[str] = set()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        handler = signal.getsignal(number)
        # The worker is ready again after each loss of Redis.
        if callable(handler) and not hasattr(handler, "gives_back"):
            signal.signal(number, _giving_back(handler, forgiven, os.getpid()))


def _giving_back(
    handler: Callable[[int, FrameType | None], Any], forgiven: set[str], worker: int
) -> Callable[[int, FrameType | None], None]:
    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() == worker:  # a process of its pool inherits the handler
            _give_back(forgiven, now=number == signal.SIGQUIT)
        handler(number, frame)

    stop.gives_back = True  # type: ignore[attr-defined]
    return stop


def _give_back(forgiven: set[str], *, now: bool) -> None:
    from django.db import DatabaseError, connection

    from evalserver.jobs import give_back

    try:
        given = give_back(forgiven, now=now)
    except DatabaseError as error:
        # The stop goes on. The leases run out, and the attempts count.
        said = f"the running jobs could not be given back, and count an attempt: {error}"
    else:
        said = f"{given} running jobs {'are given back' if now else 'may end'}; no attempt is counted"
    finally:
        connection.close()
    # Not the log: its stream refuses a second writer while the signal interrupted the first.
    os.write(sys.stderr.fileno(), f"worker: told to stop: {said}\n".encode())


@beat_init.connect
def start_timer(**_: Any) -> None:
    """Check the settings before the timer sends tasks."""
    _prepare("The timer")


def _prepare(program: str) -> None:
    from evalserver.start import refuse_or_prepare

    try:
        refuse_or_prepare(program)
    except ImproperlyConfigured as refusal:
        # Celery would log any other exception of a receiver, and start.
        raise SystemExit(str(refusal)) from None


@setup_logging.connect
def keep_django_logging(**_: Any) -> None:
    """Settings configure the log; without this receiver Celery would replace the handlers."""
