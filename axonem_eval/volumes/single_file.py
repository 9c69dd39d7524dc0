"""A .zip that holds one label file, as some benchmarks ask for: the file is unpacked before it is opened."""

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from axonem_eval.errors import InputError
from axonem_eval.file_kinds import is_zip
from axonem_eval.sizes import size_in_words
from axonem_eval.submission_rule import FileRule

MAX_UNPACKED_BYTES = 4 << 30
_DAMAGED = (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError, RuntimeError, zlib.error)


@contextmanager
def unpacked(path: str | Path, rule: FileRule) -> Iterator[str | Path]:
    """The file itself; of an archive that the rule takes, the one file in it, for as long as the context lasts.

    Raises InputError where the name is not the rule's, or the archive does not hold that file alone.
    """
    if complaint := rule.name_complaint(Path(path).name):
        raise InputError.of("wrong_name", complaint)
    if not (rule.zipped and is_zip(Path(path))):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="axonem-") as folder:
        yield unpack_single(Path(path), Path(folder), rule)


def unpack_single(path: Path, folder: Path, rule: FileRule) -> Path:
    """Unpack the one file of an archive into a folder. Raises InputError as ``unpacked`` does."""
    try:
        with zipfile.ZipFile(path) as archive:
            member = _only_file(path, archive, rule)
            target = folder / rule.file_name
            with archive.open(member) as source, target.open("wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
    except _DAMAGED as error:
        if isinstance(error, InputError):
            raise
        raise InputError.of(
            "truncated", f"{path.name}: the archive cannot be read ({error}). Zip the file again, and send it again"
        ) from None
    return target


def _only_file(path: Path, archive: zipfile.ZipFile, rule: FileRule) -> zipfile.ZipInfo:
    files = [f for f in archive.infolist() if not f.filename.endswith("/") and not f.filename.startswith("__MACOSX/")]
    if len(files) != 1 or PurePosixPath(files[0].filename).name != rule.file_name:
        held = ", ".join(f.filename for f in files[:3]) or "nothing"
        more = f" and {len(files) - 3:,} more" if len(files) > 3 else ""
        raise InputError.of(
            "wrong_archive", f"{path.name}: the archive holds {held}{more}; expected {rule.file_name} alone"
        )
    if files[0].file_size > MAX_UNPACKED_BYTES:
        raise InputError.of(
            "huge_archive",
            f"{path.name}: {rule.file_name} has {size_in_words(files[0].file_size)} unpacked; expected at most "
            f"{size_in_words(MAX_UNPACKED_BYTES)}. Compress the dataset itself (gzip), or upload the file without zip",
        )
    return files[0]
