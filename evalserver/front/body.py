"""A request's body as it comes in, with a least speed."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from math import inf
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# A larger body is handed on piece by piece, or refused: this much may lie in memory for each connection.
SMALL_BYTES = 2**20


class TooSlow(Exception):
    """The client sends less than the least speed, or gives way to another."""


class Gone(Exception):
    """The client closed the connection before it had sent what it announced."""


class TooLarge(Exception):
    """The body is larger than may lie in memory."""


class Body:
    """What is still to come of a body.

    window_s, least_bytes_per_s : each window of time spent waiting for the client must bring so much. While we are busy
        with what came, no time counts.
    bytes_per_s : of the last window, infinite before its end.   gives_way : asked then.
    """

    def __init__(self, receive: Receive, *, window_s: float, least_bytes_per_s: float) -> None:
        self.receive = receive
        self.window_s, self.least_bytes = window_s, window_s * least_bytes_per_s
        self.more = True
        self.waited_s, self.came_bytes = 0.0, 0
        self.bytes_per_s = inf
        self.gives_way: Callable[[Body], bool] = lambda _: False

    async def piece(self) -> bytes:
        """The next bytes; none at the end. Raises TooSlow and Gone."""
        while self.more:
            began = time.monotonic()
            try:
                async with asyncio.timeout(max(0.0, self.window_s - self.waited_s)):
                    message = await self.receive()
            except TimeoutError:
                self._end_window()
                continue
            self.waited_s += time.monotonic() - began
            if message["type"] != "http.request":
                self.more = False
                raise Gone
            data: bytes = message.get("body", b"")
            self.more = message.get("more_body", False)
            self.came_bytes += len(data)
            if self.more and self.waited_s >= self.window_s:
                self._end_window()
            if data:
                return data
        return b""

    def _end_window(self) -> None:
        self.bytes_per_s = self.came_bytes / self.window_s
        if self.came_bytes < self.least_bytes or self.gives_way(self):
            self.more = False
            raise TooSlow
        self.waited_s, self.came_bytes = 0.0, 0

    async def blocks(self, size: int) -> AsyncIterator[bytes]:
        """The rest of it, joined to blocks of at least that size, the last one apart. Raises TooSlow and Gone."""
        block = bytearray()
        while piece := await self.piece():
            block += piece
            if len(block) >= size:
                yield bytes(block)
                block.clear()
        if block:
            yield bytes(block)

    async def whole(self) -> bytes:
        """The rest of it. Raises TooLarge besides."""
        pieces, total = [], 0
        while piece := await self.piece():
            total += len(piece)
            if total > SMALL_BYTES:
                raise TooLarge
            pieces.append(piece)
        return b"".join(pieces)
