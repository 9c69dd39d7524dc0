"""The next path of a skeleton: from a voxel to the part that is traced already.

kimimaro asks dijkstra3d for each path, which fills two arrays as large as the component's box every time. A glial cell
of the cortex cube has 640 paths in a box of 34 Mvoxel, and 94% of its time was spent so. Here the arrays are made once
for all paths in boxes of one size, and a search clears what it touched. Ways that cost the same are common, because
costs are rounded to float32; so neighbours and ties are taken in the order of dijkstra3d, and the paths are the same.
"""

import threading
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

_NEIGHBOURS = np.array(
    [
        *((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1)),
        *((-1, -1, 0), (-1, 1, 0), (1, -1, 0), (1, 1, 0)),
        *((0, -1, -1), (0, -1, 1), (0, 1, -1), (0, 1, 1)),
        *((-1, 0, -1), (-1, 0, 1), (1, 0, -1), (1, 0, 1)),
        *((-1, -1, -1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1), (1, 1, -1), (1, -1, 1), (-1, 1, 1), (1, 1, 1)),
    ],
    np.int64,
)
_of_thread = threading.local()


def path_to_rail(weight: NDArray[np.float32], start: Any, voxel_graph: None = None) -> NDArray[np.uint32]:
    """(n, 3) uint32 places on the cheapest way from ``start`` to the first voxel of weight 0 that a search meets.

    weight : (a, b, c) float32 in Fortran order, the cost of entering each voxel; infinite outside the label.
    The first place is ``start`` and the last that voxel; there is none where no way leads to such a voxel. It stands in
    for ``dijkstra3d.railroad`` and takes its arguments; kimimaro gives no ``voxel_graph`` for us.
    """
    if voxel_graph is not None:
        raise NotImplementedError("paths through a voxel graph")
    distance, came_by = _arrays(weight.size)
    a, b, c = (int(n) for n in start)
    flat = weight.reshape(-1, order="F")
    at = _search(flat, np.array(weight.shape), a + weight.shape[0] * (b + weight.shape[1] * c), distance, came_by)
    return np.stack(np.unravel_index(at, weight.shape, order="F"), axis=1).astype(np.uint32)


def _arrays(size: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Distances, all infinite, and the neighbour by which each voxel was reached; those of the last box if they fit."""
    kept: tuple[NDArray[np.float32], NDArray[np.uint8]] | None = getattr(_of_thread, "arrays", None)
    if kept is None or len(kept[0]) != size:
        _of_thread.arrays = kept = (np.full(size, np.inf, np.float32), np.empty(size, np.uint8))
    return kept


def free_arrays() -> None:
    """Give back the memory of this thread's last box."""
    _of_thread.arrays = None


@numba.njit(nogil=True, cache=True)
def _search(weight, shape, start, distance, came_by):  # type: ignore[no-untyped-def]
    offset = _NEIGHBOURS[:, 0] + shape[0] * (_NEIGHBOURS[:, 1] + shape[1] * _NEIGHBOURS[:, 2])
    distance[start] = 0
    touched = [start]
    cost, voxel, n = np.zeros(1024, np.float32), np.full(1024, start), 1  # a heap
    end = start if weight[start] == 0 else -1
    while n and end < 0:
        so_far, here = cost[0], voxel[0]
        n -= 1
        _take_first(cost, voxel, n)
        if so_far > distance[here]:
            continue  # a cheaper way here was found since
        x, y, z = here % shape[0], here // shape[0] % shape[1], here // (shape[0] * shape[1])
        interior = 0 < x < shape[0] - 1 and 0 < y < shape[1] - 1 and 0 < z < shape[2] - 1
        for k in range(len(offset)):
            if not (interior or _inside(shape, x, y, z, k)):
                continue
            there = here + offset[k]
            through = so_far + weight[there]
            if through < distance[there]:
                if distance[there] == np.inf:
                    touched.append(there)
                distance[there], came_by[there] = through, k
                if weight[there] == 0:
                    end = there
                    break
                if n == len(cost):
                    cost, voxel = np.append(cost, cost), np.append(voxel, voxel)
                _put(cost, voxel, n, through, there)
                n += 1
    path = [end for _ in range(end >= 0)]
    while end >= 0 and path[-1] != start:
        path.append(path[-1] - offset[came_by[path[-1]]])
    for at in touched:
        distance[at] = np.inf
    return np.array(path)[::-1]


@numba.njit(nogil=True, cache=True)
def _inside(shape, x, y, z, k):  # type: ignore[no-untyped-def]
    """Whether the box has a neighbour of a voxel."""
    step = _NEIGHBOURS[k]
    return 0 <= x + step[0] < shape[0] and 0 <= y + step[1] < shape[1] and 0 <= z + step[2] < shape[2]


@numba.njit(nogil=True, cache=True)
def _put(cost, voxel, place, new_cost, new_voxel):  # type: ignore[no-untyped-def]
    """Put a voxel into a heap, from a free place on upwards; before those that cost the same."""
    while place and cost[(place - 1) // 2] >= new_cost:
        above = (place - 1) // 2
        cost[place], voxel[place] = cost[above], voxel[above]
        place = above
    cost[place], voxel[place] = new_cost, new_voxel


@numba.njit(nogil=True, cache=True)
def _take_first(cost, voxel, n):  # type: ignore[no-untyped-def]
    """Close the gap at the first place of a heap of n + 1: the cheaper below moves up, and the last fills the end."""
    place = 0
    while 2 * place + 1 < n:
        below = 2 * place + 1
        if below + 1 < n and cost[below + 1] < cost[below]:
            below += 1
        cost[place], voxel[place] = cost[below], voxel[below]
        place = below
    _put(cost, voxel, place, cost[n], voxel[n])
