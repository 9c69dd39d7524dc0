"""A request's body on its way to the end of an upload, piece by piece."""

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass

from evalserver.uploads import store
from evalserver.uploads.models import Upload
from evalserver.uploads.services import CHECKSUMS, LOCK_WAIT_S, UploadRefused, expiry, finish, note, settle_locked

# How often the row learns of what has come: soon while much comes, seldom on a slow line.
NOTE_S, NOTE_BYTES, SLOW_NOTE_S = 1.0, 2**20, 10.0


@dataclass(frozen=True)
class Checksum:
    """The checksum that the client declares for one piece."""

    algorithm: str
    digest: bytes


class Receiving:
    """Holds the lock on the upload's file from the start to `end`, which must be called."""

    def __init__(self, upload: Upload, *, offset: int, length: int | None, checksum: Checksum | None = None) -> None:
        """Raises UploadRefused, store.Locked and store.Missing.

        length : bytes that the body has, None when it comes in pieces of unknown number.
        """
        self.upload, self.length, self.checksum = upload, length, checksum
        self.digest = CHECKSUMS[checksum.algorithm]() if checksum else None
        self.written = self.noted = 0
        self.noted_at = time.monotonic()
        with ExitStack() as stack:
            self.descriptor = stack.enter_context(store.locked(upload.code, wait_s=LOCK_WAIT_S))
            self.start = self._begin(offset)
            self.held = stack.pop_all()

    def _begin(self, offset: int) -> int:
        have = settle_locked(self.upload, self.descriptor)
        if offset != have:
            raise UploadRefused(409, "wrong_offset", f"The upload stands at {have}, not at {offset}.", offset=have)
        room = self.upload.size_bytes - have
        if self.length is not None and self.length > room:
            raise UploadRefused(413, "past_the_end", f"{room} bytes are missing, the request has {self.length}.")
        if self.checksum:
            note(self.upload, unverified_from=have)
        return have

    def write(self, piece: bytes) -> None:
        """Store the next bytes. Raises UploadRefused where they do not fit; then nothing of this request is kept."""
        if self.start + self.written + len(piece) > self.upload.size_bytes:
            os.ftruncate(self.descriptor, self.start)
            raise UploadRefused(413, "past_the_end", "The request has more bytes than are missing.")
        store.write_all(self.descriptor, piece, self.start + self.written)
        self.written += len(piece)
        if self.digest is not None:
            self.digest.update(piece)
        else:
            self._note_now_and_then()

    def _note_now_and_then(self) -> None:
        silent_s = time.monotonic() - self.noted_at
        if silent_s > SLOW_NOTE_S or (silent_s > NOTE_S and self.written - self.noted >= NOTE_BYTES):
            self.noted, self.noted_at = self.written, time.monotonic()
            note(self.upload, offset=self.start + self.written)

    def end(self, *, complete: bool) -> int:
        """The new offset, once what came is noted and the lock given back. Raises UploadRefused and store.CutOff.

        complete : False where the client went away, or was refused.
        """
        with self.held:
            # A piece is proven by its checksum, which only the whole of it can match.
            complete = complete and (self.length is None or self.written == self.length)
            proven = self.checksum is None or (
                complete and self.digest is not None and self.digest.digest() == self.checksum.digest
            )
            if not proven:
                os.ftruncate(self.descriptor, self.start)
            have = os.fstat(self.descriptor).st_size
            if not self.upload.is_complete:
                note(self.upload, offset=have, unverified_from=None, expires_at=expiry())
            if not complete:
                raise store.CutOff
            if not proven:
                raise UploadRefused(
                    460, "checksum_mismatch", "The piece does not match the checksum that was sent with it."
                )
            if have == self.upload.size_bytes and not self.upload.is_complete:
                finish(self.upload, self.descriptor)
            return have
