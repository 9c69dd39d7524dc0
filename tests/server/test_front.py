"""What happens to a request before Django sees it: the least speed of a body, turns, the words of WSGI."""

import asyncio
import errno
import inspect
import re
import shutil
import socket
import struct

import pytest
from django.conf import settings as configured
from django.core.handlers.wsgi import WSGIHandler
from django.db import connections
from django.test import Client
from django.urls import get_resolver

from evalserver import disk
from evalserver.front import Application, forms
from evalserver.front.body import Body, Gone, TooLarge, TooSlow
from evalserver.front.environ import (
    FORMS_WITH_FILES,
    account_of,
    address_of,
    environ_of,
    network_of,
    takes_files,
    who_asks,
)
from evalserver.front.protocol import LingeringTransport
from evalserver.front.turns import Busy, Turns
from tests.factories import make_user


def body(pieces: list[tuple[float, bytes]], **limits: float) -> Body:
    """A body whose pieces come after a pause (s) each; after the last one the client stays and says nothing."""
    coming = list(pieces)

    async def receive() -> dict:
        if not coming:
            await asyncio.sleep(60)
        await asyncio.sleep(coming[0][0])
        _, data = coming.pop(0)  # not before: a window may end while we sleep
        return {"type": "http.request", "body": data, "more_body": data != b"end"}

    return Body(receive, **{"window_s": 0.1, "least_bytes_per_s": 100, **limits})


def test_a_body_that_drips_is_given_up_after_a_window():
    with pytest.raises(TooSlow):
        asyncio.run(body([(0.03, b"x")] * 20).whole())


def test_a_client_that_says_nothing_is_given_up_after_a_window():
    with pytest.raises(TooSlow):
        asyncio.run(body([]).whole())


def test_a_body_at_the_least_speed_is_read_however_long_it_takes():
    pieces = [(0.2, b"x" * 100)] * 4
    assert asyncio.run(body([*pieces, (0.0, b"end")], window_s=0.5).whole()) == b"x" * 400 + b"end"


def test_time_that_we_take_does_not_count_against_the_client():
    async def slow_reader() -> bytes:
        coming = body([(0.0, b"a"), (0.0, b"b"), (0.0, b"end")])
        found = b""
        while piece := await coming.piece():
            found += piece
            await asyncio.sleep(0.15)
        return found

    assert asyncio.run(slow_reader()) == b"abend"


def test_a_body_too_large_for_memory_is_refused_and_one_that_breaks_off_is_told_apart():
    async def gone() -> dict:
        return {"type": "http.disconnect"}

    with pytest.raises(TooLarge):
        asyncio.run(body([(0.0, b"x" * 2**19)] * 3).whole())
    with pytest.raises(Gone):
        asyncio.run(Body(gone, window_s=1, least_bytes_per_s=1).whole())


def test_one_address_leaves_threads_to_the_others():
    async def scene() -> list[str]:
        turns, served = Turns(threads=4, each=2, most_waiting=10, longest_wait_s=60), []
        enough = asyncio.Event()

        async def request(who: str) -> None:
            async with turns.turn(who):
                served.append(who)
                await enough.wait()

        tasks = [asyncio.create_task(request("greedy")) for _ in range(8)]
        tasks.append(asyncio.create_task(request("other")))
        await asyncio.sleep(0.01)
        found = list(served)
        enough.set()
        await asyncio.gather(*tasks)
        assert served.count("greedy") == 8
        assert turns.waiting == turns.of == {}
        return found

    assert asyncio.run(scene()) == ["greedy", "greedy", "other"]


def test_who_has_too_many_requests_waiting_is_refused():
    async def scene() -> None:
        turns = Turns(threads=4, each=1, most_waiting=1, longest_wait_s=60)
        async with turns.turn("a"):
            waiting = asyncio.create_task(turns.turn("a").__aenter__())
            await asyncio.sleep(0)
            with pytest.raises(Busy):
                await turns.turn("a").__aenter__()
            waiting.cancel()

    asyncio.run(scene())


def test_who_waits_longer_than_a_client_does_is_refused_whoever_holds_the_threads():
    async def scene() -> None:
        turns = Turns(threads=1, each=1, most_waiting=5, longest_wait_s=0.01)
        async with turns.turn("a"):
            for name in ("a", "b"):
                with pytest.raises(Busy):
                    await turns.turn(name).__aenter__()
        async with turns.turn("b", "c"):
            assert turns.waiting == {"b": 1, "c": 1}
        assert turns.waiting == turns.of == {}

    asyncio.run(scene())


