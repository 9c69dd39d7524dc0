"""The voxels of one label as a sparse graph: neighbours, connected components, distance to the boundary.

Memory grows with the voxels of the label and not with its box, which for a thin axon that crosses the volume
obliquely is the whole volume. Voxels are sorted by z, y, x. Along a row their neighbours with one (dz, dy) follow
one another, so nine row pointers and 27 bits give all 26 neighbours of a voxel.
"""

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from axonem_eval.spec import FloatTriple, Triple

# Bit 3 * row + (dx + 1) of `mask`, row = 3 * (dz + 1) + (dy + 1); bit 13 is the voxel itself.
_UNREACHED = -1


@dataclass(frozen=True)
class VoxelGraph:
    """The n voxels of a label and their 26-neighbourhoods.

    zyx : (n, 3) int32, ascending.
    row : (n, 9) int32, for each (dz, dy) the first voxel of that row with x no less than this voxel's x - 1.
    mask : (n,) uint32, which of the 27 places around the voxel belong to the label.
    shape_zyx : the volume; at its faces the label is taken to go on.
    """

    zyx: NDArray[np.int32]
    row: NDArray[np.int32]
    mask: NDArray[np.uint32]
    shape_zyx: Triple

    def __len__(self) -> int:
        return len(self.mask)


def voxel_graph(zyx: NDArray[np.int32], shape_zyx: Triple) -> VoxelGraph:
    """The graph of (n, 3) voxels sorted by z, y, x."""
    row, mask = _link_rows(zyx, shape_zyx[1])
    return VoxelGraph(zyx, row, mask, shape_zyx)


@numba.njit(nogil=True, cache=True)
def _link_rows(zyx, size_y):  # type: ignore[no-untyped-def]
    n = len(zyx)
    pointer = np.zeros((n, 9), np.int32)
    mask = np.zeros(n, np.uint32)
    first = np.empty(n + 1, np.int64)  # first voxel of each row
    key = np.empty(n + 1, np.int64)
    rows = 0
    for i in range(n):
        here = np.int64(zyx[i, 0]) * (size_y + 2) + zyx[i, 1]
        if rows == 0 or key[rows - 1] != here:
            key[rows], first[rows] = here, i
            rows += 1
    first[rows] = n
    for dz in range(-1, 2):
        for dy in range(-1, 2):
            place = 3 * (dz + 1) + dy + 1
            other = 0
            for r in range(rows):
                wanted = key[r] + dz * (size_y + 2) + dy
                while other < rows and key[other] < wanted:
                    other += 1
                if other == rows or key[other] != wanted:
                    continue
                j, end = first[other], first[other + 1]
                for i in range(first[r], first[r + 1]):
                    x = zyx[i, 2]
                    while j < end and zyx[j, 2] < x - 1:
                        j += 1
                    pointer[i, place] = j
                    for k in range(j, min(j + 3, end)):
                        dx = zyx[k, 2] - x
                        if dx <= 1:
                            mask[i] |= np.uint32(1) << np.uint32(3 * place + dx + 1)
    return pointer, mask


@numba.njit(nogil=True, cache=True)
def components(row, mask):  # type: ignore[no-untyped-def]
    """26-connected components: (order, start), component c being the voxels order[start[c]:start[c + 1]]."""
    n = len(mask)
    order = np.empty(n, np.int32)
    start = np.empty(n + 1, np.int64)
    seen = np.zeros(n, np.bool_)
    count, head, tail = 0, 0, 0
    for seed in range(n):
        if seen[seed]:
            continue
        start[count] = tail
        count += 1
        seen[seed] = True
        order[tail] = seed
        tail += 1
        while head < tail:
            i = order[head]
            head += 1
            for place in range(9):
                bits = (mask[i] >> np.uint32(3 * place)) & np.uint32(7)
                j = row[i, place]
                while bits:
                    if bits & np.uint32(1):
                        if not seen[j]:
                            seen[j] = True
                            order[tail] = j
                            tail += 1
                        j += 1
                    bits >>= np.uint32(1)
    start[count] = n
    return order, start[: count + 1].copy()


def boundary_distance(graph: VoxelGraph, voxel_size_nm_zyx: FloatTriple) -> NDArray[np.float32]:
    """(n,) float32, nm from each voxel's centre to that of the nearest voxel outside the label.

    What lies beyond the volume's faces counts as the label's own, as kimimaro does.
    """
    squared = np.full(len(graph), np.inf, np.float32)
    for axis, ahead, behind in ((2, 14, 12), (1, 16, 10), (0, 22, 4)):
        size, step = graph.shape_zyx[axis], float(voxel_size_nm_zyx[axis])
        _sweep(graph.zyx[:, axis], graph.row, graph.mask, ahead, behind, size, step, squared)
    return np.sqrt(squared)


@numba.njit(nogil=True, cache=True)
def _next(row, mask, i, place):  # type: ignore[no-untyped-def]
    """The neighbour at one of the 27 places, which must exist."""
    line, bit = place // 3, place % 3
    bits = (mask[i] >> np.uint32(3 * line)) & np.uint32(7)
    j = row[i, line]
    for k in range(bit):
        if bits >> np.uint32(k) & np.uint32(1):
            j += 1
    return j


