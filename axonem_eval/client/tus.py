"""Resumable upload: the server knows how many bytes it has, and the client continues from there.

The client stores nothing. The server lists the user's uploads with the declared checksum of each. So an upload
continues where it stopped after a killed client, from another folder, or from another machine.
"""

import base64
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from axonem_eval.client.errors import ClientError, ServerRefused
from axonem_eval.client.server import API, LONGEST_PAUSE_S, RETRIED_STATUSES, Server, raise_for_problem
from axonem_eval.progress import Progress

VERSION = {"Tus-Resumable": "1.0.0"}
# Size of one request. A proxy that buffers requests holds this much.
PIECE_BYTES = 2**25
BLOCK_BYTES = 2**18


@dataclass(frozen=True)
class LocalFile:
    """A file to upload. size_bytes and sha256 : as they were when it was read."""

    path: Path
    size_bytes: int
    sha256: str


def describe_file(path: Path, on_progress: Progress | None = None) -> LocalFile:
    """Size and checksum of a file; progress in bytes (done, total)."""
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(2**22):
            digest.update(block)
            done += len(block)
            if on_progress:
                on_progress(done, total)
    return LocalFile(path, done, digest.hexdigest())


def find_uploads(server: Server, file: LocalFile, *, benchmark: str, volume: str) -> list[dict[str, Any]]:
    """Uploads of the same file for the same volume: finished ones, then being checked, interrupted, and used ones.

    There may be several: the answer to the first announcement of a file may have been lost.
    """
    rows = server.get("/me/uploads", sha256=file.sha256)["items"]
    wanted = {"benchmark": benchmark, "volume": volume, "size_bytes": file.size_bytes}
    rows = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    return [dict(row) for state in ("ready", "checking", "receiving", "used") for row in rows if row["state"] == state]


def create_upload(server: Server, file: LocalFile, metadata: dict[str, str]) -> str:
    """Announce a file. Returns the address to send its bytes to. The server refuses here what it would refuse later."""
    pairs = {"filename": file.path.name, "sha256": file.sha256, **metadata}
    encoded = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items() if value)
    headers = {**VERSION, "Upload-Length": str(file.size_bytes), "Upload-Metadata": encoded}
    response = server.patiently(
        lambda: raise_for_problem(server.http.post(f"{API}/uploads/", headers=headers)),
    )
    return str(response.headers["Location"])


def send(server: Server, file: LocalFile, tus_url: str, on_progress: Progress) -> None:
    """Send what the server does not have yet, through cut connections and restarts. Raises ClientError."""
    pause, last_progress, best = 0.5, time.monotonic(), -1
    with file.path.open("rb") as stream:
        while True:
            try:
                offset = _offset(server, tus_url)
                if offset > best:
                    best, last_progress, pause = offset, time.monotonic(), 0.5
                on_progress(offset, file.size_bytes)
                while offset < file.size_bytes:
                    offset = _send_piece(server, file, stream, tus_url, offset, on_progress)
                    best, last_progress, pause = offset, time.monotonic(), 0.5
                return
            except httpx.TransportError as error:
                reason: Exception = ClientError(f"{server.url} does not answer ({error}).")
            except ServerRefused as error:
                # 409: another request moved the offset. The next HEAD returns the new one.
                if error.status not in RETRIED_STATUSES | {400, 409}:
                    raise
                reason = error
            if time.monotonic() - last_progress > server.patience_s:
                raise ClientError(
                    f"{reason} {max(0, best):,} of {file.size_bytes:,} bytes have arrived: run the same command again."
                )
            time.sleep(pause)
            pause = min(LONGEST_PAUSE_S, pause * 2)


def _offset(server: Server, tus_url: str) -> int:
    response = server.http.head(tus_url, headers=VERSION)
    if not response.is_success:
        # An answer to HEAD has no body that could say why.
        raise ServerRefused(response.status_code, "unknown", f"The upload is gone ({response.status_code}).", {})
    return int(response.headers["Upload-Offset"])


def _send_piece(server: Server, file: LocalFile, stream: Any, tus_url: str, offset: int, on_progress: Progress) -> int:
    length = min(PIECE_BYTES, file.size_bytes - offset)

    def blocks() -> Iterator[bytes]:
        stream.seek(offset)
        left = length
        while left:
            block = stream.read(min(BLOCK_BYTES, left))
            if not block:
                raise ClientError(f"{file.path} became shorter while it was sent. Run the same command again.")
            left -= len(block)
            yield block
            on_progress(offset + length - left, file.size_bytes)

    headers = {
        **VERSION,
        "Upload-Offset": str(offset),
        "Content-Type": "application/offset+octet-stream",
        "Content-Length": str(length),
    }
    response = raise_for_problem(server.http.patch(tus_url, headers=headers, content=blocks()))
    return int(response.headers["Upload-Offset"])


def wait_until_ready(server: Server, code: str, on_progress: Progress | None = None) -> dict[str, Any]:
    """Wait for the server's own checksum of the file. Raises ClientError when it differs from ours."""
    while True:
        row = server.get(f"/me/uploads/{code}")
        if row["state"] in ("ready", "used"):
            return dict(row)
        if row["state"] in ("corrupt", "failed"):
            reasons = "; ".join(c["message"] for c in row["complaints"]) or "the server could not check it"
            raise ClientError(f"{row['file_name']}: {reasons}.")
        if on_progress and row["state"] == "checking":
            on_progress(row["percent"], 100)
        time.sleep(0.5)


def remove_upload(server: Server, tus_url: str) -> None:
    """Remove an upload."""
    raise_for_problem(server.http.delete(tus_url, headers=VERSION))
