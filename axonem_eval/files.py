"""Write a file whole or not at all; read an .npz without running code from it."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.file_kinds import begins_zip, foreign_content
from axonem_eval.sizes import size_in_words

Result = TypeVar("Result")

# Of all arrays of an .npz, which are held in memory: a small archive may unpack to any size.
MAX_NPZ_BYTES = 2**33


def parse_again(read: Callable[[], Result]) -> Result:
    """What ``read`` gives, which parses Python source, as NumPy does for the head of each array.

    Until Python 3.11.8 a thread that parses may get a SystemError because another does, and then it is done again.
    """
    for _ in range(100):
        try:
            return read()
        except SystemError as error:
            if "AST constructor recursion depth" not in str(error):
                raise
    return read()


def read_npz(path: str | Path) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz in this machine's byte order, never unpickling. Raises InputError for anything else."""
    _require_archive(Path(path))
    try:
        # Opened here: NumPy leaves a file open that turns out to be no archive.
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            if not hasattr(file, "files"):
                raise InputError.of("not_npz", f"{path}: a single array, expected an .npz archive of several")
            if (size := sum(member.file_size for member in file.zip.infolist())) > MAX_NPZ_BYTES:
                raise InputError.of(
                    "huge_arrays",
                    f"{path}: its arrays take {size_in_words(size)} unpacked; at most {size_in_words(MAX_NPZ_BYTES)} "
                    "are read, because they are held in memory. Write fewer nodes into one file",
                )
            return {name: _native(parse_again(partial(file.__getitem__, name))) for name in file.files}
    except (InputError, MemoryError):
        raise
    except Exception as error:  # what zipfile, zlib and NumPy raise on a file that somebody made
        if "pickle" in str(error):
            why = "it holds Python objects, which are never loaded, because unpickling runs code"
        else:
            why = f"it is damaged or cut short ({error}). Copy it again, or write it again"
        raise InputError.of("not_npz", f"{path}: not readable as an .npz archive of plain arrays: {why}") from None


def _native(array: NDArray[Any]) -> NDArray[Any]:
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _require_archive(path: Path) -> None:
    """Raise InputError where a file is no zip archive, as every .npz is, and say what it is."""
    try:
        with open(path, "rb") as file:
            head = file.read(2000)
    except FileNotFoundError:
        raise InputError.of("no_file", f"{path}: no such file") from None
    except OSError as error:
        raise InputError.of("unreadable", f"{path}: cannot be read ({error.strerror})") from None
    if not head:
        raise InputError.of("empty_file", f"{path}: the file is empty (0 bytes); copy or write it again")
    if not begins_zip(head):
        what = foreign_content(head) or "a file of an unknown kind"
        raise InputError.of(
            "not_npz",
            f"{path}: this is {what}. Expected an .npz archive, such as a bundle of `axonem-eval skeletonize` "
            "or `axonem-eval import`",
        )


def require_target(path: str | Path, *read: str | Path, suffixes: tuple[str, ...] = ()) -> Path:
    """The file to write: ``path``, or what it points at where it is a symbolic link.

    suffixes : endings of its name, of which it must have one, so that other programs know what it holds.
    read : files that are read for it; of one named FILE:DATASET, the file counts.
    Raises InputError where the folder is missing, where a folder or a device such as /dev/null has that name, and
    where it is one of the files that are read.
    """
    target = Path(os.path.realpath(path))
    if suffixes and Path(path).suffix.lower() not in suffixes:
        words = " or ".join(suffixes)
        raise InputError.of("wrong_suffix", f"{path}: the file is written as {words}; give a name that ends in it")
    if not target.parent.is_dir():
        raise InputError.of("no_folder", f"{path}: its folder does not exist; make it first")
    if target.exists() and not target.is_file():
        what = "a folder" if target.is_dir() else "a device or a pipe"
        raise InputError.of("no_regular_file", f"{path}: this is {what}, not a file; give another name")
    sources = {os.path.realpath(name) for source in map(str, read) for name in (source, source.rpartition(":")[0])}
    if target.exists() and str(target) in sources:
        raise InputError.of("is_input", f"{path}: this file is read; writing it would destroy it. Give another name")
    return target


@contextmanager
def whole_file(path: str | Path, *, mode: int = 0o666) -> Iterator[IO[bytes]]:
    """An open draft of a file that appears under its name when the block ends, whole and on disk; not after an error.

    ``draft.name`` is the draft's path, for libraries that open files by name.
    mode : permissions, of which the process's umask takes some away.
    Raises InputError as ``require_target`` does.
    """
    target = require_target(path)
    draft = target.with_name(f".{target.name[:50]}.{secrets.token_hex(4)}.part")
    try:
        with open(draft, "x+b", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_atomically(path: str | Path, write: Callable[[IO[bytes]], object], *, mode: int = 0o666) -> None:
    """As ``whole_file``. write : fills the draft that it is given."""
    with whole_file(path, mode=mode) as draft:
        write(draft)
