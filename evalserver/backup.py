"""A backup of all that cannot be made again, taken while the server runs, and the way back into an empty installation.

    FOLDER/manifest.json     written last: a backup without it is not complete
    FOLDER/database/         one file of SQLite, or a compressed file of rows for each table of PostgreSQL
    FOLDER/files/            what people uploaded, ground truth, node labels: by the name that the database knows
    FOLDER/uploads/          uploads that no submission has taken yet
    FOLDER/secret-key        where the server made its own

Files are stored before the row that names them and never change. They are copied twice, before and after the database:
so whatever the database names at its moment is there, also what was deleted or moved a moment later.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.files import File
from django.core.files.storage import FileSystemStorage, default_storage
from django.core.management import call_command
from django.db import connection, models
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from axonem_eval.files import write_atomically
from evalserver import backup_database
from evalserver.jobs import release_all_leases
from evalserver.start import OTHERS
from evalserver.uploads import store
from evalserver.uploads.models import Upload

FORMAT = 1
MANIFEST, FILES, UPLOADS, DATABASE, SECRET = "manifest.json", "files", "uploads", "database", "secret-key"
BLOCK = 2**22


class BackupError(Exception):
    """A backup cannot be made or put back. The message says what to do."""


@dataclass(frozen=True)
class Restored:
    """What was put back. missing : files that the database names and the backup has not."""

    files: int
    rows: int
    uploads_without_file: int
    missing: list[str]


@contextmanager
def for_own_user_alone() -> Iterator[None]:
    """What is written within is for no other user, whatever the umask was."""
    before = os.umask(OTHERS)
    try:
        yield
    finally:
        os.umask(before)


@for_own_user_alone()
def back_up(folder: Path, say: Callable[[str], object] = lambda line: None) -> dict[str, Any]:
    """Write a backup into a new folder, while the server runs; its manifest. Raises BackupError."""
    if folder.exists() and any(folder.iterdir()):
        raise BackupError(f"{folder} is not empty. Name a new folder for each backup.")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)  # one that was there: it will hold ground truth
    copied: dict[str, dict[str, Any]] = {}
    _copy_all(folder, copied)
    say(f"{len(copied)} files")
    (folder / DATABASE).mkdir(mode=0o700)
    rows = backup_database.dump(folder / DATABASE)
    say(f"{sum(rows.values())} rows")
    before = len(copied)
    _copy_all(folder, copied)
    say(f"{len(copied) - before} files that came meanwhile")
    key = Path(settings.VAR_DIR) / SECRET
    if key.exists():
        shutil.copy2(key, folder / SECRET)
    manifest = {
        "format": FORMAT,
        "made_at": timezone.now().isoformat(),
        "database": connection.vendor,
        "migrations": _applied_migrations(),
        "rows": rows,
        "files": copied,
    }
    os.sync()
    write_atomically(folder / MANIFEST, lambda draft: draft.write(json.dumps(manifest, indent=1).encode()), mode=0o600)
    return manifest


@for_own_user_alone()
def restore(folder: Path, say: Callable[[str], object] = lambda line: None) -> Restored:
    """Put a backup back into an empty installation whose server does not run. Raises BackupError."""
    manifest = read_manifest(folder)
    damaged = damaged_files(folder, manifest)
    if damaged:
        raise BackupError(f"{len(damaged)} files of the backup are damaged or gone, the first is {damaged[0]}.")
    say(f"{len(manifest['files'])} files have the checksums of the manifest")
    call_command("migrate", verbosity=0)
    _require_fit(manifest)
    if (folder / SECRET).exists():
        shutil.copy2(folder / SECRET, Path(settings.VAR_DIR) / SECRET)
    for name in manifest["files"]:
        _put_back(folder / name, name)
    backup_database.load(folder / DATABASE)
    say(f"{sum(manifest['rows'].values())} rows")
    release_all_leases()
    gone = [row.pk for row in Upload.objects.exclude(status=Upload.USED) if not store.path_of(row.code).exists()]
    Upload.objects.filter(pk__in=gone).delete()
    known = {name.removeprefix(f"{FILES}/") for name in manifest["files"]}
    missing = sorted(set(_named_files()) - known)
    return Restored(len(manifest["files"]), sum(manifest["rows"].values()), len(gone), missing)


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a backup holds. Raises BackupError where it is not complete."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    except FileNotFoundError:
        raise BackupError(
            f"{folder} holds no complete backup: {MANIFEST}, which is written last, is missing."
        ) from None
    if manifest.get("format") != FORMAT:
        raise BackupError(f"{folder} is of format {manifest.get('format')}; this release reads {FORMAT}.")
    return manifest


def damaged_files(folder: Path, manifest: dict[str, Any]) -> list[str]:
    """Names of files that are gone, or are not what was copied."""
    found = []
    for name, row in manifest["files"].items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != row["bytes"] or _sha256(path) != row["sha256"]:
            found.append(name)
    return found


def _require_fit(manifest: dict[str, Any]) -> None:
    if manifest["database"] != connection.vendor:
        raise BackupError(
            f"The backup is of {manifest['database']}, the database here is {connection.vendor}. Set DATABASE_URL."
        )
    here = set(_applied_migrations())
    then = set(manifest["migrations"])
    if here != then:
        raise BackupError(
            f"The backup was made by a release with other migrations ({', '.join(sorted(here ^ then)[:3])}, ...). "
            "Restore it with the release that made it, then upgrade."
        )
    if apps.get_model("accounts.User").objects.exists() or next(_stored_names(), None) is not None:
        raise BackupError("This installation is not empty. Restore into an empty database and an empty VAR_DIR.")


def _applied_migrations() -> list[str]:
    return sorted(f"{app}.{name}" for app, name in MigrationRecorder(connection).applied_migrations())


# Files ---------------------------------------------------------------------------------------------------------------


def _copy_all(folder: Path, copied: dict[str, dict[str, Any]]) -> None:
    """Copy what is not copied yet, or has grown since."""
    for name in _stored_names():
        _copy(folder, f"{FILES}/{name}", copied, _stamp_of_stored(name), partial(default_storage.open, name))
    for path in Path(settings.UPLOAD_DIR).glob("*"):
        if path.is_file():
            _copy(folder, f"{UPLOADS}/{path.name}", copied, _stamp(path), partial(path.open, "rb"))


def _copy(
    folder: Path,
    name: str,
    copied: dict[str, dict[str, Any]],
    stamp: list[int] | None,
    opened: Callable[[], Any],
) -> None:
    known = copied.get(name)
    if stamp is None or (known and known["stamp"] == stamp):
        return
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    digest, size = hashlib.sha256(), 0
    try:
        with opened() as source, target.open("wb") as file:
            while block := source.read(BLOCK):
                digest.update(block)
                size += file.write(block)
    except FileNotFoundError:  # deleted a moment ago; an earlier copy of it stays
        if not known:
            target.unlink(missing_ok=True)
        return
    copied[name] = {"bytes": size, "sha256": digest.hexdigest(), "stamp": stamp}


def _stamp(path: Path) -> list[int] | None:
    """What changes when a file does; None where it is gone."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return [found.st_size, found.st_mtime_ns]


