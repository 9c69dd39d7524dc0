"""A folder or zip archive of small files, such as a Zarr or precomputed volume; listed and checked before it is opened.

Nothing is unpacked: files of an archive are read in place. Links are refused and never followed. Names that lead out
of the folder are refused too, before any library sees them.
"""

import bz2
import json
import os
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from axonem_eval.errors import InputError
from axonem_eval.file_kinds import foreign_content, kind_of_npz
from axonem_eval.sizes import size_in_words
from axonem_eval.volumes.bounds import most_chunk_bytes, require_apart, require_inside

MAX_FILES = 5_000_000
MAX_NAME = 1024
MAX_METADATA_FILES = 10_000
MAX_METADATA_BYTES = 16 << 20
MAX_ALL_METADATA_BYTES = 64 << 20
_METADATA = frozenset(("zarr.json", ".zarray", ".zgroup", ".zattrs", "info"))
_PAGES = (".tif", ".tiff")
# Those that both zipfile and tensorstore read.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
# Name of a chunk of a Zarr array, below any folders.
_CHUNK = re.compile(r"(?:.*/)?(?:c/)?\d+[./]\d+[./]\d+")
_METHOD_NAMES = {9: "Deflate64", 14: "LZMA", 93: "Zstandard", 95: "xz", 96: "JPEG", 98: "PPMd", 99: "AES"}
_HEADER_BYTES = 30  # of an entry, before its name
# Flag of an entry whose name is in UTF-8.
_UTF8 = 0x800
BADZIP = (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError, RuntimeError)


