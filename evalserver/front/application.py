"""The ASGI application: reads a request in the event loop, runs Django in a thread, writes the answer in the loop."""

import asyncio
import io
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cached_property, partial
from tempfile import TemporaryFile
from typing import Any, TypeVar

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.core.signals import request_started
from django.db import close_old_connections
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from evalserver.front.body import SMALL_BYTES, Body, Gone, Message, Receive, Send, TooLarge, TooSlow
from evalserver.front.counts import Counts
from evalserver.front.environ import (
    account_of,
    address_of,
    content_length,
    environ_of,
    is_streamed,
    takes_files,
    who_asks,
)
from evalserver.front.forms import Forms, require_room, write_block
from evalserver.front.takes_body import BODY_COMES_LATER, TakesBody
from evalserver.front.turns import Busy, Turns
from evalserver.log_format import request_id
from evalserver.log_mask import masked
from evalserver.unavailable import unavailable

logger = logging.getLogger("evalserver.front")
access = logging.getLogger("evalserver.access")

T = TypeVar("T")

NAME = re.compile(r"[-\w]{1,64}")

# Requests that wait for a thread, of one address or account; then 503.
MOST_WAITING = 200
# Seconds in which a request begins, or 503: most programs give up after 30.
LONGEST_WAIT_S = 20
BLOCK_BYTES = 2**18
# Of each form that comes, in memory.
FORM_BLOCK_BYTES = 2**16
WRITE_THREADS = 4


def refusal(environ: dict[str, Any], status: int, code: str, message: str) -> HttpResponse:
    """An answer that needs no Django: for programs of the API's shape, for people a sentence."""
    headers = {"Connection": "close"} | ({"Retry-After": "10"} if status == 503 else {})
    if environ["PATH_INFO"].startswith("/api/"):
        return JsonResponse({"code": code, "message": message, "details": {}}, status=status, headers=headers)
    return HttpResponse(f"{message}\n", content_type="text/plain; charset=utf-8", status=status, headers=headers)


def _with_live_connections(work: Callable[..., Any], *arguments: Any) -> Any:
    """In a thread. Django looks after the connections of requests alone: elsewhere a broken one would stay broken."""
    close_old_connections()
    return work(*arguments)


