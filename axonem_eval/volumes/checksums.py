"""The checksums of an archive's files. tensorstore does not compare them, and a flipped bit may be another label."""

import os
import struct
import threading
import zipfile
import zlib

from axonem_eval.errors import InputError
from axonem_eval.volumes.store import BADZIP, UTF8, Store

_PIECE = 1 << 20
_ENCRYPTED = 1
_HEADER_BYTES = 30


class Checksums:
    """Whether each file of a store is what was put into its archive. It is found out once, by whoever asks first."""

    def __init__(self, store: Store) -> None:
        self._store, self._lock = store, threading.Lock()
        entries = store.archive.infolist() if store.archive else []
        self._open = [entry for entry in reversed(entries) if not entry.is_dir()]

    def require_true(self) -> None:
        """Raise InputError for the first file whose checksum is wrong."""
        if self._open:
            with self._lock, open(self._store.path, "rb") as file:
                while self._open:
                    self._require(self._open[-1], file.fileno())
                    self._open.pop()

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
    header = os.pread(descriptor, _HEADER_BYTES, entry.header_offset)
    name_bytes, extra_bytes = struct.unpack("<26xHH", header)
    raw_name = os.pread(descriptor, name_bytes, entry.header_offset + _HEADER_BYTES)
    name = raw_name.decode("utf-8" if entry.flag_bits & UTF8 else "cp437")
    if header[:4] != b"PK\x03\x04" or name != entry.orig_filename:
        raise zipfile.BadZipFile("the table of the archive and its own header differ")
    at, checksum = entry.header_offset + _HEADER_BYTES + name_bytes + extra_bytes, 0
    end = at + entry.compress_size
    while at < end and (piece := os.pread(descriptor, min(_PIECE, end - at), at)):
        checksum, at = zlib.crc32(piece, checksum), at + len(piece)
    if at < end or checksum != entry.CRC or entry.file_size != entry.compress_size:
        raise zipfile.BadZipFile("its checksum is wrong")