@dataclass
class Store:
    """What a folder or an archive holds.

    archive : the zip archive, opened once because each opening reads its whole table of contents; None for a folder.
    metadata : names of metadata files, relative with "/".   metadata_bytes : of all of them.
    stored_bytes : of all files.   packed : folders with .gz or .br files.
    others : folder -> names of its files, without metadata.
    """

    path: Path
    archive: zipfile.ZipFile | None = None
    metadata: list[str] = field(default_factory=list)
    metadata_bytes: int = 0
    stored_bytes: int = 0
    files: int = 0
    packed: set[str] = field(default_factory=set)
    others: dict[str, list[str]] = field(default_factory=dict)

    @property
    def file_bytes(self) -> int:
        """Bytes on the disk: of the archive, or of all files."""
        return self.path.stat().st_size if self.archive else self.stored_bytes

    def note(self, name: str, size: int) -> None:
        """Add one file to the list, unless a desktop program left it. Raises InputError where there are too many."""
        folder, _, base = name.rpartition("/")
        if base.startswith("._") or base in (".DS_Store", "Thumbs.db", "desktop.ini") or name.startswith("__MACOSX/"):
            return
        self.files += 1
        self.stored_bytes += size
        if base in _METADATA:
            self.metadata.append(name)
            self.metadata_bytes += size
            if size > MAX_METADATA_BYTES:
                raise self.error(
                    "huge_metadata",
                    f"{name} is {size:,} bytes; expected at most {MAX_METADATA_BYTES:,} bytes of JSON",
                )
            if self.metadata_bytes > MAX_ALL_METADATA_BYTES:
                raise self.error(
                    "huge_metadata",
                    f"its metadata files are more than {size_in_words(MAX_ALL_METADATA_BYTES)}; "
                    "expected one label volume",
                )
        else:
            self.others.setdefault(folder, []).append(base)
            if base.endswith((".gz", ".br")):
                self.packed.add(folder)
        if self.files > MAX_FILES or len(self.metadata) > MAX_METADATA_FILES:
            raise self.error(
                "too_many_files",
                f"more than {MAX_FILES:,} files or {MAX_METADATA_FILES:,} arrays; expected one label volume in chunks "
                "of about 64 x 64 x 64 voxels, or sharded",
            )

    def names_below(self, folder: str) -> Iterator[str]:
        """Names, relative to the folder, of the files in and below it, without metadata."""
        inside = f"{folder}/" if folder else ""
        for other, names in self.others.items():
            if other == folder or other.startswith(inside):
                below = other[len(inside) :]
                yield from (f"{below}/{name}" for name in names) if below else names

    def pages(self) -> list[str]:
        """Names of the TIFF files in the top folder, or in the one folder that has any.

        Raises InputError where several folders have.
        """
        found = {f: [n for n in names if n.lower().endswith(_PAGES)] for f, names in self.others.items()}
        found = {f: names for f, names in found.items() if names}
        if len(found) > 1:
            raise self.error(
                "ambiguous_dataset",
                f"TIFF files lie in {len(found)} folders ({', '.join(sorted(f or '.' for f in found)[:3])}); expected "
                "the sections of one volume in one folder",
            )
        return [f"{folder}/{name}".strip("/") for folder, names in found.items() for name in names]

    def error(self, code: str, what: str) -> InputError:
        """A complaint about this store."""
        return InputError.of(code, f"{self.path.name}: {what}")

    def unknown(self) -> InputError:
        """The complaint about a store without a volume that can be read; it says what is there."""
        npz = kind_of_npz(self.archive.namelist()) if self.archive else None
        if npz:
            return self.error("unknown_format", str(npz))
        names = list(self.names_below(""))
        bases = {name.rpartition("/")[2] for name in names}
        endings = Counter(PurePosixPath(name).suffix.lower() for name in names)
        if "attributes.json" in bases:
            what = (
                "it is an N5 container (attributes.json), which is not read. Convert it to Zarr or HDF5; its axes "
                "are x,y,z, so write them in the order z,y,x"
            )
        elif "header.wkw" in bases or endings[".wkw"]:
            what = "it is a webKnossos volume (.wkw), which is not read. Export it from webKnossos as Zarr or TIFF"
        elif h5 := next((n for n in names if n.lower().endswith((".h5", ".hdf5", ".hdf"))), None):
            what = f"it holds {h5}, an HDF5 file, which is read as it is. Give or upload that file, not zipped"
        elif inner := next((n for n in names if n.lower().endswith(".zip")), None):
            what = (
                f"it holds {inner}, an archive within it. Give or upload that archive alone, without another around it"
            )
        elif ".zmetadata" in bases or any(map(_CHUNK.fullmatch, names)):
            what = (
                "it holds chunks, but not the files .zarray or zarr.json that describe them. Names that begin with a "
                "dot are left out by `zip OUT.zip *` and `cp FOLDER/*`: copy the folder itself (cp -r), and zip with "
                "`cd FOLDER; zip -0 -r ../OUT.zip .`"
            )
        elif "[Content_Types].xml" in bases:
            what = "it is a document of Microsoft Office. Expected a label volume"
        else:
            held = ", ".join(f"{n} {suffix or 'without ending'}" for suffix, n in endings.most_common(3)) or "no file"
            what = (
                "it holds neither a Zarr array (zarr.json, .zarray) nor a precomputed volume (info) nor TIFF sections "
                f"(.tif), but {held}. Expected one of these, or HDF5"
            )
        return self.error("unknown_format", what)

    def read_json(self, name: str) -> Any:
        """Parse a metadata file. Raises InputError where it is not JSON."""
        data = self.read_bytes(name, MAX_METADATA_BYTES)
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            foreign = foreign_content(data)
            found = f"it is {foreign}" if foreign and "JSON" not in foreign else "it is damaged or cut short"
            raise self.error(
                "bad_metadata",
                f"{name} is not readable as JSON: {found if data else 'it is empty'}. Copy it again, or write the "
                "volume again",
            ) from None

    def read_bytes(self, name: str, most: int) -> bytes:
        """At most the first ``most`` bytes of a file. Raises InputError where it is damaged."""
        try:
            entry = self.archive.getinfo(name) if self.archive else None
            if entry and entry.compress_type == zipfile.ZIP_BZIP2:
                return self._read_bzip2(entry, most)
            with self.archive.open(name) if self.archive else open(self.path / name, "rb") as file:
                return file.read(most)
        except (*BADZIP, zlib.error, struct.error) as error:
            raise self.error("damaged_chunk", f"{name} cannot be read ({error}). Write or send it again") from None

    def _read_bzip2(self, entry: zipfile.ZipInfo, most: int) -> bytes:
        """As ``read_bytes``; zipfile would decompress a whole block of bzip2 at once, up to a GB from a kilobyte."""
        with open(self.path, "rb") as file:
            packed = os.pread(file.fileno(), entry.compress_size, data_place(entry, file.fileno()))
        data = bz2.BZ2Decompressor().decompress(packed, min(entry.file_size, most) + 1)
        if len(data) < min(entry.file_size, most) or len(data) > entry.file_size:
            raise zipfile.BadZipFile(f"it is not of the {entry.file_size:,} bytes that the archive states")
        if len(data) == entry.file_size and zlib.crc32(data) != entry.CRC:
            raise zipfile.BadZipFile("its checksum is wrong")
        return data[:most]

    def close(self) -> None:
        """Close the archive."""
        if self.archive:
            self.archive.close()

    def kvstore(self, folder: str) -> dict[str, Any]:
        """tensorstore's name for a folder of this store."""
        inside = f"{folder}/" if folder else ""
        if self.archive:
            return {"driver": "zip", "base": {"driver": "file", "path": str(self.path.absolute())}, "path": inside}
        return {"driver": "file", "path": f"{self.path.absolute()}/{inside}"}

    def inner_path(self, name: object, where: str) -> str:
        """A relative path that metadata gives, checked. Raises InputError where it leads out of the store."""
        parts = PurePosixPath(name).parts if isinstance(name, str) else ("..",)
        if any(p in ("..", "/") or ":" in p or "\\" in p or "\0" in p for p in parts) or str(name).startswith("/"):
            raise self.error("outside_path", f"{where} names {name!r}, which leads out of it; such paths are not read")
        return "/".join(p for p in parts if p != ".")


