"""Tasks of accounts."""

import logging
import smtplib
from functools import partial
from typing import Any

from celery import shared_task
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from kombu.exceptions import OperationalError

from evalserver.site import as_json, send_message, templated

logger = logging.getLogger("evalserver.accounts")


@shared_task(autoretry_for=(OSError, smtplib.SMTPException), retry_backoff=10, max_retries=6)
def send_mail_task(message: dict[str, object]) -> None:
    """Send a mail that `as_json` wrote."""
    send_message(message)


def queue_mail(template: str, *, to: str, subject: str, context: dict[str, Any]) -> None:
    """Have a worker send a message once the current transaction is committed; see `site.templated`.

    Without a queue it is lost: only for news that pages tell as well.
    """
    message = templated(template, to=to, subject=subject, context=context)
    transaction.on_commit(partial(_queue, message), robust=True)


def _queue(message: EmailMultiAlternatives) -> None:
    try:
        send_mail_task.delay(as_json(message))
    except OperationalError:
        logger.exception("no queue for the mail %s", message.subject)
