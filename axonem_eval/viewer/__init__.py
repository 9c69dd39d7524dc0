"""A segmentation and its errors in Neuroglancer; `open_view` needs the extra [view]."""

from axonem_eval.viewer.state import (
    Mark,
    close_up,
    error_marks,
    layer,
    likely_marks,
    mark_layer_name,
    points_layer,
    viewer_state,
)
from axonem_eval.viewer.view import Shown, open_view

__all__ = [
    "Mark",
    "Shown",
    "close_up",
    "error_marks",
    "layer",
    "likely_marks",
    "mark_layer_name",
    "open_view",
    "points_layer",
    "viewer_state",
]
