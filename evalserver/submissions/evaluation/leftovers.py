"""Stored files and working folders that no row names any more: what a deleted row or a killed worker left behind."""

import logging
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.core.cache import cache
from django.core.files.storage import default_storage
from django.utils import timezone

from evalserver.benchmarks import axons, images
from evalserver.benchmarks.models import Benchmark, GroundTruth, Picture, TrainingFile
from evalserver.submissions.models import Export, Submission
from evalserver.workshop.models import Workshop

logger = logging.getLogger("evalserver.leftovers")

SUMMARY_KEY = "leftovers"


@dataclass(frozen=True)
class Leftover:
    """A stored file or folder, or a working folder. changed_at : when anything in it was last written."""

    name: str
    size_bytes: int
    changed_at: datetime

    @property
    def due_at(self) -> datetime:
        return self.changed_at + timedelta(days=settings.LEFTOVER_DAYS)


@dataclass(frozen=True)
class Summary:
    """What the last sweep found and left, for the organisers' page."""

    count: int
    size_bytes: int
    removed: int
    at: datetime


def leftovers() -> list[Leftover]:
    """All of them, whatever their age: in the storage, and below SCRATCH_DIR."""
    found = [_leftover(name) for name in _unknown_names()]
    return [row for row in found if row is not None] + list(_scratch())


def remove_leftovers() -> list[Leftover]:
    """Delete those that are older than LEFTOVER_DAYS; which went. The rest is noted for the organisers' page."""
    rows = leftovers()
    due = [row for row in rows if row.due_at < timezone.now()]
    for row in due:
        logger.warning("no row names %s (%d bytes): removed", row.name, row.size_bytes)
        if row.name.startswith("scratch/"):
            path = Path(settings.SCRATCH_DIR) / row.name.removeprefix("scratch/")
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        else:
            _delete(row.name)
    kept = [row for row in rows if row not in due]
    summary = Summary(len(kept), sum(row.size_bytes for row in kept), len(due), timezone.now())
    cache.set(SUMMARY_KEY, summary, timeout=None)
    return due


def last_summary() -> Summary | None:
    """What the timer found last; None before its first look."""
    found = cache.get(SUMMARY_KEY)
    return found if isinstance(found, Summary) else None


def _unknown_names() -> Iterator[str]:
    """Names that no row leads to. Folders are named by slugs, which may change: the names in the rows count too."""
    codes = set(Submission.objects.values_list("code", flat=True))
    yield from _others("submissions", codes)
    truths = list(GroundTruth.objects.values_list("source_file", "no_merge_mask", "dense_labels", "dense", "bundle"))
    drawn = {axons.folder_of(bundle) for *_, bundle in truths if bundle}
    slugs = set(Benchmark.objects.values_list("slug", flat=True))
    yield from _others("groundtruth", slugs | {_part(name, 1) for names in (*truths, drawn) for name in names if name})
    data_files = TrainingFile.objects.select_related("benchmark")
    views = {images.folder_of(row) for row in data_files if row.file}
    stored = {row.file.name for row in data_files if row.file} | set(Picture.objects.values_list("file", flat=True))
    shops = {name for shop in Workshop.objects.all() for name in shop.stored_names}
    for top in ("training", "pictures", "workshop"):
        for folder in _names_in(top):
            yield from _others(f"{top}/{folder}", {_part(name, 2) for name in stored | views | shops if name})
    exports = Export.objects.exclude(file="").values_list("file", flat=True)
    yield from _others("exports", {_part(name, 1) for name in exports})


def _part(name: str, number: int) -> str:
    return name.split("/")[number]


def _names_in(folder: str) -> list[str]:
    """Folders and files right below a stored folder; none if it does not exist."""
    try:
        folders, files = default_storage.listdir(folder)
    except FileNotFoundError:
        return []
    return [name for name in (*folders, *files) if name]


def _others(folder: str, known: set[str]) -> Iterator[str]:
    return (f"{folder}/{name}" for name in _names_in(folder) if name not in known)


def _files_below(name: str) -> Iterator[str]:
    """The name itself if it is a file, else all files below it."""
    below = [f"{name}/{part}" for part in _names_in_folder(name)]
    if not below:
        yield name
    for part in below:
        yield from _files_below(part)


def _names_in_folder(name: str) -> list[str]:
    try:
        return _names_in(name)
    except NotADirectoryError:
        return []


def _leftover(name: str) -> Leftover | None:
    """None where it went in between."""
    size, changed_at = 0, None
    for file in _files_below(name):
        try:
            size += default_storage.size(file)
            at = default_storage.get_modified_time(file)
        except FileNotFoundError:
            continue
        changed_at = at if changed_at is None else max(at, changed_at)
    return None if changed_at is None else Leftover(name, size, changed_at)


def _delete(name: str) -> None:
    for part in _names_in_folder(name):
        _delete(f"{name}/{part}")
    default_storage.delete(name)


def _scratch() -> Iterator[Leftover]:
    """Working folders that no job can still be using: no job runs for longer than MAX_RUN_SECONDS."""
    oldest = time.time() - settings.MAX_RUN_SECONDS
    for path in Path(settings.SCRATCH_DIR).iterdir():
        try:
            below = [file.stat() for file in (path, *path.rglob("*")) if not file.is_symlink()]
        except FileNotFoundError:
            continue
        newest = max(found.st_mtime for found in below)
        if newest < oldest:
            size = sum(found.st_size for found in below)
            yield Leftover(f"scratch/{path.name}", size, datetime.fromtimestamp(newest, UTC))
