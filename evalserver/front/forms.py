"""Forms with files: each comes into a file, at whatever speed, and a thread reads it once it is whole."""

import asyncio
import errno
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import IO

from django.conf import settings

from evalserver.disk import has_room
from evalserver.front.body import Body
from evalserver.front.turns import Turns

THREADS = 4
# Forms that come at once cost a file, a block in memory and space on the disk each, but no thread.
MOST_COMING = 250
# Colleagues share an address: one slow form must not keep out all others behind it.
OF_ONE = 2
LONGEST_WAIT_S = 120


class Forms:
    """While somebody waits for a place, the slowest client gives way."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(THREADS, "form")
        self.turns = Turns(threads=MOST_COMING, each=OF_ONE, most_waiting=2, longest_wait_s=LONGEST_WAIT_S)
        self.read: list[Body] = []

    @asynccontextmanager
    async def turn(self, body: Body, *who: str) -> AsyncIterator[None]:
        """Wait for a place among the forms that come. Raises Busy."""
        async with self.turns.turn(*who):
            self.read.append(body)
            body.gives_way = self._gives_way
            try:
                yield
            finally:
                # Not before the place is handed on: until then its successor is counted as one that waits, and a
                # second body would give way to it.
                asyncio.get_running_loop().call_soon(self.read.remove, body)

    def _gives_way(self, body: Body) -> bool:
        """Whether a body that comes more slowly than the others takes a place that somebody waits for."""
        coming = [each for each in self.read if each.more]
        leaving = len(self.read) - len(coming)
        return self.turns.queued > leaving and body is min(coming, key=lambda each: each.bytes_per_s)


def require_room(size: int) -> None:
    """Raises OSError (ENOSPC) where the disk that forms come to has no room for so many bytes."""
    if not has_room(settings.FILE_UPLOAD_TEMP_DIR, size):
        raise OSError(errno.ENOSPC, f"there is no room for {size:,} bytes of a form")


def write_block(file: IO[bytes], block: bytes) -> None:
    """Write on. Raises OSError as ``require_room`` does: others write to the disk meanwhile."""
    require_room(len(block))
    file.write(block)
