"""Affinity watershed (Zlateski and Seung 2015) on uint8 affinities, in linear time.

1. Each voxel points to its strongest neighbours; links of at least ``high`` always count, of at most ``low`` never.
2. Plateaus, where voxels point to one another, are divided breadth first from the voxels that have a way out.
3. What points together is a fragment. A voxel without any link is background, 0.
4. Size-dependent single linkage: along links from strong to weak, two fragments join where one is below ``size``.

Affinities are (3,z,y,x) uint8, stored at the destination voxel (see targets.py).
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from axonem_eval.union_find import join, numbered, root

# Bits of a voxel's directions: to z-1, y-1, x-1, z+1, y+1, x+1. A visited voxel carries one more.
_VISITED = 0x40


def watershed(affinity: NDArray[np.uint8], low: float, high: float) -> tuple[NDArray[np.uint32], int]:
    """Fragments (z,y,x) uint32 numbered from 1, 0 where no link exceeds ``low``; and their number.

    low, high : affinities in 0..1, compared with uint8 values after multiplying by 255.
    """
    affinity = np.ascontiguousarray(affinity)
    if affinity.dtype != np.uint8 or affinity.ndim != 4 or affinity.shape[0] != 3:
        raise ValueError(f"affinities are {affinity.dtype} {affinity.shape}, expected uint8 (3,z,y,x)")
    shape = affinity.shape[1:]
    if np.prod(shape, dtype=np.int64) >= 2**32:
        raise ValueError(f"a block of {shape} voxels is too large; use blocks below 2**32 voxels")
    strides = np.array([shape[1] * shape[2], shape[2], 1], np.int64)
    direction = _point(affinity, highest_level(low), max(lowest_level(high), 1))
    _divide_plateaus(direction.reshape(-1), strides)
    fragments, count = _basins(direction.reshape(-1), strides)
    return fragments.reshape(shape), int(count)


def highest_level(affinity: float) -> int:
    """The highest stored value, 0..255, that is at most an affinity in 0..1."""
    return int(np.floor(affinity * 255 + 1e-6))


def lowest_level(affinity: float) -> int:
    """The lowest stored value, 0..255, that is at least an affinity in 0..1."""
    return int(np.ceil(affinity * 255 - 1e-6))


@njit(cache=True, nogil=True)
def _point(affinity, low, high):  # type: ignore[no-untyped-def]
    """(z,y,x) uint8: the directions of each voxel's strongest links, and of all that are at least ``high``."""
    depth, height, width = affinity.shape[1:]
    out = np.zeros((depth, height, width), np.uint8)
    outside = np.zeros(width, np.uint8)
    along_x = np.zeros(width + 1, np.uint8)  # x and x + 1 of it are a voxel's two links, without a case at either end
    for z in range(depth):
        for y in range(height):
            back_z = affinity[0, z, y] if z > 0 else outside
            back_y = affinity[1, z, y] if y > 0 else outside
            on_z = affinity[0, z + 1, y] if z + 1 < depth else outside
            on_y = affinity[1, z, y + 1] if y + 1 < height else outside
            along_x[1:width] = affinity[2, z, y, 1:]
            for x in range(width):
                to = back_z[x], back_y[x], along_x[x], on_z[x], on_y[x], along_x[x + 1]
                strongest = max(to[0], to[1], to[2], to[3], to[4], to[5])
                counts = min(strongest, high)
                bits = (to[0] >= counts) | (to[1] >= counts) << 1 | (to[2] >= counts) << 2
                bits |= (to[3] >= counts) << 3 | (to[4] >= counts) << 4 | (to[5] >= counts) << 5
                out[z, y, x] = bits if strongest > low else 0
    return out


@njit(cache=True, nogil=True)
def _steps(strides):  # type: ignore[no-untyped-def]
    return np.array([-strides[0], -strides[1], -strides[2], strides[0], strides[1], strides[2]], np.int64)


