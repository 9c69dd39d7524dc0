"""Compiled searches over the voxels of a label, for `teasar.py`.

Each walks the 26-neighbourhood of a `VoxelGraph` in one fixed order, faces before edges before corners, and takes
equal entries of its heap in the order of a C++ priority queue: paths through a label's middle have many equals, and
so they are the ones that kimimaro takes.
"""

import numba
import numpy as np

# Neighbours as (dx, dy, dz), in the order in which they are looked at.
_OFFSETS = np.array(
    [
        *[(-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1)],
        *[(-1, -1, 0), (-1, 1, 0), (1, -1, 0), (1, 1, 0)],
        *[(0, -1, -1), (0, -1, 1), (0, 1, -1), (0, 1, 1)],
        *[(-1, 0, -1), (-1, 0, 1), (1, 0, -1), (1, 0, 1)],
        *[(-1, -1, -1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1), (1, 1, -1), (1, -1, 1), (-1, 1, 1), (1, 1, 1)],
    ]
)
_LINE = (3 * (_OFFSETS[:, 2] + 1) + _OFFSETS[:, 1] + 1).astype(np.uint32)
_BIT = (_OFFSETS[:, 0] + 1).astype(np.uint32)
_BEFORE = np.array([[bin(bits & ((1 << k) - 1)).count("1") for k in range(3)] for bits in range(8)], np.int64)


@numba.njit(nogil=True, cache=True, inline="always")
def _push(keys, items, size, key, item):  # type: ignore[no-untyped-def]
    """Add to a binary heap of ``size`` entries; an equal key goes above the older."""
    hole = size
    while hole > 0:
        parent = (hole - 1) >> 1
        if keys[parent] < key:
            break
        keys[hole], items[hole] = keys[parent], items[parent]
        hole = parent
    keys[hole], items[hole] = key, item


@numba.njit(nogil=True, cache=True, inline="always")
def _drop_first(keys, items, size):  # type: ignore[no-untyped-def]
    """Take the first of ``size`` entries away: the hole sinks to the bottom, and the last entry rises from there."""
    last = size - 1
    key, item = keys[last], items[last]
    hole, child = 0, 0
    while child < (last - 1) // 2:
        child = 2 * child + 2
        if keys[child] >= keys[child - 1]:
            child -= 1
        keys[hole], items[hole] = keys[child], items[child]
        hole = child
    if last & 1 == 0 and child == (last - 2) // 2 and last > 0:
        child = 2 * child + 1
        keys[hole], items[hole] = keys[child], items[child]
        hole = child
    _push(keys, items, hole, key, item)


@numba.njit(nogil=True, cache=True)
def geodesic(row, mask, size_zyx, root, along):  # type: ignore[no-untyped-def]
    """Length in nm of the shortest way from the root through neighbours, into ``along`` (inf before); returns the
    farthest voxel."""
    steps = np.empty(26, np.float32)
    for k in range(26):
        dx, dy, dz = _OFFSETS[k]
        steps[k] = np.sqrt(
            (size_zyx[2] * dx) * (size_zyx[2] * dx)
            + (size_zyx[1] * dy) * (size_zyx[1] * dy)
            + (size_zyx[0] * dz) * (size_zyx[0] * dz)
        )
    keys, items = np.empty(1024, np.float32), np.empty(1024, np.int32)
    keys[0], items[0] = 0.0, root
    size = 1
    along[root] = 0.0
    farthest, length = root, np.float32(-1.0)
    while size:
        key, i = keys[0], items[0]
        _drop_first(keys, items, size)
        size -= 1
        if key > along[i]:
            continue
        if key > length:
            farthest, length = i, key
        if size + 26 > len(keys):
            keys, items = np.concatenate((keys, np.empty_like(keys))), np.concatenate((items, np.empty_like(items)))
        for k in range(26):
            bits = (mask[i] >> (np.uint32(3) * _LINE[k])) & np.uint32(7)
            if not (bits >> _BIT[k]) & np.uint32(1):
                continue
            j = row[i, _LINE[k]] + _BEFORE[bits, _BIT[k]]
            there = key + steps[k]
            if there < along[j]:
                along[j] = there
                _push(keys, items, size, there, j)
                size += 1
    return farthest


