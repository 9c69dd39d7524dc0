"""A folder or a zip archive of small files, as Zarr and precomputed volumes come, looked over before it is opened.

Nothing is ever unpacked: files of an archive are read in place. Links are refused rather than followed, and so are
names that lead out of the folder, whatever the reader behind would make of them.
"""

import json
import os
import stat
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from axonem_eval.errors import InputError
from axonem_eval.volume import MAX_CHUNK_BYTES

MAX_FILES = 5_000_000
MAX_METADATA_FILES = 10_000
MAX_METADATA_BYTES = 16 << 20
_METADATA = frozenset(("zarr.json", ".zarray", ".zgroup", ".zattrs", "info"))
_PAGES = (".tif", ".tiff")


@dataclass
class Store:
    """What a folder or an archive holds.

    metadata : names of metadata files, relative with "/".   pages : names of TIFF files in the top folder.
    stored_bytes : of all files.   packed : folders that hold .gz or .br files.
    others : folder -> names of its files that are no metadata.
    """

    path: Path
    is_zip: bool
    metadata: list[str] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)
    stored_bytes: int = 0
    files: int = 0
    packed: set[str] = field(default_factory=set)
    others: dict[str, list[str]] = field(default_factory=dict)

    def note(self, name: str, size: int) -> None:
        """Take one file into account. Raises InputError where there are too many."""
        self.files += 1
        self.stored_bytes += size
        folder, _, base = name.rpartition("/")
        if base in _METADATA:
            self.metadata.append(name)
            if size > MAX_METADATA_BYTES:
                raise self.error("huge_metadata", f"{name} is {size:,} bytes; expected less than 16 MiB of JSON")
        else:
            self.others.setdefault(folder, []).append(base)
            if base.endswith((".gz", ".br")):
                self.packed.add(folder)
            elif not folder and base.lower().endswith(_PAGES):
                self.pages.append(name)
        if self.files > MAX_FILES or len(self.metadata) > MAX_METADATA_FILES:
            raise self.error(
                "too_many_files",
                f"more than {MAX_FILES:,} files or {MAX_METADATA_FILES:,} arrays; expected one label volume in chunks "
                "of about 64 x 64 x 64 voxels, or sharded",
            )

    def names_below(self, folder: str) -> Iterator[str]:
        """Names of the files in a folder and those below it that are no metadata, relative to it."""
        inside = f"{folder}/" if folder else ""
        for other, names in self.others.items():
            if other == folder or other.startswith(inside):
                below = other[len(inside) :]
                yield from (f"{below}/{name}" for name in names) if below else names

    def error(self, code: str, what: str) -> InputError:
        """A complaint about this store."""
        return InputError.of(code, f"{self.path.name}: {what}")

    def read_json(self, name: str) -> Any:
        """A metadata file. Raises InputError where it is no JSON."""
        try:
            if self.is_zip:
                with zipfile.ZipFile(self.path) as archive, archive.open(name) as file:
                    text = file.read(MAX_METADATA_BYTES + 1)
            else:
                with open(self.path / name, "rb") as file:
                    text = file.read(MAX_METADATA_BYTES + 1)
            return json.loads(text)
        except (ValueError, OSError, RecursionError, zipfile.BadZipFile, NotImplementedError) as error:
            raise self.error("bad_metadata", f"{name} is not readable as JSON ({type(error).__name__})") from None

    def kvstore(self, folder: str) -> dict[str, Any]:
        """tensorstore's name for a folder of this store."""
        inside = f"{folder}/" if folder else ""
        if self.is_zip:
            return {"driver": "zip", "base": {"driver": "file", "path": str(self.path.absolute())}, "path": inside}
        return {"driver": "file", "path": f"{self.path.absolute()}/{inside}"}

    def demand_inside(self, name: object, where: str) -> str:
        """A relative path that metadata gives, checked. Raises InputError where it leads out of the store."""
        parts = PurePosixPath(name).parts if isinstance(name, str) else ("..",)
        if any(p in ("..", "/") or ":" in p or "\\" in p or "\0" in p for p in parts) or str(name).startswith("/"):
            raise self.error("outside_path", f"{where} names {name!r}, which leads out of it; such paths are not read")
        return "/".join(p for p in parts if p != ".")


def look_over(path: Path) -> Store:
    """List a folder or zip archive without following or unpacking anything.

    Raises InputError: links, special files, too many files, a damaged archive, names that lead outside, entries that
    inflate to more than a chunk may hold.
    """
    return _look_over_zip(path) if path.is_file() else _look_over_folder(path)


def _look_over_folder(path: Path) -> Store:
    store = Store(path, is_zip=False)
    pending = [("", str(path))]
    while pending:
        base, folder = pending.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                name = f"{base}{entry.name}"
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    pending.append((f"{name}/", entry.path))
                elif stat.S_ISREG(status.st_mode):
                    store.note(name, status.st_size)
                else:
                    raise store.error(
                        "link",
                        f"{name} is a link or a special file; such are never followed. Copy the data itself "
                        "(cp -rL SOURCE TARGET)",
                    )
    return store


def _look_over_zip(path: Path) -> Store:
    store = Store(path, is_zip=True)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise store.error(
            "truncated",
            f"not readable as a zip archive ({error}). The copy or upload broke off, or it was not closed: compare "
            "sha256sum and send it again",
        ) from None
    _demand_plain_names(store, entries)
    for entry in entries:
        if entry.is_dir():
            continue
        if entry.flag_bits & 1:
            raise store.error("encrypted", f"{entry.filename} is encrypted; make the archive without a password")
        if entry.compress_type != zipfile.ZIP_STORED and entry.file_size > MAX_CHUNK_BYTES:
            raise store.error(
                "huge_chunk",
                f"{entry.filename} inflates to {entry.file_size:,} bytes; expected at most 1 GiB. Store the files "
                "without compression (zip -0): their chunks are compressed already",
            )
        store.note(entry.filename, entry.file_size)
    return store


def _demand_plain_names(store: Store, entries: Iterable[zipfile.ZipInfo]) -> None:
    seen = set()
    for entry in entries:
        store.demand_inside(entry.filename.rstrip("/"), "the archive")
        if entry.filename in seen:
            raise store.error("twice", f"the archive holds {entry.filename} twice; make it anew")
        seen.add(entry.filename)
        kind = entry.external_attr >> 16
        if stat.S_IFMT(kind) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise store.error("link", f"{entry.filename} is a link or a special file; zip the data itself")