@njit(cache=True, nogil=True)
def _divide_plateaus(direction, strides):  # type: ignore[no-untyped-def]
    """Leave each voxel of a plateau with one way out: that to the exit which breadth-first search reaches first."""
    step = _steps(strides)
    queue = np.empty(len(direction), np.uint32)
    tail = 0
    for v in range(len(direction)):
        bits = direction[v]
        for d in range(6):
            if bits & (1 << d) and not direction[v + step[d]] & (1 << ((d + 3) % 6)):
                direction[v] |= _VISITED
                queue[tail] = v
                tail += 1
                break
    head = 0
    while head < tail:
        at = np.int64(queue[head])
        head += 1
        bits, way = direction[at], 0
        for d in range(6):
            if bits & (1 << d):
                to = at + step[d]
                if direction[to] & (1 << ((d + 3) % 6)):
                    if not direction[to] & _VISITED:
                        direction[to] |= _VISITED
                        queue[tail] = to
                        tail += 1
                else:
                    way = 1 << d
        direction[at] = way | _VISITED
    for v in range(len(direction)):
        direction[v] &= 0x3F


@njit(cache=True, nogil=True)
def _basins(direction, strides):  # type: ignore[no-untyped-def]
    """Number what points together, by walking from each voxel until a numbered one is reached."""
    step = _steps(strides)
    out = np.zeros(len(direction), np.uint32)
    trail = np.empty(len(direction), np.uint32)
    # 0x80 marks voxels that are on the current trail but not numbered yet.
    count = 0
    for first in range(len(direction)):
        if out[first] or not direction[first]:
            continue
        trail[0] = first
        direction[first] |= 0x80
        head, tail, found = 0, 1, np.uint32(0)
        while head < tail and found == 0:
            v = np.int64(trail[head])
            head += 1
            for d in range(6):
                if not direction[v] & (1 << d):
                    continue
                to = v + step[d]
                if out[to]:
                    found = out[to]
                    break
                if not direction[to] & 0x80:
                    direction[to] |= 0x80
                    trail[tail] = to
                    tail += 1
        if found == 0:
            count += 1
            found = np.uint32(count)
        for i in range(tail):
            out[trail[i]] = found
    return out, count


def merge_small(
    fragments: NDArray[np.uint32],
    count: int,
    u: NDArray[np.uint32],
    v: NDArray[np.uint32],
    strongest: NDArray[np.uint8],
    *,
    size: int,
    low: float,
) -> tuple[NDArray[np.uint32], int]:
    """Join fragments along their strongest links where either has fewer than ``size`` voxels.

    u, v, strongest : (edges,) pairs of fragments and the largest affinity between them; links of at most ``low`` never
    join. Equal links are taken in the order given. Returns (count + 1,) what each fragment becomes, and how many are
    left.
    """
    order = np.argsort(-strongest.astype(np.int16), kind="stable")
    voxels = np.bincount(fragments.reshape(-1), minlength=count + 1).astype(np.int64)
    lookup, left = _single_linkage(u[order], v[order], strongest[order], voxels, size, highest_level(low))
    return lookup, int(left)


@njit(cache=True, nogil=True)
def _single_linkage(u, v, strongest, voxels, size, low):  # type: ignore[no-untyped-def]
    parent = np.arange(len(voxels))
    for i in range(len(u)):
        if strongest[i] <= low:
            break
        a, b = root(parent, u[i]), root(parent, v[i])
        if a == b or (voxels[a] >= size and voxels[b] >= size):
            continue
        joined = voxels[a] + voxels[b]
        voxels[join(parent, a, b)] = joined
    return numbered(parent)


@njit(cache=True, nogil=True)
def relabel(labels, lookup):  # type: ignore[no-untyped-def]
    """labels[i] = lookup[labels[i]] in place; labels flat."""
    for i in range(len(labels)):
        labels[i] = lookup[labels[i]]
