"""The complaints about a rejected file: bounded in length, each with a code.

A complaint is a JSON object with at least `code` and `message`, and `volume` where it is about one of several files.
"""

import re
from collections.abc import Iterable
from itertools import accumulate
from typing import Any

# In all; it goes into the database, every page, every answer of the API and a mail.
MOST_BYTES = 4096
# One message. A message that quotes the file may quote all of it.
LONGEST_MESSAGE = 600
LONGEST_CODE = 60
# Rejections that kept a worker busy: they count against a team's limits.
COSTLY = frozenset({"too_slow", "too_much_memory", "reader_crashed", "stopped"})
STOPPED = {
    "volume": "",
    "code": "stopped",
    "message": "Stopped by an organiser. Ask the organisers why; they can start it again.",
}


def under_own_name(message: str, stored_name: str, own_name: str) -> str:
    """A message that names a file as its owner does: not by the name, nor by the folder, that we store it under."""
    stored = re.escape(stored_name.rpartition("/")[2])
    return re.sub(rf"[^\s'\"]*{stored}", lambda _: own_name, message) if stored else message


def bounded(complaints: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The complaints in at most about MOST_BYTES of text: for each file as many as fit, and how many more there are.

    Where not all of them fit, the first one of each code does before a second one of any.
    """
    by_volume: dict[str, list[dict[str, Any]]] = {}
    for complaint in complaints:
        by_volume.setdefault(str(complaint.get("volume", "")), []).append(_cut(complaint))
    room = MOST_BYTES // max(1, len(by_volume))
    return [kept for rows in by_volume.values() for kept in _fitting(rows, room)]


def is_costly(complaints: Iterable[dict[str, Any]]) -> bool:
    """Whether a rejection for these reasons counts against the limits."""
    return any(complaint.get("code") in COSTLY for complaint in complaints)


def _cut(complaint: dict[str, Any]) -> dict[str, Any]:
    message, code = str(complaint["message"]), str(complaint["code"])
    if len(message) > LONGEST_MESSAGE:
        message = f"{message[: LONGEST_MESSAGE - 1]}…"
    return {**complaint, "code": code[:LONGEST_CODE], "message": message}


def _fitting(rows: list[dict[str, Any]], room: int) -> list[dict[str, Any]]:
    sizes = [len(f"{row['code']}{row['message']}".encode()) for row in rows]
    if sum(sizes) <= room:
        return rows
    first_of: dict[str, int] = {}
    for i, row in enumerate(rows):
        first_of.setdefault(row["code"], i)
    order = sorted(range(len(rows)), key=lambda i: (first_of[rows[i]["code"]] != i, i))
    # The first one always stays: it says something.
    fitting = max(1, sum(used <= room for used in accumulate(sizes[i] for i in order)))
    last = {**rows[0], "code": "and_more", "message": f"and {len(rows) - fitting:,} more"}
    return [rows[i] for i in sorted(order[:fitting])] + [last]
