"""A large form reaches Django piece by piece, as it comes from the client."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from django.core.handlers.wsgi import WSGIRequest

from evalserver.front.body import Body, BodyForThread

CONTENT = bytes(range(256)) * 9000
HEAD = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.h5"\r\nContent-Type: x/y\r\n\r\n'
FORM = HEAD + CONTENT + b"\r\n--b--\r\n"


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def in_pieces(data: bytes, size: int = 100_000) -> Body:
    pieces = [data[i : i + size] for i in range(0, len(data), size)]

    async def receive():
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    return Body(receive, window_s=30.0, least_bytes_per_s=1.0)


def test_a_file_of_a_large_form_arrives_whole(loop, settings):
    stream = BodyForThread(in_pieces(FORM), loop)
    environ = {"REQUEST_METHOD": "POST", "CONTENT_TYPE": "multipart/form-data; boundary=b", "wsgi.input": stream}
    request = WSGIRequest({**environ, "CONTENT_LENGTH": str(len(FORM)), "PATH_INFO": "/"})
    with request.FILES["f"] as file:
        assert file.read() == CONTENT


def test_lines_end_at_line_feeds_and_at_the_end(loop):
    stream = BodyForThread(in_pieces(b"one\ntwo\nthree", 2), loop)
    assert [stream.readline(), stream.readline(2), stream.readline(), stream.readline(), stream.readline()] == [
        b"one\n", b"tw", b"o\n", b"three", b""
    ]  # fmt: skip
