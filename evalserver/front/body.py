"""A request's body as it comes in, with a least speed."""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from math import inf
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# A larger body is handed on piece by piece, or refused: this much may lie in memory for each connection.
SMALL_BYTES = 2**20
SLOWEST_ANSWER_S = 5.0


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
    bytes_per_s : of the last window, infinite before its end.   gives_way : asked then.   given_up : raised TooSlow.
    """

    def __init__(self, receive: Receive, *, window_s: float, least_bytes_per_s: float) -> None:
        self.receive = receive
        self.window_s, self.least_bytes = window_s, window_s * least_bytes_per_s
        self.more = True
        self.waited_s, self.came_bytes = 0.0, 0
        self.bytes_per_s, self.given_up = inf, False
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
            self.more, self.given_up = False, True
            raise TooSlow
        self.waited_s, self.came_bytes = 0.0, 0

    async def whole(self) -> bytes:
        """The rest of it. Raises TooLarge besides."""
        pieces, total = [], 0
        while piece := await self.piece():
            total += len(piece)
            if total > SMALL_BYTES:
                raise TooLarge
            pieces.append(piece)
        return b"".join(pieces)


class BodyForThread:
    """The same for a thread: `wsgi.input` of a large form. A read waits for the client."""

    def __init__(self, body: Body, loop: asyncio.AbstractEventLoop) -> None:
        self.body, self.loop, self.rest = body, loop, b""

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, fewer only at the end. Raises OSError if the client is too slow or gone."""
        while (size < 0 or len(self.rest) < size) and self._more():
            pass
        return self._take(len(self.rest) if size < 0 else size)

    def readline(self, size: int = -1) -> bytes:
        """Up to `size` bytes of a line; Django's stream wants both. Raises OSError as `read` does."""
        while b"\n" not in self.rest and (size < 0 or len(self.rest) < size) and self._more():
            pass
        line = self.rest.find(b"\n") + 1 or len(self.rest)
        return self._take(line if size < 0 else min(line, size))

    def _more(self) -> bool:
        """Wait for the next piece; False at the end."""
        coming = asyncio.run_coroutine_threadsafe(self.body.piece(), self.loop)
        try:
            piece = coming.result(self.body.window_s + SLOWEST_ANSWER_S)
        except (TooSlow, Gone, TimeoutError) as error:
            coming.cancel()
            raise OSError("the body of the request did not arrive") from error
        self.rest += piece
        return bool(piece)

    def _take(self, size: int) -> bytes:
        found, self.rest = self.rest[:size], self.rest[size:]
        return found
