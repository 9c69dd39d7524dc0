"""Uploads through everything that breaks them: killed web processes, cut lines, restarts, two clients at once."""

import contextlib
import hashlib
import os
import signal
import socket
import threading
import time
from urllib.parse import urlsplit

import httpx
import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

pytestmark = [pytest.mark.live, pytest.mark.slow]

BODY = "application/offset+octet-stream"


def new_upload(live, size: int) -> str:
    response = httpx.post(f"{live.url}/api/v1/uploads/", headers={**live.headers, "Upload-Length": str(size)})
    assert response.status_code == 201, response.text
    return response.headers["Location"]


def offset(live, path: str) -> int:
    return int(httpx.head(live.url + path, headers=live.headers).headers["Upload-Offset"])


def checked(live, path: str, timeout_s: float = 60) -> dict:
    """The upload's state once a worker has computed its checksum."""
    address = f"{live.url}/api/v1/me/uploads/{path.rpartition('/')[2]}"
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        row = httpx.get(address, headers=live.headers).json()
        if row["state"] not in ("receiving", "checking"):
            return row
        time.sleep(0.2)
    raise AssertionError(row)


def begin_patch(live, path: str, start: int, length: int, body: bytes) -> socket.socket:
    """A PATCH of `length` bytes of which only `body` has been sent; the caller decides how it ends."""
    connection = socket.create_connection(("127.0.0.1", live.port))
    lines = [
        f"PATCH {path} HTTP/1.1",
        f"Host: {urlsplit(live.url).netloc}",
        *(f"{name}: {value}" for name, value in live.headers.items()),
        f"Content-Type: {BODY}",
        f"Upload-Offset: {start}",
        f"Content-Length: {length}",
    ]
    connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
    return connection


def test_a_stock_client_gets_its_file_through_while_web_processes_are_killed(live, line, random_file):
    content = random_file.read_bytes()
    client = TusClient(f"{line.url}/api/v1/uploads/", headers=live.headers)
    uploader = client.uploader(
        str(random_file), chunk_size=2_000_000, retries=20, retry_delay=0.5, metadata={"filename": "random.bin"}
    )
    kills: list[int] = []

    def kill() -> None:
        """Each time another quarter has arrived: what the killed processes were writing is cut in the middle."""
        for quarter in range(1, 4):
            while uploader.offset < quarter * len(content) // 4:
                time.sleep(0.01)
            for pid in live.web_workers():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            kills.append(uploader.offset)

    threading.Thread(target=kill, daemon=True).start()
    deadline = time.monotonic() + 90
    while uploader.offset < uploader.stop_at and time.monotonic() < deadline:
        with contextlib.suppress(TusCommunicationError):
            uploader.upload_chunk()
    assert len(kills) == 3
    row = checked(live, urlsplit(uploader.url).path)
    assert row["state"] == "ready"
    assert row["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_cut_connection_loses_nothing_that_arrived(live):
    path = new_upload(live, 10_000_000)
    body = os.urandom(3_000_000)
    begin_patch(live, path, 0, 10_000_000, body).close()
    deadline = time.monotonic() + 20
    while offset(live, path) < len(body) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert offset(live, path) == len(body)


def test_a_killed_server_loses_nothing_that_it_wrote(live):
    path = new_upload(live, 10_000_000)
    connection = begin_patch(live, path, 0, 10_000_000, os.urandom(3_000_000))
    deadline = time.monotonic() + 20
    while offset(live, path) < 2_800_000 and time.monotonic() < deadline:
        time.sleep(0.1)
    written = offset(live, path)
    for pid in live.web_workers():
        os.kill(pid, signal.SIGKILL)
    connection.close()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            assert offset(live, path) >= written >= 2_800_000
            return
        time.sleep(0.2)
    raise AssertionError("the server did not come back")


def test_of_two_patches_at_once_one_is_locked_out(live):
    path = new_upload(live, 4_000_000)
    body = os.urandom(4_000_000)
    first = begin_patch(live, path, 0, len(body), body[:1_000_000])
    deadline = time.monotonic() + 20
    while offset(live, path) == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    headers = {**live.headers, "Upload-Offset": "0", "Content-Type": BODY}
    second = httpx.patch(live.url + path, headers=headers, content=b"intruder")
    assert second.status_code == 423
    assert second.json()["code"] == "locked"
    first.sendall(body[1_000_000:])
    assert first.recv(64).startswith(b"HTTP/1.1 204")
    first.close()
    assert checked(live, path)["sha256"] == hashlib.sha256(body).hexdigest()


def test_a_body_in_chunks_of_unknown_number_is_taken(live):
    path = new_upload(live, 3_000_000)
    body = os.urandom(3_000_000)
    pieces = (body[i : i + 100_000] for i in range(0, len(body), 100_000))
    headers = {**live.headers, "Upload-Offset": "0", "Content-Type": BODY}
    response = httpx.patch(live.url + path, headers=headers, content=pieces)
    assert (response.status_code, response.headers["Upload-Offset"]) == (204, "3000000")
    assert checked(live, path)["sha256"] == hashlib.sha256(body).hexdigest()


def test_chunks_beyond_the_end_are_refused(live):
    path = new_upload(live, 1_000)
    headers = {**live.headers, "Upload-Offset": "0", "Content-Type": BODY}
    response = httpx.patch(live.url + path, headers=headers, content=(b"x" * 600 for _ in range(2)))
    assert response.status_code == 413
    assert offset(live, path) == 0


def test_an_upload_goes_on_after_the_whole_server_was_restarted(live):
    path = new_upload(live, 2_000_000)
    body = os.urandom(2_000_000)
    headers = {**live.headers, "Content-Type": BODY}
    httpx.patch(live.url + path, headers={**headers, "Upload-Offset": "0"}, content=body[:1_500_000])
    live.stop()
    live.start()
    assert offset(live, path) == 1_500_000
    httpx.patch(live.url + path, headers={**headers, "Upload-Offset": "1500000"}, content=body[1_500_000:])
    assert checked(live, path)["sha256"] == hashlib.sha256(body).hexdigest()
