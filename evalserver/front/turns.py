"""Who may use a thread now: so many requests at once in all, and fewer of one address or account."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager


class Busy(Exception):
    """Too many requests wait already, or this one has waited too long."""


class Turns:
    """threads : requests that run at once; each : of these, of one address or one account.

    most_waiting : requests of one address or account that may wait; further ones are refused.
    longest_wait_s : whoever has not begun by then is refused: it is better told so than left until it gives up.
    queued : requests that wait because all threads are taken.
    """

    def __init__(self, *, threads: int, each: int, most_waiting: int, longest_wait_s: float) -> None:
        self.each, self.most_waiting, self.longest_wait_s = each, most_waiting, longest_wait_s
        self.all = asyncio.Semaphore(threads)
        self.of: dict[str, asyncio.Semaphore] = {}
        self.waiting: dict[str, int] = {}
        self.queued = 0

    @asynccontextmanager
    async def turn(self, *who: str) -> AsyncIterator[None]:
        """Wait for a thread, on behalf of an address and perhaps of an account. Raises Busy."""
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(self.longest_wait_s):
                    for name in who:
                        await held.enter_async_context(self._turn_of(name))
                    await self._enter_queue(held)
            except TimeoutError:
                raise Busy from None
            yield

    async def _enter_queue(self, held: AsyncExitStack) -> None:
        self.queued += 1
        try:
            await held.enter_async_context(self.all)
        finally:
            self.queued -= 1

    @asynccontextmanager
    async def _turn_of(self, name: str) -> AsyncIterator[None]:
        if self.waiting.get(name, 0) >= self.most_waiting + self.each:
            raise Busy
        self.waiting[name] = self.waiting.get(name, 0) + 1
        try:
            async with self.of.setdefault(name, asyncio.Semaphore(self.each)):
                yield
        finally:
            self.waiting[name] -= 1
            if not self.waiting[name]:
                del self.waiting[name], self.of[name]
