"""Files in parts: a download that broke off goes on where it stopped, a reader of a large volume takes what it needs.

Django serves whole files. This answers one range of bytes (RFC 9110, section 14), which is what downloaders ask for.
"""

import re
from collections.abc import Iterator
from typing import IO

from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
BLOCK_BYTES = 1 << 16


def file_in_parts(
    request: HttpRequest, file: IO[bytes], size: int, *, name: str, etag: str, content_type: str = ""
) -> HttpResponseBase:
    """The file as a download, or the range of it that was asked for.

    etag : the content's digest. Where the asker holds part of another content, it gets the whole.
    """
    tag = f'"{etag}"'
    span = _asked_range(request, size, tag)
    if span is None:
        whole = FileResponse(file, as_attachment=True, filename=name, content_type=content_type or None)
        whole.headers["Accept-Ranges"], whole.headers["ETag"] = "bytes", tag
        return whole
    start, stop = span
    if start >= stop:
        file.close()
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    headers = {
        "Content-Length": str(stop - start),
        "Content-Range": f"bytes {start}-{stop - 1}/{size}",
        "Accept-Ranges": "bytes",
        "ETag": tag,
    }
    kind = content_type or "application/octet-stream"
    return StreamingHttpResponse(_blocks(file, start, stop), status=206, content_type=kind, headers=headers)


def _asked_range(request: HttpRequest, size: int, tag: str) -> tuple[int, int] | None:
    """First byte and the one after the last; None for the whole file. An empty range cannot be satisfied."""
    asked = ONE_RANGE.fullmatch(request.headers.get("Range", ""))
    if asked is None or asked.groups() == ("", "") or request.headers.get("If-Range", tag) != tag:
        return None
    first, last = asked.groups()
    if not first:
        return max(0, size - int(last)), size
    stop = min(int(last) + 1, size) if last else size
    # A last byte before the first is no range at all, and is ignored.
    return None if last and int(last) < int(first) else (int(first), stop)


def _blocks(file: IO[bytes], start: int, stop: int) -> Iterator[bytes]:
    with file:
        file.seek(start)
        while start < stop and (block := file.read(min(BLOCK_BYTES, stop - start))):
            start += len(block)
            yield block
