"""Where a merging segment joins two axons: the nodes of the two that lie closest."""

import numba
import numpy as np
from numpy.typing import NDArray

# Of a segment with more nodes than this, every n-th stands for the rest until the closest pair is refined.
MAX_PAIRED_NODES = 4096


def closest_pairs(
    position_nm: NDArray[np.float64],
    part: NDArray[np.int32],
    segment: NDArray[np.uint64],
    max_paired_nodes: int = MAX_PAIRED_NODES,
) -> NDArray[np.int64]:
    """For each part of a segment the closest pair of nodes, one in the part, one in another part of the segment.

    position_nm : (n, 3).  part : (n,), part of each node.  segment : (n,), segment of each node; a part lies in one
    segment, and a segment has two parts or more.
    Returns (n_pairs, 2) indices into ``position_nm``; a pair that is closest seen from both sides is listed once.
    """
    if not len(part):
        return np.empty((0, 2), np.int64)
    order = np.lexsort((part, segment))
    part, segment = part[order], segment[order]
    start = np.concatenate([[0], np.flatnonzero(np.diff(part)) + 1, [len(part)]])
    segment_of_part = segment[start[:-1]]
    first_part = np.concatenate(
        [[0], np.flatnonzero(segment_of_part[1:] != segment_of_part[:-1]) + 1, [len(start) - 1]]
    )
    pair = order[_closest(np.ascontiguousarray(position_nm[order]), start, first_part, max_paired_nodes)]
    _, first = np.unique(np.sort(pair, axis=1), axis=0, return_index=True)
    return np.asarray(pair[np.sort(first)], np.int64)


@numba.njit(nogil=True, cache=True)
def _square(position, i, j):  # type: ignore[no-untyped-def]
    z, y, x = position[i, 0] - position[j, 0], position[i, 1] - position[j, 1], position[i, 2] - position[j, 2]
    return z * z + y * y + x * x


@numba.njit(nogil=True, cache=True)
def _nearest_to(position, j, start, stop):  # type: ignore[no-untyped-def]
    best, nearest = np.inf, start
    for i in range(start, stop):
        distance = _square(position, i, j)
        if distance < best:
            best, nearest = distance, i
    return nearest


@numba.njit(nogil=True, cache=True)
def _closest(position, start, first_part, limit):  # type: ignore[no-untyped-def]
    """For each part p (nodes start[p] to start[p+1]) the pair of nodes, one in p, one in another part of its segment,
    that lie closest. Segments are parts first_part[s] to first_part[s+1].

    All pairs of a segment of up to ``limit`` nodes; of a larger one every n-th node, then each end in turn moves to
    the nearest node of its own part until neither moves.
    """
    n_parts = len(start) - 1
    pair = np.zeros((n_parts, 2), np.int64)
    for s in range(len(first_part) - 1):
        low, high = first_part[s], first_part[s + 1]
        stride = 1 + (start[high] - start[low] - 1) // limit
        for p in range(low, high):
            best = np.inf
            part = p
            for i in range(start[p], start[p + 1], stride):
                for q in range(low, high):
                    if q == p:
                        continue
                    for j in range(start[q], start[q + 1], stride):
                        distance = _square(position, i, j)
                        if distance < best:
                            best, part = distance, q
                            pair[p, 0], pair[p, 1] = i, j
            while stride > 1:
                i = _nearest_to(position, pair[p, 1], start[p], start[p + 1])
                j = _nearest_to(position, i, start[part], start[part + 1])
                if _square(position, i, j) >= best:
                    break
                best = _square(position, i, j)
                pair[p, 0], pair[p, 1] = i, j
    return pair