def data_place(entry: zipfile.ZipInfo, descriptor: int) -> int:
    """Where the data of an archive's file begin. Raises BadZipFile where its own header is not that of the table."""
    header = os.pread(descriptor, _HEADER_BYTES, entry.header_offset)
    name_bytes: int
    extra_bytes: int
    name_bytes, extra_bytes = struct.unpack("<26xHH", header)
    raw_name = os.pread(descriptor, name_bytes, entry.header_offset + _HEADER_BYTES)
    name = raw_name.decode("utf-8" if entry.flag_bits & _UTF8 else "cp437")
    if header[:4] != b"PK\x03\x04" or name != entry.orig_filename:
        raise zipfile.BadZipFile(f"the table of the archive calls it {entry.orig_filename!r}, itself {name!r}")
    return entry.header_offset + _HEADER_BYTES + name_bytes + extra_bytes


def list_store(path: Path) -> Store:
    """List a folder or zip archive without following or unpacking anything.

    Raises InputError: links, special files, too many files, a damaged archive, names that lead outside, entries that
    inflate to more than a chunk may hold.
    """
    return _list_zip(path) if path.is_file() else _list_folder(path)


def _list_folder(path: Path) -> Store:
    store = Store(path)
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


def _list_zip(path: Path) -> Store:
    store = Store(path)
    try:
        store.archive = zipfile.ZipFile(path)
    except BADZIP as error:
        raise store.error(
            "truncated",
            f"not readable as a zip archive ({error}). The copy or upload broke off, or it was not closed: compare "
            "sha256sum and send it again",
        ) from None
    try:
        _list_entries(store, store.archive.infolist())
    except BaseException:
        store.close()
        raise
    return store


def _list_entries(store: Store, entries: list[zipfile.ZipInfo]) -> None:
    _require_plain_names(store, entries)
    _require_known_methods(store, entries)
    _require_own_places(store, entries)
    most = most_chunk_bytes(store.file_bytes)
    for entry in entries:
        if entry.is_dir():
            continue
        if entry.compress_type != zipfile.ZIP_STORED and entry.file_size > most:
            raise store.error(
                "huge_chunk",
                f"{entry.filename} inflates to {entry.file_size:,} bytes; expected at most {most:,} from an archive "
                "of this size. Store the files without compression (zip -0): their chunks are compressed already",
            )
        store.note(entry.filename, entry.file_size)


def _require_plain_names(store: Store, entries: list[zipfile.ZipInfo]) -> None:
    seen = set()
    for entry in entries:
        if not entry.filename:
            raise store.error(
                "no_name",
                "the archive holds a file without a name. The archive is damaged: zip the folder anew, with "
                "`zip -0 -r OUT.zip .`",
            )
        if len(entry.filename) > MAX_NAME:
            raise store.error(
                "long_name",
                f"the archive holds a name of {len(entry.filename):,} characters, {entry.filename[:40]!r}...; expected "
                f"at most {MAX_NAME:,}",
            )
        store.inner_path(entry.filename.replace("\\", "/").rstrip("/"), "the archive")
        if "\\" in entry.filename:
            raise store.error(
                "backslash",
                f"the archive names {entry.filename} with a backslash, as old versions of .NET and PowerShell do, so "
                "that it holds no folders. Zip the folder anew, with 7-Zip, PowerShell 7 or `zip -0 -r OUT.zip .`",
            )
        if entry.filename in seen:
            raise store.error(
                "twice",
                f"the archive holds {entry.filename} twice, as zarr's ZipStore does where it writes again, and which "
                "of them counts is not certain. Write the array to a folder (zarr.storage.LocalStore) and zip that: "
                "`cd FOLDER; zip -0 -r ../OUT.zip .`",
            )
        seen.add(entry.filename)
        kind = entry.external_attr >> 16
        if stat.S_IFMT(kind) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise store.error("link", f"{entry.filename} is a link or a special file; zip the data itself")


def _require_own_places(store: Store, entries: list[zipfile.ZipInfo]) -> None:
    """Raise InputError where entries lie beyond the end of the archive or on bytes of one another."""
    address = np.fromiter((e.header_offset for e in entries), np.int64, len(entries))
    size = np.fromiter((_HEADER_BYTES + e.compress_size for e in entries), np.int64, len(entries))
    require_inside(store.path, address, size, "files of the archive")
    require_apart(store.path, address, size, "files of the archive")


def _require_known_methods(store: Store, entries: list[zipfile.ZipInfo]) -> None:
    for entry in entries:
        if entry.flag_bits & 1:
            raise store.error("encrypted", f"{entry.filename} is encrypted; make the archive without a password")
    unknown = [e for e in entries if e.compress_type not in _METHODS and not e.is_dir()]
    if unknown:
        method = unknown[0].compress_type
        raise store.error(
            "zip_method",
            f"{len(unknown):,} of {len(entries):,} files of the archive, such as {unknown[0].filename}, are packed "
            f"with {_METHOD_NAMES.get(method, f'method {method}')}, which is not read. Zip them with store or "
            "deflate: `zip -0 -r OUT.zip .`, in 7-Zip the method Store or Deflate",
        )
