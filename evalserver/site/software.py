"""The scorer, the client and the baselines as an archive among the static files, for who has only the address.

pip installs it: `pip install "axonem[client] @ https://…/static/software/axonem.zip"`. It is the very code that scores
here, so both give the same number.
"""

import zipfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import BaseFinder
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.files.storage import FileSystemStorage

from axonem_eval.files import whole_file

ARCHIVE = "software/axonem.zip"
PACKAGES = ("axonem_eval", "baselines")
FILES = ("pyproject.toml", "requirements.lock", "README.md", "LICENSE", "CHANGELOG.md")
SUFFIXES = {".py", ".typed", ".css", ".html", ".jinja", ".js", ".svg", ".toml", ".pt"}


def pack_software(source: Path, archive: Path) -> bool:
    """Write the packages below a checkout as a zip that pip installs; False where the checkout is not whole.

    The same files give the same bytes, so that the address of the archive changes only with them.
    """
    whole = [*FILES, *PACKAGES, "axonem_eval/client"]
    if not all((source / name).exists() for name in whole):
        return False
    archive.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(archive) as draft, zipfile.ZipFile(draft, "w") as pack:
        for file in _files(source):
            entry = zipfile.ZipInfo(f"axonem/{file.relative_to(source).as_posix()}")
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            pack.writestr(entry, file.read_bytes())
    return True


def _files(source: Path) -> Iterator[Path]:
    yield from (source / name for name in FILES)
    for package in PACKAGES:
        found = (source / package).rglob("*")
        yield from sorted(path for path in found if path.is_file() and path.suffix in SUFFIXES)


class SoftwareFinder(BaseFinder):
    """Has `collectstatic` pack the archive. An installation without the client or the baselines has none."""

    def find(self, path: str, find_all: bool = False) -> Any:
        """Nothing: the archive is served only from where it was collected."""
        return []

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, Any]]:
        folder = settings.VAR_DIR / "packed"
        if pack_software(settings.BASE_DIR, folder / ARCHIVE):
            yield ARCHIVE, FileSystemStorage(location=folder)


@cache
def archive_url() -> str:
    """Where the archive is served; empty where it was not collected."""
    try:
        url = staticfiles_storage.url(ARCHIVE)
    except ValueError:
        return ""
    return url if staticfiles_storage.exists(ARCHIVE) else ""