@numba.njit(nogil=True, cache=True)
def path_to_tree(row, mask, penalty, target, cost, back, seen, this):  # type: ignore[no-untyped-def]
    """Voxels of the cheapest way from ``target`` to the first one of penalty 0 (the tree), both ends included.

    cost, back, seen : scratch; seen is ``this - 1`` where a voxel was reached and ``this`` where it is settled.
    """
    keys, items = np.empty(1024, np.float32), np.empty(1024, np.int32)
    keys[0], items[0] = 0.0, target
    size = 1
    cost[target], seen[target] = 0.0, this - 1
    end = target
    found = penalty[target] == 0.0
    while size and not found:
        i = items[0]
        _drop_first(keys, items, size)
        size -= 1
        if seen[i] == this:
            continue
        if size + 26 > len(keys):
            keys, items = np.concatenate((keys, np.empty_like(keys))), np.concatenate((items, np.empty_like(items)))
        for k in range(26):
            bits = (mask[i] >> (np.uint32(3) * _LINE[k])) & np.uint32(7)
            if not (bits >> _BIT[k]) & np.uint32(1):
                continue
            j = row[i, _LINE[k]] + _BEFORE[bits, _BIT[k]]
            there = cost[i] + penalty[j]
            if seen[j] < this - 1 or (seen[j] == this - 1 and there < cost[j]):
                cost[j], back[j], seen[j] = there, i, this - 1
                if penalty[j] == 0.0:
                    end, found = j, True
                    break
                _push(keys, items, size, there, j)
                size += 1
        seen[i] = this
    n, i = 1, end
    while i != target:
        i = back[i]
        n += 1
    path = np.empty(n, np.int32)
    i = end
    for k in range(n - 1, -1, -1):
        path[k] = i
        if i != target:
            i = back[i]
    return path


@numba.njit(nogil=True, cache=True)
def close_around(zyx, row, mask, size_zyx, source, reach, is_open, cost, back, seen, this):  # type: ignore[no-untyped-def]
    """Close the open voxels that each source reaches through open ones within its reach, the nearest first; returns
    how many. source : (n,) voxels. reach : (n,) nm."""
    n_sources = len(source)
    keys, items = np.empty(1024 + n_sources, np.float32), np.empty(1024 + n_sources, np.int64)
    size = 0
    for s in range(n_sources):
        _push(keys, items, size, np.float32(0.0), np.int64(source[s]) * n_sources + s)
        size += 1
    closed = 0
    while size:
        i, s = items[0] // n_sources, items[0] % n_sources
        _drop_first(keys, items, size)
        size -= 1
        if not is_open[i]:
            continue
        is_open[i] = False
        closed += 1
        if size + 26 > len(keys):
            keys, items = np.concatenate((keys, np.empty_like(keys))), np.concatenate((items, np.empty_like(items)))
        z, y, x = zyx[source[s], 0], zyx[source[s], 1], zyx[source[s], 2]
        for k in range(26):
            bits = (mask[i] >> (np.uint32(3) * _LINE[k])) & np.uint32(7)
            if not (bits >> _BIT[k]) & np.uint32(1):
                continue
            j = row[i, _LINE[k]] + _BEFORE[bits, _BIT[k]]
            if is_open[j]:
                a = size_zyx[2] * np.float32(zyx[j, 2] - x)
                b = size_zyx[1] * np.float32(zyx[j, 1] - y)
                c = size_zyx[0] * np.float32(zyx[j, 0] - z)
                away = np.sqrt(a * a + b * b + c * c)
                # Not again from the same source, nor after a nearer one: that entry comes first and closes the voxel.
                if away < reach[s] and (seen[j] != this or away < cost[j] or (away == cost[j] and back[j] != s)):
                    cost[j], back[j], seen[j] = away, s, this
                    _push(keys, items, size, away, np.int64(j) * n_sources + s)
                    size += 1
    return closed
