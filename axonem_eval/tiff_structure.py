"""Whether the parts of a TIFF file lie where its directories say: inside the file, and apart from one another."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from axonem_eval.bounds import require_apart, require_inside
from axonem_eval.errors import InputError

# What tifffile says, and goes on, where the chain of directories breaks off.
_BROKEN = re.compile(r"invalid page offset|invalid offset to first page|corrupted tag list|circular reference")

# Larger than any file, and the sum of two is an int64.
_BEYOND = 1 << 61


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


def require_whole_chain(path: Path, heard: list[str], n_pages: int) -> None:
    """Raise InputError where tifffile left out directories that it could not follow."""
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
    address = np.array([min(int(o), _BEYOND) for page in kept for o in page.dataoffsets], np.int64)
    size = np.array([min(int(c), _BEYOND) for page in kept for c in page.databytecounts], np.int64)
    n = min(len(address), len(size))
    there = (address[:n] > 0) & (size[:n] > 0)  # neither: a strip that was never written
    require_inside(path, address[:n][there], size[:n][there], "strips or tiles")
    require_apart(path, address[:n][there], size[:n][there], "strips or tiles")
