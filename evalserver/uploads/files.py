"""Uploads go straight to disk, hashed on the way, under names of our own."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.db.models.fields.files import FieldFile

from axonem_eval.submission_rule import NODE_TABLE

# Names of label files. The reader tells formats by content; a name only says to people what they have.
LABEL_SUFFIXES = (".h5", ".hdf5", ".hdf", ".zip", ".tif", ".tiff")
ACCEPTED_LABELS = ",".join(LABEL_SUFFIXES)  # what a browser's file chooser offers


def label_suffix(name: str) -> str:
    """The suffix under which a label file is stored: that of its own name where it is a known one."""
    suffix = Path(name).suffix.lower()
    return suffix if suffix in (*LABEL_SUFFIXES, NODE_TABLE) else ".labels"


class HashingUploadHandler(TemporaryFileUploadHandler):
    """Streams a file to disk; the finished file carries `sha256`, so it is not read a second time."""

    chunk_size = 2**20

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self.digest = hashlib.sha256()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self.digest.update(raw_data)
        super().receive_data_chunk(raw_data, start)

    def file_complete(self, file_size: int) -> Any:
        file: Any = super().file_complete(file_size)
        file.sha256 = self.digest.hexdigest()
        return file


def file_sha256(file: Any) -> str:
    """Checksum of an uploaded or local file; taken from the upload handler where it has it."""
    known = getattr(file, "sha256", None)
    if known:
        return str(known)
    digest = hashlib.sha256()
    for chunk in file.chunks(2**20):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


def display_name(name: str) -> str:
    """A participant's file name, safe to show: no folders, no control characters, at most 100 characters.

    It is shown and never used as a path.
    """
    base = os.path.basename(name.replace("\\", "/"))
    clean = re.sub(r"[^\w.\- ()+]", "_", base).strip(" .")
    return clean[-100:] or "unnamed"


@contextmanager
def local_path(stored: FieldFile) -> Iterator[Path]:
    """A stored file as a path on this machine: itself on local storage, a scratch copy from elsewhere.

    Raises FileNotFoundError where the storage has lost it, which is no fault of whoever sent it.
    """
    try:
        path = Path(stored.path)
    except NotImplementedError:  # the storage has no local files
        path = None
    if path is not None:
        if not path.exists():
            raise FileNotFoundError(f"{stored.name} is not in the storage any more")
        yield path
        return
    with TemporaryDirectory(dir=settings.SCRATCH_DIR) as folder:
        copy = Path(folder) / Path(stored.name or "file").name
        with stored.open("rb") as source, copy.open("wb") as target:
            while chunk := source.read(2**22):
                target.write(chunk)
        yield copy


def store_as(name: str, path: Path) -> str:
    """Store a file under exactly this name, in place of what a run that broke off may have left there."""
    if default_storage.exists(name):
        default_storage.delete(name)
    with path.open("rb") as file:
        return default_storage.save(name, File(file))
