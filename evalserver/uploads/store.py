"""The bytes of resumable uploads: one file each in UPLOAD_DIR, named by its code.

The size of the file is the truth about how much has arrived: it survives a killed server, and the kernel gives a
lock on the file back when its holder dies. UPLOAD_DIR is a folder of this machine, or one that all web and worker
machines share and that keeps `flock` (NFS 4 does).
"""

import fcntl
import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files import File

# Each holds a thread of the web process: more of them wait for no other holder.
WAITING = threading.Semaphore(2)


class Locked(Exception):
    """Another request is writing to this upload."""


class Missing(Exception):
    """There is no file of this name: it expired, or a submission took it."""


class CutOff(Exception):
    """The client went away, or said nothing for too long, before it had sent what it announced."""


def folder() -> Path:
    """Where the bytes lie."""
    return Path(settings.UPLOAD_DIR)


def path_of(code: str) -> Path:
    """The file of an upload."""
    return folder() / code


def create(code: str) -> None:
    """An empty file that only we can read."""
    os.close(os.open(path_of(code), os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def remove(code: str) -> None:
    """Delete the file, where there is one."""
    path_of(code).unlink(missing_ok=True)


def size_of(code: str) -> int:
    """Bytes on disk. Raises Missing."""
    try:
        return path_of(code).stat().st_size
    except FileNotFoundError:
        raise Missing from None


@contextmanager
def locked(code: str, *, wait_s: float = 0.0) -> Iterator[int]:
    """The file's descriptor, with the right to write to it. Raises Locked and Missing.

    wait_s : how long to wait for another holder. A question for the offset holds the lock for a moment, and must not
        turn away the bytes that come at that moment.
    """
    try:
        descriptor = os.open(path_of(code), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Missing from None
    try:
        _lock(descriptor, wait_s)
        if os.fstat(descriptor).st_nlink == 0:
            raise Missing  # it was removed between open and lock
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int, wait_s: float) -> None:
    if _takes_lock(descriptor):
        return
    if not wait_s or not WAITING.acquire(blocking=False):
        raise Locked
    try:
        give_up_at = time.monotonic() + wait_s
        while not _takes_lock(descriptor):
            if time.monotonic() >= give_up_at:
                raise Locked
            time.sleep(0.02)
    finally:
        WAITING.release()


def _takes_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_all(descriptor: int, piece: bytes, position: int) -> None:
    """Write a piece at a position (bytes from the start of the file)."""
    view = memoryview(piece)
    while view:
        count = os.pwrite(descriptor, view, position)
        view, position = view[count:], position + count


def second_name(path: Path) -> str:
    """Another name of a file on the same file system, for storage to move into place."""
    name = path_of(f"{path.name}.link-{secrets.token_hex(4)}")
    os.link(path, name)
    return str(name)


class UploadedBefore(File):  # type: ignore[type-arg] # not generic at run time
    """A finished upload, in the shape that storage and `create_submission` take files in.

    Local storage moves `temporary_file_path()` into place: that is a second name of the file, so that the upload
    stays whole until the submission's transaction has committed. Other storage reads the file.
    """

    def __init__(self, upload: Any) -> None:
        super().__init__(path_of(upload.code).open("rb"), name=upload.file_name)
        self.upload = upload
        self.sha256 = upload.sha256
        self.size = upload.size_bytes

    def temporary_file_path(self) -> str:
        return second_name(path_of(self.upload.code))
