"""Submit a segmentation as any team does: over the server's public HTTP API, with a token.

To be completed when the server's API is there: this posts one file per volume in one request and waits for the result.
The routes are those of docs/api.md; nothing of the server is imported.
"""

import json
import os
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from axonem_eval.errors import InputError

FINAL = ("scored", "rejected", "failed")
PIECE = 1 << 20


def submit(
    server: str,
    benchmark: str,
    files: Mapping[str, Path],
    *,
    method: str,
    token_file: Path | None = None,
    provenance: Path | None = None,
    wait_s: float = 3600,
) -> dict[str, Any]:
    """Upload files by volume slug, follow the evaluation, return the server's last answer.

    token_file : holds the API token; the environment variable AXONEM_TOKEN serves as well.
    Raises InputError where the server refuses the request.
    """
    token = _token(token_file)
    fields = {"benchmark": benchmark, "method_name": method}
    if provenance is not None and provenance.exists():
        notes = json.loads(provenance.read_text())
        fields["description"] = f"Reference entry, made by `{notes['command']}`; code {notes['code']['commit']}."
        fields["provenance"] = provenance.read_text()
    answer = _post(f"{server.rstrip('/')}/api/v1/submissions", token, fields, files)
    deadline = time.monotonic() + wait_s
    while answer.get("status") not in FINAL and time.monotonic() < deadline:
        time.sleep(2)
        answer = _ask(f"{server.rstrip('/')}/api/v1/submissions/{answer['code']}", token)
    return answer


def _token(file: Path | None) -> str:
    token = file.read_text().strip() if file else os.environ.get("AXONEM_TOKEN", "")
    if not token:
        raise InputError.of(
            "no_token", "no API token; make one on the server's token page and pass --token-file or AXONEM_TOKEN"
        )
    return token


def _post(url: str, token: str, fields: Mapping[str, str], files: Mapping[str, Path]) -> dict[str, Any]:
    boundary = uuid.uuid4().hex
    parts: list[bytes | Path] = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    for volume, path in files.items():
        if not path.exists():
            raise InputError.of("no_file", f"{path}: no such file; run baselines segment first")
        head = f'Content-Disposition: form-data; name="{volume}"; filename="{volume}.h5"\r\n'
        parts += [f"--{boundary}\r\n{head}Content-Type: application/x-hdf5\r\n\r\n".encode(), path, b"\r\n"]
    parts.append(f"--{boundary}--\r\n".encode())
    length = sum(p.stat().st_size if isinstance(p, Path) else len(p) for p in parts)
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Content-Length": str(length)}
    return _ask(url, token, body=_pieces(parts), headers=headers)


def _pieces(parts: list[bytes | Path]) -> Iterator[bytes]:
    """The body piece by piece, so that a large file is never in memory."""
    for part in parts:
        if isinstance(part, bytes):
            yield part
            continue
        with open(part, "rb") as file:
            while piece := file.read(PIECE):
                yield piece


def _ask(
    url: str, token: str, body: Iterator[bytes] | None = None, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    request = urllib.request.Request(url, data=body, headers={"Authorization": f"Token {token}", **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=600) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read(2000).decode("utf-8", "replace")
        raise InputError.of("refused", f"{url}: the server answered {error.code}: {text}") from None
    except urllib.error.URLError as error:
        raise InputError.of("no_server", f"{url}: cannot be reached ({error.reason}); is the server running?") from None