@numba.njit(nogil=True, cache=True)
def _sweep(coordinate, row, mask, ahead, behind, size, step, squared):  # type: ignore[no-untyped-def]
    """One pass of the separable distance transform (Felzenszwalb and Huttenlocher): lower envelope of the parabolas
    along each run of voxels, with one at each end that is not a face of the volume."""
    longest = size + 2
    member = np.empty(longest, np.int32)
    height = np.empty(longest, np.float64)  # of the parabola with its foot at this place, place 0 before the run
    foot = np.empty(longest, np.int64)
    begin = np.empty(longest + 1, np.float64)
    has_ahead, has_behind = np.uint32(1) << np.uint32(ahead), np.uint32(1) << np.uint32(behind)
    unit = step * step
    for head in range(len(mask)):
        if mask[head] & has_behind:
            continue
        n = 0
        i = head
        while True:
            member[n] = i
            height[n + 1] = squared[i]
            n += 1
            if not mask[i] & has_ahead:
                break
            i = _next(row, mask, i, ahead)
        height[0] = np.inf if coordinate[head] == 0 else 0.0
        height[n + 1] = np.inf if coordinate[i] == size - 1 else 0.0
        k = -1
        for p in range(n + 2):
            if height[p] == np.inf:
                continue
            at = -np.inf
            while k >= 0:
                q = foot[k]
                at = ((height[p] - height[q]) / unit + p * p - q * q) / (2.0 * (p - q))
                if at > begin[k]:
                    break
                k -= 1
                at = -np.inf
            k += 1
            foot[k], begin[k] = p, at
        if k < 0:
            continue
        top, k = k, 0
        for m in range(n):
            while k < top and begin[k + 1] < m + 1:
                k += 1
            away = m + 1 - foot[k]
            squared[member[m]] = height[foot[k]] + unit * away * away


def fill_holes(zyx: NDArray[np.int32]) -> NDArray[np.int32]:
    """Voxels sorted by z, y, x, together with those of the holes that they enclose on all sides (faces).

    A hole lies between voxels in each of its rows, so only the gaps in rows have to be looked at.
    """
    row = zyx[:, 0].astype(np.int64) * (int(zyx[:, 1].max()) + 2) + zyx[:, 1]
    before = np.flatnonzero((np.diff(row) == 0) & (np.diff(zyx[:, 2]) > 1))
    if not len(before):
        return zyx
    gap = np.stack([zyx[before, 2] + 1, zyx[before + 1, 2] - 1], axis=1)
    step = int(zyx[:, 1].max()) + 2
    first = np.flatnonzero(np.diff(row, prepend=-1))
    closed = _closed_gaps(row[first], zyx[first, 2], zyx[np.append(first[1:], len(row)) - 1, 2], row[before], gap, step)
    parts = [
        np.stack([np.full(b - a + 1, z), np.full(b - a + 1, y), np.arange(a, b + 1)], axis=1)
        for (z, y), (a, b) in zip(zyx[before[closed], :2], gap[closed], strict=True)
    ]
    filled = np.concatenate([zyx, *parts]).astype(np.int32)
    return filled[np.lexsort(filled.T[::-1])]


@numba.njit(nogil=True, cache=True)
def _closed_gaps(row, left, right, gap_row, gap, step):  # type: ignore[no-untyped-def]
    """(n,) bool, gaps from which no way through gaps leads out; rows and gaps ascending, ``step`` between sections."""
    n = len(gap)
    group = np.arange(n + 1)  # of each gap; n is the outside
    for g in range(n):
        for offset in (-step, -1, 1, step):
            there = gap_row[g] + offset
            r = np.searchsorted(row, there)
            if r == len(row) or row[r] != there or gap[g, 0] < left[r] or gap[g, 1] > right[r]:
                _join(group, g, n)
                continue
            h = np.searchsorted(gap_row, there)
            while h < n and gap_row[h] == there and gap[h, 0] <= gap[g, 1]:
                if gap[h, 1] >= gap[g, 0]:
                    _join(group, g, h)
                h += 1
    outside = _leader(group, n)
    closed = np.empty(n, np.bool_)
    for g in range(n):
        closed[g] = _leader(group, g) != outside
    return closed


@numba.njit(nogil=True, cache=True)
def _leader(group, i):  # type: ignore[no-untyped-def]
    while group[i] != i:
        group[i] = group[group[i]]
        i = group[i]
    return i


@numba.njit(nogil=True, cache=True)
def _join(group, i, j):  # type: ignore[no-untyped-def]
    group[_leader(group, i)] = _leader(group, j)


def find_voxels(zyx: NDArray[np.int32], wanted: NDArray[np.int32]) -> NDArray[np.intp]:
    """The places in ``zyx`` (sorted by z, y, x) of voxels that are in it."""
    span = zyx.max(axis=0).astype(np.int64) + 1
    return np.searchsorted(_flat(zyx, span), _flat(wanted, span))


def coarsen(zyx: NDArray[np.int32], factor: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Voxels ``factor`` times as large that hold any of the given, ascending, and one of the given for each.

    Any and not most: a thin process of a giant stays whole.
    """
    large = zyx // factor
    _, first = np.unique(_flat(large, large.max(axis=0).astype(np.int64) + 1), return_index=True)
    return large[first].astype(np.int32), zyx[first]


def _flat(zyx: NDArray[np.int32], span: NDArray[np.int64]) -> NDArray[np.int64]:
    flat: NDArray[np.int64] = (zyx[:, 0] * span[1] + zyx[:, 1]) * span[2] + zyx[:, 2]
    return flat
