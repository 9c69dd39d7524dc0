"""Connections that drip: heads, bodies of log-ins, PATCHes of uploads. One thread holds them all."""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Sequence
from urllib.parse import urlsplit

HEAD, BODY, TUS = "head", "body", "tus"
FIRST_LINES = {
    HEAD: "GET /benchmarks/ HTTP/1.1\r\nHost: {host}\r\nX-Slow: ",
    BODY: "POST /accounts/login/ HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    "Content-Length: 500\r\n\r\nlogin=",
    TUS: "PATCH {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {key}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"
    "Content-Type: application/offset+octet-stream\r\nContent-Length: 100000\r\n\r\n",
}


class SlowClients:
    """`count` connections, equally many of each kind; each sends a byte every `pause_s`, and comes back when it is cut.

    uploads : addresses of uploads with the Authorization of their owners, for the PATCHes.
    addresses : addresses on this machine (127.x.y.z) that the connections come from, in turn.
    ended : how many connections the server ended, by kind.
    """

    def __init__(
        self,
        url: str,
        count: int,
        *,
        uploads: Sequence[tuple[str, str]] = (),
        addresses: Sequence[str] = ("127.0.0.1",),
        pause_s: float = 1.0,
    ) -> None:
        self.host, self.count, self.uploads, self.addresses = urlsplit(url).netloc, count, uploads, addresses
        self.pause_s = pause_s
        self.open: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "SlowClients":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def _run(self) -> None:
        kinds = [HEAD, BODY, TUS] if self.uploads else [HEAD, BODY]
        tasks = [self.loop.create_task(self._keep(kinds[i % len(kinds)], i)) for i in range(self.count)]
        self.loop.run_forever()
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))

    async def _keep(self, kind: str, number: int) -> None:
        while True:
            with contextlib.suppress(OSError):
                await self._drip(kind, number)
            await asyncio.sleep(self.pause_s)

    async def _drip(self, kind: str, number: int) -> None:
        address = self.addresses[number % len(self.addresses)]
        name, _, port = self.host.partition(":")
        reader, writer = await asyncio.open_connection(name, int(port), local_addr=(address, 0))
        path, key = self.uploads[number % len(self.uploads)] if kind == TUS else ("", "")
        self.open[kind] += 1
        try:
            writer.write(FIRST_LINES[kind].format(host=self.host, path=path, key=key).encode())
            while True:
                # Not asyncio.wait_for: until Python 3.12 it may lose that the task is cancelled.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.pause_s):
                        await reader.read(1000)
                    self.ended[kind] += 1
                    return
                writer.write(b"x")
                await writer.drain()
        finally:
            self.open[kind] -= 1
            writer.close()
