"""Mail of our own: absolute links, and one message from a pair of templates."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.template.loader import render_to_string


def site_url(path: str) -> str:
    """Absolute address of a path on this server, as participants reach it."""
    return f"{settings.SITE_URL}{path}"


def writes_mail_to_files() -> bool:
    """Whether mail goes to files below VAR_DIR/mail, because no mail server is set."""
    return "filebased" in settings.EMAIL_BACKEND


def mail_folder_to_show() -> str:
    """Where mail goes, for pages of a server that only this machine reaches; empty where mail is really sent."""
    if not writes_mail_to_files() or set(settings.ALLOWED_HOSTS) - {*settings.LOCAL_HOSTS, "testserver"}:
        return ""
    folder: Path = settings.EMAIL_FILE_PATH
    return str(folder.relative_to(settings.BASE_DIR) if folder.is_relative_to(settings.BASE_DIR) else folder)


def templated(template: str, *, to: str, subject: str, context: dict[str, Any]) -> EmailMultiAlternatives:
    """A message made of `<template>.txt` with `<template>.html` beside it."""
    context = {"site_name": settings.SITE_NAME, "site_url": site_url("/"), **context}
    message = EmailMultiAlternatives(
        f"[{settings.SITE_NAME}] {' '.join(subject.split())}", render_to_string(f"{template}.txt", context), to=[to]
    )
    message.attach_alternative(render_to_string(f"{template}.html", context), "text/html")
    return message


def send_templated(template: str, *, to: str, subject: str, context: dict[str, Any]) -> None:
    """Send such a message now. Raises what the mail server raises."""
    templated(template, to=to, subject=subject, context=context).send()


def as_json(message: EmailMessage) -> dict[str, Any]:
    """A message for a task: what `send_message` makes a message of again."""
    alternatives = [list(part) for part in getattr(message, "alternatives", [])]
    return {
        "subject": message.subject,
        "body": message.body,
        "from_email": message.from_email,
        "to": message.to,
        "alternatives": alternatives,
    }


def send_message(message: dict[str, Any]) -> None:
    """Send what `as_json` made. Raises what the mail server raises."""
    EmailMultiAlternatives(**message).send()
