"""Files of our own: written whole or not at all, and read without running what is in them."""

import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.file_kinds import foreign_content


def read_npz(path: str | Path) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz, never unpickling. Raises InputError for anything else."""
    _require_archive(Path(path))
    try:
        with np.load(path, allow_pickle=False) as file:
            if not hasattr(file, "files"):
                raise InputError.of("not_npz", f"{path}: a single array, expected an .npz archive of several")
            return {name: file[name] for name in file.files}
    except (InputError, MemoryError):
        raise
    except Exception as error:  # what zipfile, zlib and NumPy raise on a file that somebody made
        why = str(error)
        if "pickle" in why:  # NumPy takes any file that is no archive for a pickle
            why = "it is no zip archive" if not zipfile.is_zipfile(path) else "it holds Python objects"
        raise InputError.of(
            "not_npz",
            f"{path}: not readable as an .npz archive of plain arrays ({why}); pickled content is never loaded, "
            "because unpickling runs code",
        ) from None


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
    if not head.startswith(b"PK"):
        what = foreign_content(head) or "a file of an unknown kind"
        raise InputError.of(
            "not_npz",
            f"{path}: this is {what}. Expected an .npz archive, such as a bundle of `axonem-eval skeletonize` "
            "or `axonem-eval import`",
        )


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let ``write`` fill a file that appears under its name only when it is whole and on disk."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
