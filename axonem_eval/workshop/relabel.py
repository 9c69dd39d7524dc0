"""Replace labels by others, in one pass over a block."""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray


def substitute(
    labels: NDArray[Any], old: NDArray[np.uint64], new: NDArray[np.uint64], *, others: int | None = None
) -> NDArray[np.uint64]:
    """Labels with each of ``old`` (ascending) replaced by its place in ``new``; uint64.

    others : what all other labels become; by default they stay.
    """
    flat = np.ascontiguousarray(labels).reshape(-1)
    keep, rest = others is None, np.uint64(others or 0)
    found: NDArray[np.uint64] = _substitute(flat, old, new, keep, rest).reshape(labels.shape)
    return found


@numba.njit(nogil=True, cache=True)
def _substitute(labels, old, new, keep, rest):  # type: ignore[no-untyped-def]
    out = np.empty(len(labels), np.uint64)
    before, after = np.uint64(0), np.uint64(0)
    for i in range(len(labels)):
        label = np.uint64(labels[i])
        if i == 0 or label != before:  # labels come in runs
            before = label
            at = np.searchsorted(old, label)
            if at < len(old) and old[at] == label:
                after = new[at]
            else:
                after = label if keep else rest
        out[i] = after
    return out
