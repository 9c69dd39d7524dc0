"""Tasks of accounts."""

import smtplib

from celery import shared_task

from evalserver.site import send_message


@shared_task(autoretry_for=(OSError, smtplib.SMTPException), retry_backoff=10, max_retries=6)
def send_mail_task(message: dict[str, object]) -> None:
    send_message(message)