def scope(*headers: tuple[bytes, bytes]) -> dict:
    return {
        "method": "GET", "raw_path": b"/a%C3%A4%2Fb", "query_string": b"q=1", "http_version": "1.1", "scheme": "http",
        "server": ("127.0.0.1", 80), "client": ("10.0.0.7", 1), "headers": list(headers),
    }  # fmt: skip


def test_headers_cannot_pass_for_those_of_a_proxy(settings):
    found = environ_of(scope((b"x_forwarded_for", b"1.1.1.1"), (b"cookie", b"a=1"), (b"cookie", b"b=2"), (b"x", b"1")))
    assert "HTTP_X_FORWARDED_FOR" not in found
    assert (found["HTTP_COOKIE"], found["HTTP_X"]) == ("a=1; b=2", "1")
    assert found["PATH_INFO"].encode("latin-1").decode() == "/aä/b"
    forwarded = environ_of(scope((b"x-forwarded-for", b"6.6.6.6, 10.1.1.1")))
    assert address_of(forwarded) == "10.0.0.7"
    settings.TRUST_PROXY = True
    assert address_of(forwarded) == "10.1.1.1"


def test_a_session_and_a_token_share_threads_beside_their_address(settings):
    plain = who_asks(environ_of(scope()))
    session = who_asks(environ_of(scope((b"cookie", f"{settings.SESSION_COOKIE_NAME}=abc".encode()))))
    token = who_asks(environ_of(scope((b"authorization", b"Bearer abc"))))
    assert plain == session[:1] == token[:1] == ["address 10.0.0.7"]
    assert len(session) == len(token) == 2
    assert session[1] != token[1]


@pytest.mark.django_db
def test_sessions_of_one_account_count_as_one(settings):
    user, found = make_user(), []
    for _ in range(2):
        client = Client()
        client.force_login(user)
        pair = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"
        environ = environ_of(scope((b"cookie", pair.encode())))
        found.append(account_of(environ))
    assert found == [f"account {user.pk}"] * 2
    assert account_of(environ_of(scope((b"cookie", b"sessionid=made-up")))) == ""


def test_only_pages_that_read_files_take_a_form_with_files():
    def views(patterns, before=""):
        for pattern in patterns:
            address = before + str(pattern.pattern)
            if hasattr(pattern, "url_patterns"):
                yield from views(pattern.url_patterns, address)
            elif getattr(pattern.callback, "__module__", "").startswith("evalserver."):
                yield address, inspect.getsource(inspect.unwrap(pattern.callback))

    taken = {}
    for address, source in views(get_resolver().url_patterns):
        path = "/" + re.sub(r"<[^>]*>|\(\?P[^)]*\)", "1", address).strip("^$")
        taken[path] = "request.FILES" in source
        if not path.startswith("/admin/"):  # Django's views read files where the model has some
            assert (FORMS_WITH_FILES.match(path) is not None) == taken[path], path
    assert sum(taken.values()) >= 3


def test_the_proxy_lets_the_same_forms_pass():
    nginx = (configured.BASE_DIR / "deploy" / "nginx.conf").read_text()
    assert f"location ~ {FORMS_WITH_FILES.pattern} {{" in nginx


def test_a_form_without_files_is_not_told_apart_by_its_address_alone():
    environ = {"PATH_INFO": "/benchmarks/a/submit/", "CONTENT_TYPE": "multipart/form-data; boundary=x"}
    assert takes_files(environ)
    assert not takes_files({**environ, "CONTENT_TYPE": "application/x-www-form-urlencoded"})
    assert not takes_files({**environ, "PATH_INFO": "/accounts/login/"})


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("", ""),
    ],
)
def test_ipv6_is_counted_by_the_network_that_one_caller_has(address, counted):
    assert network_of(address) == counted


class Form:
    """A form with a file in pieces, of an account of its own. pause_s : before each piece."""

    def __init__(self, settings, path: str, *, pieces: int, size: int, pause_s: float = 0.0, address: str = "10.0.0.7"):
        head = b'--x\r\nContent-Disposition: form-data; name="file_a"; filename="a.h5"\r\n\r\n'
        self.coming = [head, *[b"x" * size] * pieces, b"\r\n--x--\r\n"]
        self.pause_s, self.status = pause_s, 0
        client = Client()
        client.force_login(make_user())
        cookie = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"
        cookie += f"; {settings.CSRF_COOKIE_NAME}={'a' * 32}"
        headers = [
            (b"cookie", cookie.encode()),
            (b"content-type", b"multipart/form-data; boundary=x"),
            (b"host", b"testserver"),
            (b"content-length", str(sum(map(len, self.coming))).encode()),
        ]
        asked = {"type": "http", "method": "POST", "raw_path": path.encode(), "client": (address, 1)}
        self.scope = scope(*headers) | asked

    async def receive(self) -> dict:
        await asyncio.sleep(self.pause_s)
        return {"type": "http.request", "body": self.coming.pop(0), "more_body": bool(self.coming)}

    async def send(self, message: dict) -> None:
        self.status = message.get("status", self.status)


