"""Readers of a server on this machine: pages are asked for in an open loop, so a slow server gets no fewer requests."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

TIMEOUT_S = 30


async def request(port: int, path: str, address: str = "127.0.0.1") -> tuple[int, float]:
    """Status and seconds until the last byte, over a connection of its own from an address of this machine."""
    started = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        body = await asyncio.wait_for(reader.read(-1), TIMEOUT_S)
    finally:
        writer.close()
    return int(body.split(b" ", 2)[1]), time.perf_counter() - started


class Readers:
    """times : seconds of the answers with 200, by page.   ends : how requests ended, by status or name of the error.

    addresses : of this machine, which the readers come from in turn.
    """

    def __init__(self, port: int, addresses: Sequence[str] = ("127.0.0.1",)) -> None:
        self.port, self.addresses = port, addresses
        self.times: dict[str, list[float]] = defaultdict(list)
        self.ends: Counter[str] = Counter()

    async def read(self, paths: Iterable[str], rate: float) -> None:
        """Ask for one page after the other, ``rate`` a second, and wait for the last answers."""
        tasks, started = [], time.perf_counter()
        for number, path in enumerate(paths):
            await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
            address = self.addresses[number % len(self.addresses)]
            tasks.append(asyncio.create_task(self._ask(path, address)))
        await asyncio.gather(*tasks)

    async def _ask(self, path: str, address: str) -> None:
        try:
            status, taken = await request(self.port, path, address)
        except (OSError, TimeoutError, IndexError, ValueError) as error:
            self.ends[type(error).__name__] += 1
            return
        self.ends[str(status)] += 1
        if status == 200:
            self.times[path].append(taken)
