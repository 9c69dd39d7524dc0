"""Incoming files: with a form, or piece by piece over the resumable protocol (tus)."""

from evalserver.uploads.files import (
    ACCEPTED_LABELS,
    HashingUploadHandler,
    display_name,
    file_sha256,
    label_suffix,
    local_path,
    store_as,
)
from evalserver.uploads.precomputed import IMAGE, SEGMENTATION, SKELETONS, shown_precomputed, store_precomputed

__all__ = [
    "ACCEPTED_LABELS",
    "IMAGE",
    "SEGMENTATION",
    "SKELETONS",
    "HashingUploadHandler",
    "display_name",
    "file_sha256",
    "label_suffix",
    "local_path",
    "shown_precomputed",
    "store_as",
    "store_precomputed",
]
