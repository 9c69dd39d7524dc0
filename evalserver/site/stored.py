"""Files of the storage as answers of a view. One that is gone from the storage is no fault of the reader."""

import logging

from django.core.files import File
from django.core.files.storage import default_storage
from django.http import FileResponse, Http404

logger = logging.getLogger(__name__)
DAY_S = 24 * 3600


def opened(name: str | None) -> "File[bytes]":
    """A stored file by its name. Raises Http404 where there is none; the log then names it for the organisers."""
    try:
        return default_storage.open(name or "")
    except (FileNotFoundError, IsADirectoryError):
        logger.error("the stored file %r is gone", name)
        raise Http404 from None


def shown_file(name: str | None, content_type: str, *, max_age_s: int = DAY_S) -> FileResponse:
    """A stored file that a page shows, kept by the reader's browser alone. Raises Http404 as ``opened`` does."""
    response = FileResponse(opened(name), content_type=content_type)
    response.headers["Cache-Control"] = f"private, max-age={max_age_s}"
    return response
