"""Which array of a file that may hold several is the label volume, and what voxel size the file states."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from axonem_eval.errors import Complaint, InputError
from axonem_eval.spec import FloatTriple

PREFERRED = ("main", "volumes/labels/neuron_ids")
MAX_OBJECTS = 10_000

# Attributes in use for the voxel size (z, y, x), and what turns them into nm.
_VOXEL_SIZE_NAMES = (("voxel_size_nm", 1.0), ("resolution", 1.0), ("voxel_size", 1.0), ("element_size_um", 1e3))


@dataclass(frozen=True)
class Candidate:
    """An array of the file; ``handle`` is what its format opens it by."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    handle: Any

    @property
    def is_integer(self) -> bool:
        try:
            return np.dtype(self.dtype).kind in "iu"
        except TypeError:
            return False

    @property
    def is_label_volume(self) -> bool:
        return self.is_integer and len(self.shape) == 3


def choose(
    path: Path,
    found: Iterable[Candidate],
    wanted: str | None,
    *,
    kind: str = "dataset",
    preferred: Sequence[str] = PREFERRED,
) -> Candidate:
    """The one label volume among the arrays of a file, or the named one.

    Raises InputError: no candidate, several, not integer, not three-dimensional.
    """
    found = sorted(found, key=lambda c: c.name)
    if wanted is not None:
        for candidate in found:
            if candidate.name == wanted.strip("/"):
                _demand_label_volume(path, candidate, kind)
                return candidate
        raise InputError.of(
            "no_dataset", f"{path.name}: no {kind} {wanted!r}; the file has {_listing(found) or f'no {kind} at all'}"
        )
    volumes = [c for c in found if c.is_label_volume]
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
                _demand_label_volume(path, candidate, kind)
        raise InputError.of(
            "no_dataset",
            f"{path.name}: none of its {kind}s is an integer volume (z, y, x); it has {_listing(found)}",
        )
    raise InputError.of(
        "ambiguous_dataset",
        f"{path.name}: {len(volumes)} {kind}s could be the labels: {_listing(volumes)}. Name the right one 'main', "
        f"or leave only one in the file (`axonem-eval` also takes {path.name}:{kind.upper()})",
    )


def _listing(candidates: Sequence[Candidate], most: int = 6) -> str:
    shown = [f"{c.name!r} {c.dtype} {c.shape}" for c in candidates[:most]]
    more = len(candidates) - most
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _demand_label_volume(path: Path, candidate: Candidate, kind: str) -> None:
    complaints = []
    if not candidate.is_integer:
        complaints.append(
            Complaint(
                "wrong_dtype",
                f"{path.name}: {kind} {candidate.name!r} has dtype {candidate.dtype}, expected an integer one. Labels "
                "are ids: save them as uint32 or uint64, e.g. labels.astype(np.uint64), not as probabilities or floats",
            )
        )
    if len(candidate.shape) != 3:
        complaints.append(
            Complaint(
                "wrong_ndim",
                f"{path.name}: {kind} {candidate.name!r} has {len(candidate.shape)} dimensions {candidate.shape}, "
                "expected 3 (z, y, x); drop channel or batch axes, e.g. np.squeeze",
            )
        )
    if complaints:
        raise InputError(complaints)


def stated_voxel_size(*attributes: Mapping[str, Any]) -> FloatTriple | None:
    """Voxel size (z, y, x) in nm from the first of several sets of attributes that states one."""
    for owner in attributes:
        for name, factor in _VOXEL_SIZE_NAMES:
            if name not in owner:
                continue
            try:
                value = np.asarray(owner[name])
            except (ValueError, TypeError, OSError):  # a ragged list, or a type that HDF5 cannot give
                continue
            if value.shape == (3,) and value.dtype.kind in "iuf" and (value > 0).all():
                z, y, x = (float(v) * factor for v in value)
                return (z, y, x)
    return None
