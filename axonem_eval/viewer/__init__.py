"""A segmentation and its errors in Neuroglancer. Needs the extra [view]."""

from axonem_eval.viewer.view import open_view

__all__ = [
    "open_view",
]
