"""Environment variables, read strictly: a bad value stops the start and says what to write instead."""

import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off"})


def env_str(name: str, default: str = "") -> str:
    """Value of a variable; unset and empty are the same."""
    return os.environ.get(name, "").strip() or default


def env_bool(name: str, default: bool) -> bool:
    """A switch. Raises ImproperlyConfigured for another word."""
    raw = env_str(name).lower()
    if not raw:
        return default
    if raw in TRUE_WORDS:
        return True
    if raw in FALSE_WORDS:
        return False
    raise ImproperlyConfigured(f"{name}={raw!r} is not yes or no. Write {name}=1 or {name}=0.")


def env_choice(name: str, default: str, choices: set[str]) -> str:
    """One of a few words."""
    value = env_str(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name}={value!r} is none of {', '.join(sorted(choices))}.")
    return value


def env_int(name: str, default: int, *, minimum: int = 0) -> int:
    """A whole number. Raises ImproperlyConfigured for anything else, and below the minimum."""
    raw = env_str(name)
    if not raw:
        return default
    try:
        value = int(raw)
    except ValueError:
        raise ImproperlyConfigured(
            f"{name}={raw!r} is not a whole number. Write for example {name}={default}."
        ) from None
    if value < minimum:
        raise ImproperlyConfigured(f"{name}={value} is below {minimum}. The default is {default}.")
    return value


def env_list(name: str, default: list[str]) -> list[str]:
    """Comma-separated values; blanks are dropped."""
    raw = env_str(name)
    return [part.strip() for part in raw.split(",") if part.strip()] if raw else default


def env_path(name: str, default: Path) -> Path:
    """Absolute path of a folder; it need not exist yet, but must not be a file."""
    raw = env_str(name)
    path = Path(raw).expanduser().resolve() if raw else default
    if path.exists() and not path.is_dir():
        raise ImproperlyConfigured(f"{name}={path} is a file. Name a folder that the server may write to.")
    return path


def env_url(name: str, *, schemes: tuple[str, ...]) -> str:
    """A URL with one of the schemes, or an empty string when unset."""
    raw = env_str(name)
    if raw and raw.partition("://")[0] not in schemes:
        wanted = ", ".join(f"{scheme}://" for scheme in schemes)
        # The value may hold a password: the message names the variable and never its content.
        raise ImproperlyConfigured(f"{name} does not start with one of {wanted}")
    return raw


MAIL_PORTS = {"smtp": 25, "smtp+tls": 587, "smtps": 465}


def env_mail(name: str) -> dict[str, Any]:
    """Django's EMAIL_* settings from one URL: smtp+tls://user:password@host:587.

    Unset, messages are written to files below EMAIL_FILE_PATH; `console://` prints them.
    """
    raw = env_url(name, schemes=(*MAIL_PORTS, "console"))
    if not raw:
        return {"EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend"}
    url = urlsplit(raw)
    if url.scheme == "console":
        return {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}
    try:
        port = url.port or MAIL_PORTS[url.scheme]
    except ValueError:
        raise ImproperlyConfigured(
            f"The port in {name} is not a number. Write for example {name}=smtp://host:25"
        ) from None
    if not url.hostname:
        raise ImproperlyConfigured(f"{name} names no host. Example: {name}=smtp+tls://user:password@host:587")
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": url.hostname,
        "EMAIL_PORT": port,
        "EMAIL_HOST_USER": unquote(url.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(url.password or ""),
        "EMAIL_USE_TLS": url.scheme == "smtp+tls",
        "EMAIL_USE_SSL": url.scheme == "smtps",
    }


def env_sign_in(origins: dict[str, str], scopes: dict[str, list[str]]) -> tuple[dict[str, Any], list[str]]:
    """allauth's SOCIALACCOUNT_PROVIDERS for each provider whose client id is set, and the origins of those.

    origins : where a provider's form leads, by its name.   scopes : what is asked for, where not the default.
    """
    providers: dict[str, Any] = {}
    for name in origins:
        if client_id := env_str(f"{name.upper()}_CLIENT_ID"):
            app = {"client_id": client_id, "secret": env_str(f"{name.upper()}_CLIENT_SECRET")}
            providers[name] = {"APPS": [app], **({"SCOPE": scopes[name]} if name in scopes else {})}
    return providers, [origins[name] for name in providers]


def env_database(url: str) -> dict[str, Any]:
    """Django's settings of the database behind a URL."""
    found: dict[str, Any] = dict(dj_database_url.parse(url, conn_max_age=60, conn_health_checks=True))
    if found["ENGINE"] == "django.db.backends.sqlite3":
        found["OPTIONS"] = {
            # Take the write lock when a transaction begins: one that reads first and writes later
            # would fail at once, without waiting, when another wrote in between.
            "transaction_mode": "IMMEDIATE",
            "timeout": 30,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        }
    elif found["ENGINE"] == "django.db.backends.postgresql":
        # What is given in the URL stands. Without these, whoever waits for an answer over a line that was cut waits
        # for two hours, and holds its job or its thread as long.
        found["OPTIONS"] = {
            "connect_timeout": 5,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 25_000,  # ms
            **found.get("OPTIONS", {}),
        }
    return found


def env_secret(name: str, *, file: Path) -> str:
    """The secret in the environment, or else one that is made once and kept in a file only we can read."""
    value = env_str(name)
    if value:
        if len(value) < 32:
            raise ImproperlyConfigured(
                f"{name} has {len(value)} characters and needs 32 or more. Make one with "
                "`python -c 'import secrets; print(secrets.token_urlsafe(50))'`."
            )
        return value
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        pass
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(secrets.token_urlsafe(50))
    try:
        # Two processes may start at once: the first link stands, the other reads it.
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return file.read_text().strip()


def env_bucket() -> dict[str, Any] | None:
    """Django's storage of files in an S3-compatible bucket, from S3_*; None where no bucket is named."""
    bucket = env_str("S3_BUCKET")
    if not bucket:
        return None
    try:
        from botocore.config import Config
    except ImportError:
        raise ImproperlyConfigured("S3_BUCKET is set without django-storages: install the extra [s3].") from None
    return {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": bucket,
            "endpoint_url": env_url("S3_ENDPOINT_URL", schemes=("https", "http")) or None,
            "access_key": env_str("S3_ACCESS_KEY") or None,
            "secret_key": env_str("S3_SECRET_KEY") or None,
            "default_acl": "private",
            "file_overwrite": False,
            # Not every S3-compatible server knows the checksums that botocore adds by default.
            "client_config": Config(
                request_checksum_calculation="when_required", response_checksum_validation="when_required"
            ),
        },
    }
