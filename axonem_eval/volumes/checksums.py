"""The checksums of an archive's files. tensorstore does not compare them, and a flipped bit may be another label."""

import os
import struct
import threading
import time
import zipfile
import zlib
from typing import NamedTuple

from axonem_eval.errors import InputError
from axonem_eval.volumes.store import BADZIP, Store, data_place

_PIECE = 1 << 20
_ENCRYPTED = 1
# Within this a file may change, and state the same time of change.
_RESOLUTION_NS = 2 * 10**9


class _Archive(NamedTuple):
    """An archive as long as it does not change."""

    path: str
    size: int
    changed_ns: int


# Those without a wrong checksum: a process of a pool opens one again for each block.
_TRUE: set[_Archive] = set()


class Checksums:
    """Whether each file of a store is what was put into its archive. It is found out once, by whoever asks first."""

    def __init__(self, store: Store) -> None:
        self._store, self._lock = store, threading.Lock()
        status = store.path.stat()
        self._archive = _Archive(str(store.path.absolute()), status.st_size, status.st_mtime_ns)
        entries = store.archive.infolist() if store.archive and self._archive not in _TRUE else []
        self._open = [entry for entry in reversed(entries) if not entry.is_dir()]

    def require_true(self) -> None:
        """Raise InputError for the first file whose checksum is wrong."""
        if self._open:
            with self._lock, open(self._store.path, "rb") as file:
                while self._open:
                    self._require(self._open[-1], file.fileno())
                    self._open.pop()
                if time.time_ns() - self._archive.changed_ns > _RESOLUTION_NS:
                    _TRUE.add(self._archive)

    def _require(self, entry: zipfile.ZipInfo, descriptor: int) -> None:
        assert self._store.archive is not None
        try:
            if entry.compress_type == zipfile.ZIP_STORED and not entry.flag_bits & _ENCRYPTED:
                _require_stored(entry, descriptor)
            elif entry.compress_type == zipfile.ZIP_BZIP2:
                self._store.read_bytes(entry.filename, entry.file_size)
            else:
                with self._store.archive.open(entry) as file:
                    while file.read(_PIECE):
                        pass
        except (*BADZIP, zlib.error, struct.error) as error:
            raise InputError.of(
                "damaged_chunk",
                f"{self._store.path.name}: {entry.filename} in the archive is damaged ({error}). `unzip -t` names all "
                "such files. Copy the archive again and compare sha256sum, or zip the folder again",
            ) from None


def _require_stored(entry: zipfile.ZipInfo, descriptor: int) -> None:
    """As zipfile does; chunks are many and small, and it takes 0.1 ms to open one. Raises BadZipFile."""
    at, checksum = data_place(entry, descriptor), 0
    end = at + entry.compress_size
    while at < end and (piece := os.pread(descriptor, min(_PIECE, end - at), at)):
        checksum, at = zlib.crc32(piece, checksum), at + len(piece)
    if at < end or checksum != entry.CRC or entry.file_size != entry.compress_size:
        raise zipfile.BadZipFile("its checksum is wrong")
