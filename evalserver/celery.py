"""The Celery application. Tasks carry ids only; every one of them may be delivered twice, or never."""

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_process_init

from evalserver.processes import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evalserver.settings")

app = Celery("evalserver")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_process_init.connect
def end_with_the_worker(**_: Any) -> None:
    # A pool process whose worker was killed would go on reading a volume that nobody waits for.
    die_with_parent()


@setup_logging.connect
def keep_django_logging(**_: Any) -> None:
    """Settings configure the log; without this receiver Celery would replace the handlers."""