class Workplace:
    """Threads of this process, and who may use them. Made in the event loop."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        count = settings.WEB_THREADS
        self.requests = ThreadPoolExecutor(count, "request")
        self.turns = Turns(
            threads=count, each=max(1, count // 2), most_waiting=MOST_WAITING, longest_wait_s=LONGEST_WAIT_S
        )
        self.forms = Forms()
        # Pieces of uploads and of downloads: short, and bound to the disk.
        self.files = ThreadPoolExecutor(WRITE_THREADS, "file")
        # Whoever watches the server is answered also when every other thread is taken.
        self.health = ThreadPoolExecutor(1, "health")

    async def run(self, pool: ThreadPoolExecutor, work: Callable[..., T], *arguments: Any) -> T:
        return await self.loop.run_in_executor(
            pool, partial(copy_context().run, _with_live_connections, work, *arguments)
        )


class Application:
    """One for each process. handler : Django's."""

    def __init__(self, handler: WSGIHandler) -> None:
        self.handler = handler
        self.counts = Counts()

    @cached_property
    def place(self) -> Workplace:
        return Workplace()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"{scope['type']} is not served")
        began = time.monotonic()
        environ = environ_of(scope)
        # A proxy that we trust may have named the request in its own log.
        given = environ.get("HTTP_X_REQUEST_ID", "") if settings.TRUST_PROXY else ""
        name = given if NAME.fullmatch(given) else secrets.token_hex(8)
        request_id.set(name)
        status = 499
        try:
            response = await self._respond(environ, receive)
            status = response.status_code
            response.headers["X-Request-ID"] = name
            await self._send(response, scope, receive, send)
        except Gone:
            pass
        finally:
            self._note(environ, _target(scope), status, time.monotonic() - began)

    def _note(self, environ: dict[str, Any], target: str, status: int, taken_s: float) -> None:
        address, method = address_of(environ), environ["REQUEST_METHOD"]
        target, taken_ms = masked(target), round(1000 * taken_s, 1)
        fields = {"address": address, "method": method, "target": target, "status": status, "ms": taken_ms}
        access.info('%s "%s %s" %s %.0f ms', address, method, target, status, taken_ms, extra={"fields": fields})
        if self.counts.add(method, status, taken_s):
            self.place.files.submit(self.counts.flush)

    async def _respond(self, environ: dict[str, Any], receive: Receive) -> HttpResponseBase:
        """The answer. Raises Gone."""
        streamed, length = is_streamed(environ), content_length(environ)
        small = length is None or length <= SMALL_BYTES
        window_s = settings.UPLOAD_STALL_SECONDS if streamed else settings.BODY_SECONDS
        least = settings.LEAST_BYTES_PER_SECOND if streamed or small else settings.LEAST_FORM_BYTES_PER_SECOND
        body = Body(receive, window_s=window_s, least_bytes_per_s=least)
        try:
            if streamed:
                environ[BODY_COMES_LATER] = True
                response = await self._run_django(environ)
                return await self._feed(response, body) if isinstance(response, TakesBody) else response
            if small:
                content = await body.whole()
                environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(content), str(len(content))
                return await self._run_django(environ)
            if takes_files(environ):
                return await self._run_form(environ, body, length or 0)
        except TooSlow:
            return refusal(environ, 408, "too_slow", "The request came too slowly. Try again on a better line.")
        except Busy:
            return refusal(environ, 503, "busy", "Too many requests at once. Try again in 10 s.")
        except TooLarge:
            pass
        except OSError as error:
            if found := unavailable(error):
                return refusal(environ, found.status, found.code, found.message)
            raise
        return refusal(environ, 413, "too_large", f"The request is larger than {SMALL_BYTES:,} bytes.")

    async def _run_django(self, environ: dict[str, Any]) -> HttpResponseBase:
        environ.setdefault("wsgi.input", io.BytesIO())
        if environ["PATH_INFO"] == "/healthz":
            return await self.place.run(self.place.health, self._django, environ)
        async with self.place.turns.turn(*who_asks(environ)):
            return await self.place.run(self.place.requests, self._django, environ)

    async def _run_form(self, environ: dict[str, Any], body: Body, length: int) -> HttpResponseBase:
        """A form with files, which comes into a file. Raises Busy, TooSlow, and OSError where the disk has no room.

        Others than users, and whoever announces more than may be uploaded, are answered before anything of it is read.
        """
        async with self.place.turns.turn(*who_asks(environ)):
            account = await self.place.run(self.place.requests, account_of, environ)
        if not account or length > settings.UPLOAD_MAX_BYTES:
            return await self._run_django(environ)
        # Not by the session: an account may have many.
        async with self.place.forms.turn(body, who_asks(environ)[0], account):
            # The form, and then the files in it.
            await self.place.run(self.place.files, require_room, 2 * length)
            file = await self.place.run(self.place.files, partial(TemporaryFile, dir=settings.FILE_UPLOAD_TEMP_DIR))
            try:
                async for block in body.blocks(FORM_BLOCK_BYTES):
                    await self.place.run(self.place.files, write_block, file, block)
                await self.place.run(self.place.files, file.seek, 0)  # writes what is buffered, too
                environ["wsgi.input"] = file
                return await self.place.run(self.place.forms.pool, self._django, environ)
            finally:
                self.place.files.submit(file.close)

    def _django(self, environ: dict[str, Any]) -> HttpResponseBase:
        """In a thread."""
        set_script_prefix("/")
        request_started.send(sender=type(self.handler), environ=environ)
        response: HttpResponseBase = self.handler.get_response(WSGIRequest(environ))
        if not response.streaming and not isinstance(response, TakesBody):
            # What the request holds of the database goes back before a slow reader has its answer.
            response.close()
        return response

    async def _feed(self, response: TakesBody, body: Body) -> HttpResponseBase:
        """Give a view its body as it comes. Raises Gone, after what came was kept."""
        answer: HttpResponse | None = None
        lost: Exception | None = None
        ended = False
        try:
            try:
                while answer is None and (piece := await body.piece()):
                    answer = await self.place.run(self.place.files, response.take, piece)
            except (TooSlow, Gone) as error:
                lost = error
            ended = True
            if answer is None:
                answer = await self.place.run(self.place.files, partial(response.finish, complete=lost is None))
        finally:
            if not ended:  # this process stops: what came is kept, and the lock given back
                self.place.files.submit(response.finish, complete=False)
            await self.place.run(self.place.files, response.close)
        if isinstance(lost, Gone):
            raise lost
        for name, value in response.headers.items():
            answer.headers.setdefault(name, value)
        if lost is not None:
            answer.headers["Connection"] = "close"
        return answer

    async def _send(self, response: HttpResponseBase, scope: Message, receive: Receive, send: Send) -> None:
        is_head = scope["method"] == "HEAD"
        headers = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
        cookies = [cookie.output(header="").strip().encode("ascii") for cookie in response.cookies.values()]
        headers += [(b"set-cookie", cookie) for cookie in cookies]
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        if isinstance(response, HttpResponse):
            await send({"type": "http.response.body", "body": b"" if is_head else response.content})
        elif isinstance(response, StreamingHttpResponse):
            await self._send_parts(response, [] if is_head else response, receive, send)

    async def _send_parts(
        self, response: StreamingHttpResponse, parts: Iterable[bytes], receive: Receive, send: Send
    ) -> None:
        """Read on only while the client takes it: `send` waits for slow readers, and who is gone gets no more."""
        iterator = iter(parts)
        gone = asyncio.ensure_future(receive())
        try:
            while block := await self.place.run(self.place.files, _next_block, iterator):
                if gone.done():
                    raise Gone
                await send({"type": "http.response.body", "body": block, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()
            await self.place.run(self.place.files, response.close)


def _next_block(parts: Iterator[bytes]) -> bytes:
    """The next parts together, so that a file costs few changes between thread and loop."""
    found: list[bytes] = []
    size = 0
    for part in parts:
        found.append(part)
        size += len(part)
        if size >= BLOCK_BYTES:
            break
    return b"".join(found)


def _target(scope: Message) -> str:
    """Path and query as they were sent."""
    query: bytes = scope["query_string"]
    target: bytes = scope["raw_path"] + (b"?" + query if query else b"")
    return target.decode("latin-1")
