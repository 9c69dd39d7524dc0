"""Precomputed volumes and skeletons in the storage, one file a chunk or skeleton: what Neuroglancer shows.

Whatever wrote them: only names that Neuroglancer asks with are stored and served.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from django.http import FileResponse, Http404

from evalserver.site import shown_file
from evalserver.uploads.files import store_as

IMAGE = re.compile(r"info|(?:\d{1,9}_){2}\d{1,9}/(?:\d{1,9}-\d{1,9}_){2}\d{1,9}-\d{1,9}")
SKELETONS = re.compile(r"info|segment_properties/info|\d{1,20}")
SEGMENTATION = re.compile(rf"{IMAGE.pattern}|skeletons/(?:{SKELETONS.pattern})")


def store_precomputed(target: str, folder: Path, names: re.Pattern[str]) -> int:
    """Store the files of a folder whose names match; how many. The info file comes last and says that all are there."""
    found = sorted((name for name in _below(folder) if names.fullmatch(name)), key=lambda name: name == "info")
    for name in found:
        store_as(f"{target}/{name}", folder / name)
    return len(found)


def shown_precomputed(target: str, name: str, names: re.Pattern[str]) -> FileResponse:
    """One of the stored files. Raises Http404 for another name, and where there is none."""
    if not names.fullmatch(name):
        raise Http404
    kind = "application/json" if name.endswith("info") else "application/octet-stream"
    return shown_file(f"{target}/{name}", kind, max_age_s=600)


def _below(folder: Path) -> Iterator[str]:
    for where, _, names in os.walk(folder):
        for name in names:
            yield (Path(where) / name).relative_to(folder).as_posix()
