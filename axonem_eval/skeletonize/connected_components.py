"""Connected components of a label, from its voxels alone."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Voxels = NDArray[np.int32]


def components(zyx: Voxels) -> Iterator[Voxels]:
    """The 26-connected components of (n, 3) voxels sorted by z, y, x; each sorted so."""
    step = np.diff(zyx, axis=0, prepend=-9)
    run = np.flatnonzero((step != (0, 0, 1)).any(axis=1))
    of_run = _connected_runs(zyx, run)
    of_voxel = np.repeat(of_run, np.diff(np.append(run, len(zyx))))
    order = np.argsort(of_voxel, kind="stable")
    yield from np.split(zyx[order], np.flatnonzero(np.diff(of_voxel[order])) + 1)


def _connected_runs(zyx: Voxels, run: NDArray[np.intp]) -> NDArray[np.int32]:
    """(n_runs,) the component of each run along x. Runs touch if they are at most one row apart, and their ends at
    most one voxel."""
    n = len(run)
    last = np.append(run[1:], len(zyx)) - 1
    width, height = int(zyx[:, 2].max()) + 4, int(zyx[:, 1].max()) + 3
    row = zyx[run, 0].astype(np.int64) * height + zyx[run, 1]
    begin, end = row * width + zyx[run, 2], row * width + zyx[last, 2]
    links = []
    for dz, dy in ((0, 1), (1, -1), (1, 0), (1, 1)):
        shift = (dz * height + dy) * width
        first = np.searchsorted(end, begin + shift - 1)
        count = np.maximum(np.searchsorted(begin, end + shift + 1, side="right") - first, 0)
        here = np.repeat(np.arange(n), count)
        there = np.arange(len(here)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)
        links.append((here, there))
    here, there = (np.concatenate(side) for side in zip(*links, strict=True))
    grid = coo_array((np.ones(len(here), np.bool_), (here, there)), shape=(n, n))
    found: NDArray[np.int32] = connected_components(grid, directed=False)[1]
    return found


def cut_in_two(zyx: Voxels) -> tuple[tuple[Voxels, Voxels], int, int]:
    """Cut a component across its longest axis, where the middle half of its extent is thinnest.

    Returns both parts, the axis and the coordinate of the cut. The section at the cut belongs to both parts.
    """
    low, high = zyx.min(axis=0), zyx.max(axis=0)
    axis = int(np.argmax(high - low))
    extent = int(high[axis] - low[axis])
    thickness = np.bincount(zyx[:, axis] - low[axis], minlength=extent + 1)
    first = extent // 4
    inner = thickness[first : extent - first + 1]
    at = int(low[axis]) + first + int(np.argmin(inner))
    return (zyx[zyx[:, axis] <= at], zyx[zyx[:, axis] >= at]), axis, at
