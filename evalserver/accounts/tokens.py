"""Personal API tokens: made, checked and revoked. A key looks like `axonem_3q…` (50 characters)."""

import hashlib
import hmac
import logging
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.core.cache import cache
from django.db import DatabaseError, connection
from django.db.models import Q
from django.utils import timezone

from evalserver.accounts.models import ApiToken, User

logger = logging.getLogger("evalserver.accounts")

# Recognisable, so that scanners of public repositories and people both see what leaked.
PREFIX = "axonem_"
KEY_LENGTH = len(PREFIX) + 43  # 32 bytes in URL-safe base64 without padding
# A resumable upload sends many requests; the time of last use needs no better resolution.
LAST_USE_RESOLUTION = timedelta(minutes=5)
# What only reads does not wait for a lock as a write does, for 30 s.
SHORT_WAIT_MS = 100


def digest_of(raw: str) -> str:
    """What is stored of a token: SHA-256, in hex."""
    return hashlib.sha256(raw.encode("utf-8", "surrogatepass")).hexdigest()


def create_token(
    *, user: User, name: str, scopes: Iterable[str], expires_at: datetime | None = None
) -> tuple[ApiToken, str]:
    """New token and its key. The key cannot be recovered later. Raises ValueError on an unknown or empty scope."""
    wanted = set(scopes)
    unknown = wanted - set(ApiToken.Scope.values)
    if unknown or not wanted:
        raise ValueError(f"scopes {sorted(unknown) or 'are empty'}; choose from {', '.join(ApiToken.Scope.values)}")
    raw = PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=user,
        name=name,
        scopes=[scope for scope in ApiToken.Scope.values if scope in wanted],
        digest=digest_of(raw),
        hint=raw[: len(PREFIX) + 4],
        expires_at=expires_at,
    )
    return token, raw


def authenticate_token(raw: str) -> tuple[User, ApiToken] | None:
    """Owner and token of a key, or None when it is unknown, revoked or expired, or its owner is inactive.

    The look-up is by digest, so its timing reveals nothing about a key.
    """
    if len(raw) != KEY_LENGTH or not raw.startswith(PREFIX):
        return None
    digest = digest_of(raw)
    token = ApiToken.objects.select_related("user").filter(digest=digest).first()
    if token is None or not hmac.compare_digest(token.digest, digest):
        return None
    if not token.is_usable or not token.user.is_active:
        return None
    _note_use(token)
    return token.user, token


def revoke_token(token: ApiToken) -> bool:
    """Revoke a token for good. False if it was revoked before."""
    return ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()) == 1


def _note_use(token: ApiToken) -> None:
    """Write the time of use, at most once in LAST_USE_RESOLUTION; a request that only reads does not fail over it."""
    now = timezone.now()
    due = now - LAST_USE_RESOLUTION
    if token.last_used_at is not None and token.last_used_at > due:
        return
    # While the database is locked one request tries, and the others do not.
    key = f"token-use-{token.digest}"
    if not cache.add(key, 1, timeout=LAST_USE_RESOLUTION.total_seconds()):
        return
    try:
        # Conditional, so that of many parallel requests one writes.
        stale = Q(last_used_at=None) | Q(last_used_at__lte=due)
        with _short_wait():
            ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)
    except DatabaseError as error:
        logger.warning("the last use of token %s… is not noted: %s", token.hint, error)
        return
    cache.delete(key)
    token.last_used_at = now


@contextmanager
def _short_wait() -> Iterator[None]:
    """Where the database is SQLite, which locks all of it, wait for its lock no longer than SHORT_WAIT_MS."""
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        (usual_ms,) = cursor.execute("PRAGMA busy_timeout").fetchone()
        cursor.execute(f"PRAGMA busy_timeout = {SHORT_WAIT_MS}")
        try:
            yield
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {usual_ms}")
