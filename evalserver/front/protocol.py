"""HTTP/1.1 as uvicorn speaks it, with an end to connections that only hold a place."""

import asyncio
from collections import Counter
from typing import Any

from django.conf import settings
from uvicorn.protocols.http.h11_impl import H11Protocol

from evalserver.front.environ import network_of

# A reader that takes nothing of its answer for so long is cut off.
STALLED_READER_S = 60.0
# A connection that we end is read for so long: closed with bytes unread it is reset, and what we said last is lost.
LINGER_S = 2.0
# Of the descriptors that this process may open: for files, database and Redis.
RESERVED_DESCRIPTORS = 200

REFUSAL = (
    b"HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n"
    b"Retry-After: 10\r\n\r\n%s"
)


class LingeringTransport:
    """A transport whose `close` says at once that nothing more comes, and reads on until the client has seen it."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop, self._ends = transport, loop, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._ends or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        if not self._ends:
            self._transport.write(data)

    def close(self) -> None:
        if self.is_closing():
            return
        self._ends = True
        try:
            self._transport.write_eof()
        except OSError:  # the client has reset the connection: nobody reads what we said last
            self._transport.close()
            return
        self._transport.resume_reading()
        self._loop.call_later(LINGER_S, self._transport.close)


class SteadyProtocol(H11Protocol):
    """A request's head must be complete within HEADER_SECONDS, and an address has at most CONNECTIONS_PER_ADDRESS.

    Behind a proxy (TRUST_PROXY) all connections are the proxy's, and it counts addresses itself.
    """

    open_of: Counter[str] = Counter()
    most_connections = 1_000_000

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(LingeringTransport(transport, self.loop))  # type: ignore[arg-type]
        self.timer: asyncio.TimerHandle | None = None
        self.write_timer: asyncio.TimerHandle | None = None
        self.counted = network_of(self.client[0]) if self.client and not settings.TRUST_PROXY else ""
        SteadyProtocol.open_of[self.counted] += 1
        if self.counted and self.open_of[self.counted] > settings.CONNECTIONS_PER_ADDRESS:
            self._refuse(b"429 Too Many Requests", b"Too many connections of your address. Close some.\n")
        elif self.open_of.total() > self.most_connections:
            self._refuse(b"503 Service Unavailable", b"Too many connections. Try again in 10 s.\n")
        else:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        SteadyProtocol.open_of[self.counted] -= 1
        if SteadyProtocol.open_of[self.counted] <= 0:
            del SteadyProtocol.open_of[self.counted]
        self._stop_timer()
        self._stop_write_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._expect_head()
        else:
            self._stop_timer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            # What is still to be read of the answer is in our memory.
            self._watch_reader()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_write_timer()

    def _expect_head(self) -> None:
        if self.timer is None and not self.transport.is_closing():
            self.timer = self.loop.call_later(settings.HEADER_SECONDS, self._too_slow)

    def _too_slow(self) -> None:
        self._refuse(b"408 Request Timeout", b"The request did not arrive in time.\n")

    def _refuse(self, status: bytes, words: bytes) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(REFUSAL % (status, len(words), words))
        self.transport.close()
        self._watch_reader()

    def _watch_reader(self) -> None:
        if self.write_timer is None:
            self.write_timer = self.loop.call_later(STALLED_READER_S, self.transport.abort)

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _stop_write_timer(self) -> None:
        if self.write_timer is not None:
            self.write_timer.cancel()
            self.write_timer = None


def protocol_options() -> dict[str, Any]:
    """Options of uvicorn. No websockets, and no header of a proxy is believed here: settings.TRUST_PROXY decides."""
    return {
        "loop": "asyncio",
        "http": SteadyProtocol,
        "ws": "none",
        "lifespan": "off",
        "proxy_headers": False,
        "server_header": False,
        "access_log": False,  # ours has the request's id
        "timeout_graceful_shutdown": 4,
    }
