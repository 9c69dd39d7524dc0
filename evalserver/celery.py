"""The Celery application. Tasks carry ids, but for mail of accounts; every one may be delivered twice, or never."""

import logging
import os
from typing import Any

from celery import Celery
from celery.signals import beat_init, setup_logging, worker_init, worker_process_init
from django.core.exceptions import ImproperlyConfigured

from axonem_eval.processes import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evalserver.settings")

logger = logging.getLogger("evalserver.celery")

app = Celery("evalserver")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_process_init.connect
def end_with_the_worker(**_: Any) -> None:
    # A pool process whose worker was killed would go on reading a volume that nobody waits for.
    die_with_parent()


@worker_init.connect
def start_worker(**_: Any) -> None:
    _prepare("The worker")
    from evalserver.jobs.health import protection_in_words

    logger.info("walls around the process that reads uploads: %s", protection_in_words())


@beat_init.connect
def start_timer(**_: Any) -> None:
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
