"""Incoming files: with a form, or piece by piece over the resumable protocol (tus)."""

from evalserver.uploads.files import (
    ACCEPTED_LABELS,
    HashingUploadHandler,
    display_name,
    file_sha256,
    label_suffix,
    local_path,
    names_in,
    store_as,
)

__all__ = [
    "ACCEPTED_LABELS",
    "HashingUploadHandler",
    "display_name",
    "file_sha256",
    "label_suffix",
    "local_path",
    "names_in",
    "store_as",
]
