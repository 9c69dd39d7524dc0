"""Skeleton files of a folder or a zip archive, read one by one: nothing is unpacked, no link in an archive followed."""

import lzma
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from axonem_eval.errors import Complaint, InputError, raise_all
from axonem_eval.file_kinds import foreign_content
from axonem_eval.sizes import size_in_words
from axonem_eval.volumes import Store, list_store

# About ten million nodes; larger is no single axon.
MAX_FILE_BYTES = 1 << 30
MAX_ARCHIVE_BYTES = 1 << 34
_PACKED = (".gz", ".lzma", ".xz")
_FRAGMENT_ENDS = ("", ".ng", ".bin")
_SWC_ENDS = (".swc", ".eswc")
_NUMBER = re.compile(r"[0-9]+(?=\.|$)")


@dataclass(frozen=True)
class SkeletonFile:
    """One file: its name for people, and its content, unpacked where it was .gz or .xz."""

    name: str
    data: bytes

    @property
    def is_swc(self) -> bool:
        """Whether the name says SWC."""
        return is_swc(self.name)


@dataclass(frozen=True)
class SkeletonFolder:
    """What a folder or an archive holds, by name; names of an archive carry their folder.

    skeletons : names of SWC files, or of files that may be precomputed skeletons.   others : names that are not read.
    info_name : of the precomputed layer's ``info``, or None.   archive : open, to read from; None for a folder.
    """

    path: Path
    skeletons: tuple[str, ...]
    others: tuple[str, ...]
    info_name: str | None
    archive: Store | None

    @classmethod
    def of(cls, path: Path) -> "SkeletonFolder":
        """List a folder, or a zip archive of one. Raises InputError for an archive that is damaged or unsafe."""
        archive = None if path.is_dir() else list_store(path)
        names = sorted(_names_in(archive) if archive else (p.name for p in path.iterdir() if p.is_file()))
        names = [n for n in names if not _base(n).startswith(".") and "__MACOSX" not in PurePosixPath(n).parts]
        infos = sorted((n for n in names if _base(n) == "info"), key=lambda n: n.count("/"))
        info_name = infos[0] if infos else None
        swc = tuple(n for n in names if is_swc(n))
        numbered = bool(infos or swc or archive)  # then other names are not those of skeletons
        fragments = tuple(
            n
            for n in names
            if _base(n) != "info"
            and _end(n) in _FRAGMENT_ENDS
            and (not numbered or _NUMBER.match(_base(n)))
            and (info_name is None or PurePosixPath(n).parent == PurePosixPath(info_name).parent)
        )
        kept = {*swc, *fragments, *infos}
        return cls(path, swc + fragments, tuple(n for n in names if n not in kept), info_name, archive)

    def close(self) -> None:
        """Close the archive."""
        if self.archive:
            self.archive.close()

    def info(self) -> bytes | None:
        """The content of ``info``, where there is one."""
        return None if self.info_name is None else self._read(self.info_name, MAX_FILE_BYTES + 1)

    def notes(self) -> list[str]:
        """What is there and not read."""
        notes = []
        if self.others:
            more = f" and {len(self.others) - 3:,} more" if len(self.others) > 3 else ""
            notes.append(f"not read, by their names: {', '.join(self.others[:3])}{more}")
        below = self._folders_with_swc()
        if below:
            notes.append(f"not read: SWC files in the folders below, such as {below[0]}")
        return notes

    def nothing(self) -> str:
        """What a folder or an archive without skeletons holds instead."""
        what = "no .swc and no precomputed skeleton"
        below = self._folders_with_swc()
        if below:
            return f"{what} in this folder itself; there are SWC files in {below[0]}: give that folder"
        here = "this archive" if self.archive else "this folder"
        if not self.others:
            return f"{what} in {here}, nor any other file"
        first = foreign_content(self._head(self.others[0]))
        shown = f"{self.others[0]}{f': {first}' if first else ''}"
        return (
            f"{what} in {here}, whose SWC files would end in .swc; it has {len(self.others):,} others, such as {shown}"
        )

    def _folders_with_swc(self) -> list[str]:
        if self.archive:
            return []
        folders = (p for p in sorted(self.path.iterdir()) if p.is_dir() and not p.name.startswith("."))
        return [f.name for f in folders if any(is_swc(p.name) for p in f.iterdir())]

    def read(self) -> Iterator[SkeletonFile]:
        """The skeleton files in order. Raises InputError, named, for one that cannot be read."""
        for name in self.skeletons:
            if self.archive:
                yield SkeletonFile(name, _unpacked(self.archive.read_bytes(name, MAX_FILE_BYTES + 1), name, name))
            else:
                yield read_file(self.path / name)

    def _read(self, name: str, most: int) -> bytes:
        if self.archive:
            return self.archive.read_bytes(name, most)
        with open(self.path / name, "rb") as plain:
            return plain.read(most)

    def _head(self, name: str) -> bytes:
        """The first bytes of a file, none where it cannot be read."""
        try:
            return self._read(name, 4000)
        except (OSError, InputError):
            return b""


