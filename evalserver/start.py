"""Checks before any program of the server starts: no dangerous settings, no file that others may read."""

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured

logger = logging.getLogger("evalserver.start")

OTHERS = 0o077


def refuse_or_prepare(program: str) -> None:
    """Make the data folder private and run the start-up checks. Raises ImproperlyConfigured where one is serious."""
    close_folders()
    found = run_checks()
    for message in found:
        logger.log(message.level, "%s", message)
    serious = [message for message in found if message.is_serious()]
    if serious:
        lines = "\n".join(f"{message.msg} ({message.id}). {message.hint or ''}" for message in serious)
        raise ImproperlyConfigured(f"{program} does not start:\n{lines}")


def make_folders() -> None:
    """Make the folders of the settings. What this process and its children write from now on is for its own user."""
    os.umask(OTHERS)
    for folder in (
        *(settings.VAR_DIR, settings.MEDIA_ROOT, settings.FILE_UPLOAD_TEMP_DIR, settings.SCRATCH_DIR),
        *(settings.UPLOAD_DIR, settings.STATIC_ROOT),
    ):
        Path(folder).mkdir(parents=True, exist_ok=True, mode=0o700)


def close_folders() -> None:
    """Make private whatever folder holds what people have uploaded, the database or keys."""
    data, uploads = Path(settings.VAR_DIR), Path(settings.UPLOAD_DIR)
    tighten(data)
    if not uploads.resolve().is_relative_to(data.resolve()):
        tighten(uploads)


def tighten(folder: Path) -> int:
    """Remove other users' rights to a folder and all in it, which an earlier version or a wide umask may have left.

    How many entries had some. What belongs to another user is left alone and named in the log. Links are not followed.
    """
    changed, kept = 0, []
    for path in (folder, *_below(folder)):
        try:
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode) or not mode & OTHERS:
                continue
            path.chmod(stat.S_IMODE(mode) & ~OTHERS)
            changed += 1
        except FileNotFoundError:
            continue
        except PermissionError:
            kept.append(path)
    if changed:
        logger.warning("%d files and folders below %s were open to other users; they are not any more", changed, folder)
    if kept:
        logger.error("%s and %d more are open to other users and belong to another one", kept[0], len(kept) - 1)
    return changed


def _below(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            yield Path(parent) / name
