"""Checks that the parts of a TIFF file lie where its directories state: in the file, and apart from one another."""

import logging
import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from axonem_eval.errors import InputError
from axonem_eval.volumes.bounds import BEYOND, require_apart, require_inside

# Warnings that tifffile logs where the chain of directories breaks off; it goes on without the rest.
_BROKEN = re.compile(r"invalid page offset|invalid offset to first page|corrupted tag list|circular reference")

# Bytes of a value of each type of tag, by its number.
_VALUE_BYTES = np.array([0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8, 0], np.float64)
_TABLES_A_FILE = 4
MAX_DIRECTORIES = 100_000
MAX_TAGS = 4096  # of one directory, as tifffile has it


class _Listener(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.heard) < 100:
            self.heard.append(record.getMessage())


@contextmanager
def listening() -> Iterator[list[str]]:
    """Collect what tifffile logs, in place of showing it."""
    logger, listener = logging.getLogger("tifffile"), _Listener()
    passed_on, logger.propagate = logger.propagate, False
    logger.addHandler(listener)
    try:
        yield listener.heard
    finally:
        logger.removeHandler(listener)
        logger.propagate = passed_on


def require_own_tables(name: str, file: BinaryIO) -> None:
    """Raise InputError where the tables of a file's pages are together several times as large as the file, or the
    chain of pages leads back into itself.

    Thousands of pages may share one table of offsets, and a parser reads it once for each page. tifffile looks for a
    loop among the first 100 pages alone, and follows a longer one for ever.
    file : open at any position; it is left at its start. Other faults are left to the parser.
    """
    size = file.seek(0, os.SEEK_END)
    table_bytes = pages = 0
    for pages, of_page in enumerate(_tables(name, file, size), 1):  # noqa: B007
        table_bytes += of_page
        if table_bytes > _TABLES_A_FILE * size:
            break
    file.seek(0)
    if table_bytes > _TABLES_A_FILE * size:
        raise InputError.of(
            "overlapping_chunks",
            f"{name}: the tables of its first {pages:,} pages are more than {_TABLES_A_FILE} times as large as the "
            f"file ({size:,} bytes), so that pages share them; expected its own for each page. The file is damaged: "
            "write it again",
        )


def _tables(name: str, file: BinaryIO, size: int) -> Iterator[int]:
    """For each directory the number of bytes that the values of its tags take. Raises InputError for a loop."""
    file.seek(0)
    head = file.read(16).ljust(16, b"\0")
    order, big = ("<" if head[:2] == b"II" else ">"), head[2:4] in (b"+\0", b"\0+")
    number, link, entry_bytes = (f"{order}Q", f"{order}Q", 20) if big else (f"{order}H", f"{order}I", 12)
    fields = np.dtype([("tag", f"{order}u2"), ("kind", f"{order}u2"), ("count", f"{order}u{8 if big else 4}")])
    (place,) = struct.unpack_from(link, head, 8 if big else 4)
    seen: set[int] = set()
    while 0 < place < BEYOND and place not in seen and len(seen) <= MAX_DIRECTORIES:
        seen.add(place)
        file.seek(place)
        counted = file.read(struct.calcsize(number))
        entries = struct.unpack(number, counted)[0] if len(counted) == struct.calcsize(number) else MAX_TAGS + 1
        raw = file.read(entries * entry_bytes + struct.calcsize(link)) if entries <= MAX_TAGS else b""
        if len(raw) != entries * entry_bytes + struct.calcsize(link):
            return
        table = np.frombuffer(raw[: entries * entry_bytes], np.uint8).reshape(entries, entry_bytes)
        tags = np.ascontiguousarray(table[:, : fields.itemsize]).view(fields)
        value_bytes = tags["count"] * _VALUE_BYTES[np.minimum(tags["kind"], len(_VALUE_BYTES) - 1)]
        yield int(value_bytes[value_bytes <= size].sum())  # what is larger than the file is not read
        (place,) = struct.unpack(link, raw[entries * entry_bytes :])
    if place in seen:
        raise InputError.of(
            "damaged_file",
            f"{name}: after {len(seen):,} pages the next one is an earlier page again. The file is damaged: write it "
            "again",
        )


def require_whole_chain(path: Path, heard: list[str], n_pages: int) -> None:
    """Raise InputError where tifffile could not follow the chain of directories to its end."""
    broken = next((text for text in heard if _BROKEN.search(text)), None)
    if broken is not None:
        what = re.sub(r"<[^>]*> ?", "", broken)[:100]
        raise InputError.of(
            "truncated",
            f"{path.name}: after {n_pages:,} pages the next one is not where the file says ({what}). The copy or "
            "upload broke off, or the file is damaged: compare sha256sum and send it again",
        )


def require_true_strips(path: Path, pages: Any) -> None:
    """Raise InputError where strips or tiles of pages lie beyond the end of the file or on bytes of one another."""
    kept = [page for page in pages if page is not None]
    address = np.array([min(int(o), BEYOND) for page in kept for o in page.dataoffsets], np.int64)
    size = np.array([min(int(c), BEYOND) for page in kept for c in page.databytecounts], np.int64)
    n = min(len(address), len(size))
    there = (address[:n] > 0) & (size[:n] > 0)  # neither: a strip that was never written
    require_inside(path, address[:n][there], size[:n][there], "strips or tiles")
    require_apart(path, address[:n][there], size[:n][there], "strips or tiles")
