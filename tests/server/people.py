"""What tests of accounts share: people, the mail they got, and a site without Redis or collected files."""

import re
from typing import Any
from urllib.parse import urlencode

from django.core import mail
from django.test import Client

from evalserver.accounts.models import User
from evalserver.accounts.services import sign_up

PASSWORD = "seven brown axons"


def plain_site(settings: Any) -> None:
    """Counters in memory, static files as they lie, mail in `django.core.mail.outbox`."""
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.SITE_URL = "https://bench.example.org"
    settings.DEFAULT_FROM_EMAIL = "bench@example.org"
    from django.core.cache import cache

    cache.clear()


def person(name: str, *, team: str = "") -> User:
    """Somebody with a confirmed address: person("ada") is ada@example.org."""
    return sign_up(email=f"{name}@example.org", password=PASSWORD, name=name.title(), team_name=team)


def mail_to(address: str) -> list[Any]:
    return [message for message in mail.outbox if message.to == [address]]


def link_in(message: Any) -> str:
    """Path of the first link in a mail's text."""
    found = re.search(r"https?://[^/\s]+(/\S+)", message.body)
    assert found, message.body
    return found.group(1)


class FormClient(Client):
    """Posts forms as browsers post those without files; multipart is for uploads, and only after a log-in."""

    def post(self, path: str, data: Any = None, *args: Any, **kwargs: Any) -> Any:
        kwargs.setdefault("content_type", "application/x-www-form-urlencoded")
        return super().post(path, urlencode(data or {}, doseq=True), *args, **kwargs)
