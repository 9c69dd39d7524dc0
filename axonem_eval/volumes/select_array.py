"""Choose the label volume among the arrays of a file."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from axonem_eval.errors import Complaint, InputError
from axonem_eval.volumes.stated import Stated

PREFERRED = ("main", "volumes/labels/neuron_ids")
MAX_OBJECTS = 10_000
# Largest integers up to which floats keep ids apart.
_EXACT_UP_TO = {"float16": 2**11, "float32": 2**24, "float64": 2**53, "f2": 2**11, "f4": 2**24, "f8": 2**53}


@dataclass(frozen=True)
class Candidate:
    """An array of the file; ``handle`` is what its format opens it by, ``stated`` returns what its metadata state."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    handle: Any
    stated: Callable[[], Stated] = Stated

    @property
    def kind(self) -> str:
        """The letter of NumPy's kind; empty where NumPy does not know the dtype."""
        try:
            return np.dtype(self.dtype).kind
        except Exception:  # what NumPy raises depends on the text: a dtype of a file may be any
            return ""


class NoLabelArray(InputError):
    """The array cannot hold labels. Its shape and metadata are kept for further complaints."""

    def __init__(self, complaints: list[Complaint], candidate: Candidate) -> None:
        super().__init__(complaints)
        self.shape, self.stated = candidate.shape, candidate.stated()


def choose(
    path: Path,
    found: Iterable[Candidate],
    wanted: str | None,
    *,
    kind: str = "dataset",
    preferred: Sequence[str] = PREFERRED,
    mask: bool = False,
) -> Candidate:
    """The one label volume among the arrays of a file, or the named one.

    mask : the file holds a mask, which may be boolean.
    Raises InputError: no candidate, several, not integer, not three-dimensional.
    """
    kinds = "iub" if mask else "iu"
    found = sorted(found, key=lambda c: c.name)
    if wanted is not None:
        for candidate in found:
            if candidate.name == wanted.strip("/"):
                _require_label_volume(path, candidate, kind, kinds)
                return candidate
        raise InputError.of(
            "no_dataset", f"{path.name}: no {kind} {wanted!r}; the file has {_listing(found) or f'no {kind} at all'}"
        )
    volumes = [c for c in found if c.kind and c.kind in kinds and len(c.shape) == 3]
    by_name = {c.name: c for c in volumes}
    for name in preferred:
        if name in by_name:
            return by_name[name]
    if len(volumes) == 1:
        return volumes[0]
    if not found:
        raise InputError.of(
            "no_dataset",
            f"{path.name}: the file has no {kind}; expected one integer {kind} (z, y, x), best named 'main'",
        )
    if not volumes:
        for candidate in found:
            if len(found) == 1 or candidate.name in preferred or len(candidate.shape) == 3:
                _require_label_volume(path, candidate, kind, kinds)
        raise InputError.of(
            "no_dataset",
            f"{path.name}: none of its {_plural(kind)} is an integer volume (z, y, x); it has {_listing(found)}",
        )
    named = f"Name the right one 'main', or leave only one in the file (`axonem-eval` also takes {path.name}:NAME)"
    raise InputError.of(
        "ambiguous_dataset",
        f"{path.name}: {len(volumes)} {_plural(kind)} could be the labels: {_listing(volumes)}. "
        + ("Leave only one in the file" if kind == "series" else named),
    )


def _plural(kind: str) -> str:
    return kind if kind.endswith("s") else f"{kind}s"


def _listing(candidates: Sequence[Candidate], most: int = 6) -> str:
    shown = [f"{c.name!r} {c.dtype} {_shape(c)}" for c in candidates[:most]]
    more = len(candidates) - most
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _shape(candidate: Candidate) -> str:
    """The shape as Python writes it, shortened where a file states many axes."""
    return str(candidate.shape) if len(candidate.shape) <= 32 else f"{str(candidate.shape[:6])[:-1]}, ...)"


def _require_label_volume(path: Path, candidate: Candidate, kind: str, kinds: str) -> None:
    complaints = []
    if not (candidate.kind and candidate.kind in kinds):
        wrong = _wrong_mask_dtype(candidate) if "b" in kinds else _wrong_dtype(candidate)
        complaints.append(Complaint("wrong_dtype", f"{path.name}: {kind} {candidate.name!r} {wrong}"))
    if len(candidate.shape) != 3:
        squeezed = tuple(n for n in candidate.shape if n != 1)
        remedy = "drop channel or batch axes, e.g. np.squeeze" if len(squeezed) == 3 else "write one label volume"
        complaints.append(
            Complaint(
                "wrong_ndim",
                f"{path.name}: {kind} {candidate.name!r} has {len(candidate.shape)} dimensions {_shape(candidate)}, "
                f"expected 3 (z, y, x); {remedy}",
            )
        )
    if complaints:
        raise NoLabelArray(complaints, candidate)


def _wrong_mask_dtype(candidate: Candidate) -> str:
    return (
        f"has dtype {candidate.dtype}, expected booleans or integers: a mask holds at its voxels that are not 0. Save "
        "it as bool or uint8, e.g. (mask > 0).astype(np.uint8)"
    )


def _wrong_dtype(candidate: Candidate) -> str:
    expected = f"has dtype {candidate.dtype}, expected an integer one of 8 to 64 bits. "
    if candidate.kind == "b":
        return (
            f"{expected}True and False are a mask, not ids of segments: label its connected components first, and "
            "save them as uint32 or uint64"
        )
    if candidate.kind not in tuple("fc"):
        return f"{expected}Labels are ids: save one integer a voxel, as uint32 or uint64"
    rounded = ""
    if (exact := _EXACT_UP_TO.get(candidate.dtype.strip("<>="))) is not None:
        rounded = f". {candidate.dtype} has rounded ids above {exact:,}: do not convert such from this file"
    return (
        f"{expected}Labels are ids: save them as uint32 or uint64, e.g. labels.astype(np.uint64), not as probabilities "
        f"or floats{rounded}"
    )