def answered(*forms: Form, after_s: float = 0.0) -> None:
    """Send all but the last at once, and that one later; until it is answered."""

    async def scene() -> None:
        application = Application(WSGIHandler())
        *earlier, last = [application(form.scope, form.receive, form.send) for form in forms]
        tasks = [asyncio.create_task(each) for each in earlier]
        await asyncio.sleep(after_s)
        await last
        for form in forms:
            form.pause_s = 0.0  # what is left comes at once
        await asyncio.gather(*tasks)
        for pool in (application.place.requests, application.place.forms.pool):
            for _ in range(8):
                pool.submit(connections.close_all).result()

    asyncio.run(scene())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("path", "status", "pieces_left"), [("/benchmarks/a/submit/", 403, 0), ("/accounts/login/", 413, 20)]
)
def test_a_large_form_is_read_where_it_may_have_files(settings, path, status, pieces_left):
    form = Form(settings, path, pieces=18, size=100_000)
    answered(form)
    assert form.status == status  # 403: the form was read, and has no token against forged requests
    assert len(form.coming) == pieces_left


@pytest.mark.django_db(transaction=True)
def test_forms_that_drip_keep_nobody_waiting_until_there_are_very_many(settings, monkeypatch):
    """Each comes into a file: more of them than threads hold up no other. Where places end, the slowest gives way."""
    monkeypatch.setattr(forms, "MOST_COMING", 12)
    settings.BODY_SECONDS, settings.LEAST_FORM_BYTES_PER_SECOND = 0.3, 100
    path = "/benchmarks/a/submit/"
    drips = [
        Form(settings, path, pieces=200 + i, size=8000 + i, pause_s=0.02, address=f"10.0.1.{i}") for i in range(11)
    ]
    quick = Form(settings, path, pieces=18, size=100_000)
    answered(*drips, quick, after_s=0.1)
    assert sorted(form.status for form in (*drips, quick)) == [403] * 12
    drips = [
        Form(settings, path, pieces=200 + i, size=8000 + i, pause_s=0.02, address=f"10.0.1.{i}") for i in range(12)
    ]
    waits = Form(settings, path, pieces=18, size=100_000)
    answered(*drips, waits, after_s=0.1)
    assert waits.status == 403
    assert sorted(form.status for form in drips) == [*[403] * 11, 408]


@pytest.mark.django_db(transaction=True)
def test_a_form_on_a_full_disk_is_refused_in_words(settings, monkeypatch):
    def full(**_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("evalserver.front.application.TemporaryFile", full)
    form = Form(settings, "/benchmarks/a/submit/", pieces=18, size=100_000)
    answered(form)
    assert form.status == 507


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("limit", "free", "status"), [(10**6, 10**12, 413), (10**8, 3 * 10**6, 507)])
def test_a_form_for_which_there_is_no_room_is_refused_before_it_comes(settings, monkeypatch, limit, free, status):
    settings.UPLOAD_MAX_BYTES = limit
    # A fixed number: other tests write to the disk meanwhile.
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, disk.RESERVE + free))
    form = Form(settings, "/benchmarks/a/submit/", pieces=18, size=100_000)
    answered(form)
    assert (form.status, len(form.coming)) == (status, 20)


@pytest.mark.django_db(transaction=True)
def test_a_form_leaves_the_disk_its_reserve_though_others_fill_it_meanwhile(settings, monkeypatch):
    class Filled(Form):
        async def receive(self) -> dict:
            if len(self.coming) == 10:
                monkeypatch.setattr(disk, "RESERVE", 2**62)
            return await super().receive()

    form = Filled(settings, "/benchmarks/a/submit/", pieces=18, size=100_000)
    answered(form)
    assert (form.status, len(form.coming)) == (507, 9)


def test_a_connection_that_its_client_has_reset_is_closed_without_an_error():
    async def reset_and_close() -> bool:
        arrived: asyncio.Future[asyncio.Transport] = asyncio.get_running_loop().create_future()

        class Taking(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                arrived.set_result(transport)

        server = await asyncio.get_running_loop().create_server(Taking, "127.0.0.1", 0)
        client = socket.create_connection(server.sockets[0].getsockname())
        transport = await arrived
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        LingeringTransport(transport, asyncio.get_running_loop()).close()
        server.close()
        return transport.is_closing()

    assert asyncio.run(reset_and_close())
