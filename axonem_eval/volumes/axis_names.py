"""Which axis of an array is which, by what its metadata say.

A name may be that of NGFF, xarray, funlib.persistence, HDF5's dimension scales, ilastik or Janelia's ``transform``.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from axonem_eval.errors import InputError
from axonem_eval.submission_rule import Axes

_LISTS = ("axes", "_ARRAY_DIMENSIONS", "axis_names", "DIMENSION_LABELS")
# The key under which an object names an axis: of NGFF, of VIGRA's axistags.
_KEYS = ("name", "key")
# Of axistags, in bytes: a hundred times what is written for five axes.
_MOST_TEXT = 1 << 16


def axis_names(attributes: Mapping[str, Any], n_axes: int) -> list[str]:
    """Names of all axes in lower case, as the attributes of an array give them; empty unless each axis has one.

    An attribute of such a name may say anything: what is no list of names is passed over.
    """
    for found in _lists(attributes):
        names = [_text(_named(axis)) for axis in found]
        if len(names) == n_axes and all(names):
            return names
    return []


def require_order(file_name: str, named: list[str], axes: Axes) -> None:
    """Raises InputError where x, y and z are named in another order than z,y,x or the one that is asked for."""
    if set(named) == set("xyz") and named not in (["z", "y", "x"], list(axes)):
        raise InputError.of(
            "swapped_axes",
            f"{file_name}: its metadata name the axes {', '.join(named)}; expected {', '.join(axes)}. Transpose "
            "the array and write the names in that order",
        )


def _lists(attributes: Mapping[str, Any]) -> Iterable[list[Any]]:
    for name in (*_LISTS, "transform", "axistags"):
        try:
            value = attributes.get(name)
        except Exception:
            continue
        if name == "axistags" and 0 < len(text := _text(value)) <= _MOST_TEXT:
            value = _parsed(text)
        if name in ("transform", "axistags"):
            value = value.get("axes") if isinstance(value, Mapping) else None
        if isinstance(value, np.ndarray):
            value = value.tolist()
        if isinstance(value, list | tuple):
            yield list(value)


def _named(axis: Any) -> Any:
    return next((axis[key] for key in _KEYS if key in axis), None) if isinstance(axis, Mapping) else axis


def _text(value: Any) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return text.strip().lower() if isinstance(text, str) else ""


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
