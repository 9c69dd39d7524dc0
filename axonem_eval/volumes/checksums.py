"""The checksums of an archive's files. tensorstore does not compare them, and a flipped bit may be another label."""

import threading
import zipfile
import zlib

from axonem_eval.errors import InputError
from axonem_eval.volumes.store import BADZIP, Store

_PIECE = 1 << 20


class Checksums:
    """Whether each file of a store is what was put into its archive. It is found out once, by whoever asks first."""

    def __init__(self, store: Store) -> None:
        self._store, self._lock = store, threading.Lock()
        entries = store.archive.infolist() if store.archive else []
        self._open = [entry for entry in reversed(entries) if not entry.is_dir()]

    def require_true(self) -> None:
        """Raise InputError for the first file whose checksum is wrong."""
        if self._open:
            with self._lock:
                while self._open:
                    self._require(self._open[-1])
                    self._open.pop()

    def _require(self, entry: zipfile.ZipInfo) -> None:
        assert self._store.archive is not None
        try:
            if entry.compress_type == zipfile.ZIP_BZIP2:
                self._store.read_bytes(entry.filename, entry.file_size)
                return
            with self._store.archive.open(entry) as file:
                while file.read(_PIECE):
                    pass
        except (*BADZIP, zlib.error) as error:
            raise InputError.of(
                "damaged_chunk",
                f"{self._store.path.name}: {entry.filename} in the archive is damaged ({error}). `unzip -t` names all "
                "such files. Copy the archive again and compare sha256sum, or zip the folder again",
            ) from None
