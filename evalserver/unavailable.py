"""Exceptions whose cause is not our code: the state of the machine, or a value that no database stores."""

import errno
import sqlite3
import sys
from dataclasses import dataclass

from django.db import DataError, InterfaceError, OperationalError

from axonem_eval.sandbox import OtherCode

RETRY_AFTER_S = 10
# Of SQLite's errors, those that pass: the others (no such table, read-only file) are faults of the installation.
PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
DISK_FULL_OF_POSTGRESQL = "53100"


@dataclass(frozen=True)
class Unavailable:
    """Why something was not carried out, though nothing is wrong with it nor with the program."""

    status: int
    code: str
    message: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(RETRY_AFTER_S)} if self.status == 503 else {}


BUSY = Unavailable(503, "busy", f"The database cannot take this now. Try again in {RETRY_AFTER_S} s.")
NO_FILES = Unavailable(503, "busy", f"The store of files does not answer. Try again in {RETRY_AFTER_S} s.")
UPGRADE = Unavailable(503, "busy", "The server is being upgraded, and this program is still the earlier release.")
FULL = Unavailable(507, "disk_full", "This server has no space left. Tell the organisers.")


def unavailable(error: BaseException | None) -> Unavailable | None:
    """What of the machine caused an exception; None where it has another cause."""
    if _is_of_bucket(error):
        return NO_FILES
    if isinstance(error, OtherCode):
        return UPGRADE
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


def _is_of_bucket(error: BaseException | None) -> bool:
    """Whether the bucket did not answer, or answered that it cannot now."""
    # Only an installation with a bucket has the package.
    kinds = sys.modules.get("botocore.exceptions")
    if kinds is None or error is None:
        return False
    if isinstance(error, kinds.ClientError):
        return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) >= 500
    return isinstance(error, kinds.HTTPClientError | kinds.ConnectionError)


def cannot_be_stored(error: Exception) -> bool:
    """Whether a value of the request is one that the database can neither store nor look for.

    No page of ours leads to one: a NUL in a text, or a number beyond the column's range, such as an id of 100 digits.
    """
    if isinstance(error, OverflowError):
        return "SQLite INTEGER" in str(error)
    return isinstance(error, DataError) and ("NUL" in str(error) or "out of range" in str(error))
