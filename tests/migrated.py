"""A database fresh from these migrations, kept from one run to the next: migrating takes seconds."""

import hashlib
import os
import shutil
import sqlite3
import tempfile
from functools import cache
from pathlib import Path

from tests.source import ROOT


@cache
def kept_database() -> Path:
    """Where an earlier run has left it; no file if none has."""
    digest = hashlib.sha256((ROOT / "requirements.lock").read_bytes())
    for path in sorted((ROOT / "evalserver").glob("**/migrations/*.py")):
        digest.update(path.read_bytes())
    return ROOT / ".pytest_cache" / f"migrated-{digest.hexdigest()[:16]}.sqlite3"


def copy_kept_database(path: Path) -> bool:
    """Put a copy at `path`; False if there is none."""
    if not kept_database().is_file():
        return False
    shutil.copyfile(kept_database(), path)
    return True


def keep_database(migrated: sqlite3.Connection) -> None:
    """Keep a copy for the next, unless there is one."""
    kept = kept_database()
    if kept.exists():
        return
    kept.parent.mkdir(exist_ok=True)
    for outdated in kept.parent.glob("migrated-*.sqlite3"):
        outdated.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        copy = sqlite3.connect(Path(folder) / "copy")
        migrated.backup(copy)
        copy.close()
        os.replace(Path(folder) / "copy", kept)
