"""What a request answers when the database or the disk cannot take it now: 503 or 507, and never our own 500."""

import errno
import sqlite3
import sys
from dataclasses import dataclass

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.defaults import server_error

RETRY_AFTER_S = 10
# Of SQLite's errors, those that pass: the others (no such table, read-only file) are faults of the installation.
PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
DISK_FULL_OF_POSTGRESQL = "53100"


@dataclass(frozen=True)
class Unavailable:
    """Why a request was not carried out, though nothing is wrong with it nor with the program."""

    status: int
    code: str
    message: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(RETRY_AFTER_S)} if self.status == 503 else {}


BUSY = Unavailable(503, "busy", f"The database cannot take this now. Try again in {RETRY_AFTER_S} s.")
FULL = Unavailable(507, "disk_full", "This server has no space left. Tell the organisers.")


def unavailable(error: BaseException | None) -> Unavailable | None:
    """The answer to an exception that the state of the machine caused; None where it has another cause."""
    if isinstance(error, OSError):
        return FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
    if not isinstance(error, OperationalError | InterfaceError):
        return None
    cause = error.__cause__
    if not isinstance(cause, sqlite3.Error):
        # Of PostgreSQL both kinds say that the server is away, overloaded or out of space.
        return FULL if getattr(cause, "sqlstate", None) == DISK_FULL_OF_POSTGRESQL else BUSY
    primary = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    if primary == sqlite3.SQLITE_FULL:
        return FULL
    return BUSY if primary in PASSING else None


def answer_to_exception(request: HttpRequest) -> HttpResponse:
    """Django's `handler500`. The page asks no database."""
    found = unavailable(sys.exc_info()[1])
    if found is None:
        return server_error(request)
    return HttpResponse(render_to_string(f"{found.status}.html"), status=found.status, headers=found.headers)