def _names_in(archive: Store) -> list[str]:
    """Names of all files of an archive. Raises InputError where together they are too large."""
    if archive.stored_bytes > MAX_ARCHIVE_BYTES:
        raise archive.error(
            "huge_archive",
            f"{archive.stored_bytes:,} bytes unpacked, expected at most "
            f"{MAX_ARCHIVE_BYTES:,}; unpack it, give the folder",
        )
    return [*archive.metadata, *archive.names_below("")]


def read_file(path: Path) -> SkeletonFile:
    """One file of a folder. Raises InputError where it cannot be read or is too large."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError.of("unreadable", f"{path.name}: cannot be read ({error.strerror})") from None
    return SkeletonFile(path.name, _unpacked(data, path.name, path.name))


def is_swc(name: str) -> bool:
    """Whether a name ends in .swc or .eswc, in any case, packed or not."""
    return _end(name) in _SWC_ENDS


def require_skeleton(file: SkeletonFile, *, swc: bool = True) -> None:
    """Raise InputError where a file is empty, or is known to be something else; text where SWC is not expected."""
    if not file.data:
        raise InputError.of("empty_file", f"{file.name}: the file is empty (0 bytes); copy or write it again")
    foreign = foreign_content(file.data)
    if foreign:
        raise InputError.of("foreign_file", f"{file.name}: this is {foreign}. Expected an SWC or precomputed skeleton")
    if not swc and re.fullmatch(rb"[\t\r\n\x20-\x7e]+", file.data[:1000]):
        raise InputError.of(
            "text_file",
            f"{file.name}: this is text, expected a precomputed skeleton. Names of SWC files end in .swc; take other "
            "files out of the folder",
        )


def skeleton_ids(names: list[str]) -> tuple[list[int], list[str]]:
    """An id for each file, and notes: the number that its name begins with (``7.swc``, ``7.CNG.swc``), else a free one.

    Raises InputError where two files have the same number, or one does not fit 64 bits.
    """
    found = [_NUMBER.match(_base(name)) for name in names]
    numbers = [int(match.group()) if match else None for match in found]
    of: dict[int, list[str]] = {}
    for name, number in zip(names, numbers, strict=True):
        if number is not None:
            of.setdefault(number, []).append(name)
    complaints = [
        Complaint("same_id", f"{', '.join(same)}: these files make the same id {number}; rename or remove all but one")
        for number, same in of.items()
        if len(same) > 1
    ]
    complaints += [
        Complaint("huge_id", f"{same[0]}: the id {number} does not fit 64 bits; rename the file")
        for number, same in of.items()
        if number >= 1 << 64
    ]
    raise_all(bounded(complaints))
    free = (number for number in range(1, len(names) + len(of) + 1) if number not in of)
    ids = [next(free) if number is None else number for number in numbers]
    named = [f"{n} is {i}" for n, i, number in zip(names, ids, numbers, strict=True) if number is None]
    more = f" and {len(named) - 5:,} more" if len(named) > 5 else ""
    notes = [f"names without a number get a free id: {', '.join(named[:5])}{more}"] if named else []
    return ids, notes


def bounded(complaints: list[Complaint], most: int = 20) -> list[Complaint]:
    """The first complaints, and how many more there are."""
    if len(complaints) <= most:
        return complaints
    rest = Complaint("more", f"and {len(complaints) - most:,} more complaints of this kind")
    return [*complaints[:most], rest]


def _unpacked(data: bytes, name: str, shown: str) -> bytes:
    pack = _unpacker(data, name)
    if pack is not None:
        try:
            data = pack.decompress(data, MAX_FILE_BYTES + 1)
        except (zlib.error, lzma.LZMAError, EOFError) as error:
            raise InputError.of("damaged", f"{shown}: cannot be unpacked ({error}); copy it again") from None
        if len(data) <= MAX_FILE_BYTES and not pack.eof:
            raise InputError.of("truncated", f"{shown}: the packed file breaks off; copy it again")
    if len(data) > MAX_FILE_BYTES:
        raise InputError.of(
            "huge_file", f"{shown}: more than {size_in_words(MAX_FILE_BYTES)}; expected one skeleton a file"
        )
    return data


def _unpacker(data: bytes, name: str) -> Any:
    if data[:3] == b"\x1f\x8b\x08":
        return zlib.decompressobj(31)
    return lzma.LZMADecompressor() if name.lower().endswith((".lzma", ".xz")) else None


def _base(name: str) -> str:
    return PurePosixPath(name).name


def _end(name: str) -> str:
    """The last suffix in small letters, that of a packed file before its own."""
    path = PurePosixPath(_base(name).lower())
    return PurePosixPath(path.stem).suffix if path.suffix in _PACKED else path.suffix
