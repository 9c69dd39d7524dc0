"""Room on the server's disks."""

import shutil
from pathlib import Path

# What stays free for the database, the queue and the log.
RESERVE = 2**28


def has_room(folder: str | Path, size: int) -> bool:
    """Whether the disk of a folder takes so many more bytes beside the reserve."""
    return size <= shutil.disk_usage(folder).free - RESERVE