def _stamp_of_stored(name: str) -> list[int] | None:
    # What lies in a bucket is written at once and never changed.
    return _stamp(Path(default_storage.path(name))) if isinstance(default_storage, FileSystemStorage) else [0, 0]


def _stored_names(folder: str = "") -> Iterator[str]:
    """Names of all stored files, but for those that are on their way in."""
    elsewhere = {Path(settings.UPLOAD_DIR).resolve(), Path(settings.FILE_UPLOAD_TEMP_DIR).resolve()}
    try:
        folders, names = default_storage.listdir(folder)
    except FileNotFoundError:
        return
    yield from (f"{folder}/{name}" if folder else name for name in sorted(names) if name)
    for name in sorted(folders):
        below = f"{folder}/{name}" if folder else name
        if (Path(settings.MEDIA_ROOT) / below).resolve() not in elsewhere:
            yield from _stored_names(below)


def _put_back(path: Path, name: str) -> None:
    kind, _, own = name.partition("/")
    if kind == UPLOADS:
        target = store.path_of(own)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copy2(path, target)
        target.chmod(0o600)
        return
    with path.open("rb") as file:
        stored = default_storage.save(own, File(file))
    if stored != own:
        raise BackupError(f"{own} is there already. Restore into an empty VAR_DIR.")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _named_files() -> Iterator[str]:
    """The name in each file field of each row."""
    for model in apps.get_models():
        for field in model._meta.get_fields():
            if isinstance(field, models.FileField):
                yield from model._default_manager.exclude(**{field.name: ""}).values_list(field.name, flat=True)
