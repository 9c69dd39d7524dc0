"""Clients that send as slowly as they can take nothing from the others, and are sent away after a while."""

import contextlib
import socket
import time
from urllib.parse import urlsplit

import httpx
import pytest

from tests.live.slow_clients import BODY, HEAD, TUS, SlowClients

pytestmark = [pytest.mark.live, pytest.mark.slow]

# More than the threads of all web processes together, of each kind.
COUNT = 150


def test_pages_come_while_many_slow_clients_hold_connections(live):
    uploads = []
    for _ in range(10):
        made = httpx.post(f"{live.url}/api/v1/uploads/", headers={**live.headers, "Upload-Length": "100000"})
        uploads.append((urlsplit(made.headers["Location"]).path, live.headers["Authorization"]))
    addresses = [f"127.0.2.{number}" for number in range(1, 11)]
    with SlowClients(live.url, COUNT, uploads=uploads, addresses=addresses, pause_s=0.5) as slow:
        deadline = time.monotonic() + 20
        while min(slow.open[HEAD], slow.open[BODY]) < COUNT // 3 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert slow.open[HEAD] == slow.open[BODY] == COUNT // 3
        began = time.monotonic()
        for path in ("/healthz", f"/benchmarks/{live.benchmark}/leaderboard/", "/healthz"):
            assert httpx.get(live.url + path, timeout=10).status_code == 200
        assert log_in(live.url, "ada", "no such word") == 200  # the form again, with what is wrong
        # All of them drip for longer: whoever waited for one of them would have waited for this.
        assert time.monotonic() - began < 5
        deadline = time.monotonic() + 20
        while not (slow.ended[HEAD] and slow.ended[TUS]) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert slow.ended[HEAD]
        assert slow.ended[TUS]
    for path, _ in uploads:
        assert httpx.delete(live.url + path, headers=live.headers).status_code == 204


def test_a_head_that_does_not_come_is_answered_with_408(live):
    with socket.create_connection(("127.0.0.1", live.port), timeout=20) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")
        assert until_closed(connection)


def test_an_address_has_a_limited_number_of_connections(live):
    found = []
    for _ in range(260):  # two processes of a hundred each
        connection = socket.create_connection(("127.0.0.1", live.port), source_address=("127.0.3.1", 0))
        # As a client does, which asks before it reads: what it sent must not cost it the answer.
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        found.append(connection)
    time.sleep(1)
    refused = 0
    for connection in found:
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            refused += connection.recv(100).startswith(b"HTTP/1.1 429 ")
        connection.close()
    assert 60 <= refused < 260
    assert httpx.get(f"{live.url}/healthz").status_code == 200


def test_a_large_body_that_is_no_file_is_refused(live):
    response = httpx.post(f"{live.url}/accounts/login/", data={"login": "x" * 2_000_000})
    assert response.status_code == 413


def log_in(url: str, name: str, password: str) -> int:
    with httpx.Client(base_url=url, timeout=10) as client:
        client.get("/accounts/login/")
        token = client.cookies["csrftoken"]
        return client.post(
            "/accounts/login/",
            data={"login": name, "password": password, "csrfmiddlewaretoken": token},
            headers={"Referer": url},
        ).status_code


def until_closed(connection: socket.socket) -> bool:
    while connection.recv(1000):
        pass
    return True
