"""Whether the parts of a TIFF file lie where its directories say: inside the file, and apart from one another."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from axonem_eval.errors import InputError
from axonem_eval.hdf5_index import require_apart

# What tifffile says, and goes on, where the chain of directories breaks off.
_BROKEN = re.compile(r"invalid page offset|invalid offset to first page|corrupted tag list|circular reference")


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
    address = np.array([o for page in kept for o in page.dataoffsets], object)
    size = np.array([c for page in kept for c in page.databytecounts], object)
    there = (size > 0) & (address > 0)
    beyond = int(np.count_nonzero(there & (address + size > path.stat().st_size)))
    if beyond:
        raise InputError.of(
            "truncated",
            f"{path.name}: {beyond:,} of {len(address):,} strips or tiles lie beyond the end of the file "
            f"({path.stat().st_size:,} bytes). The copy or upload broke off: compare sha256sum and send it again",
        )
    require_apart(path, address[there].astype(np.int64), size[there].astype(np.int64))
