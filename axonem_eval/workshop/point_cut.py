"""Part a merged segment by points that somebody placed in its two axons.

Both sides grow from their points at once, and each voxel goes to the side that reaches it first. A step costs its
length by the square of the distance to the surface. So a side runs along the middle of its own axon, and meets the
other side where the segment is narrow. This is a choice of the shortest path (Dijkstra's algorithm).

It takes place in a box around the points, at voxels of about ``TARGET_VOXEL_NM``. What lies outside the box follows the
side that it is connected to there.
"""

import heapq
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.spec import FloatTriple, Triple
from axonem_eval.volumes import Box, LabelVolume, near_isotropic_factor, read_small

TARGET_VOXEL_NM = 30.0
# The box reaches so far beyond the points; points may lie so far apart along an axis: the box is held in memory.
REACH_NM, SPREAD_NM = 4000.0, 6000.0
# So many voxels are read at once.
_READ_VOXELS = 32 << 20


@dataclass(frozen=True)
class Sides:
    """The two sides of a segment in a box of coarse voxels.

    origin, shape, factor : z,y,x; the box in coarse voxels, and how many voxels of the volume each has along an axis.
    packed : the sides, compressed: most of a box is no part of the segment.   voxels : of the volume, on each side.
    """

    origin: Triple
    shape: Triple
    factor: Triple
    packed: bytes
    voxels: tuple[int, int]

    def array(self) -> NDArray[np.uint8]:
        """Uint8 z,y,x: 1 and 2 are the sides, 0 is all else."""
        return np.frombuffer(zlib.decompress(self.packed), np.uint8).reshape(self.shape)

    def within(self, origin: Triple, shape: Triple) -> tuple[Box, NDArray[np.uint8]] | None:
        """The part of a box of the volume's voxels that the sides cover, and the side of each voxel there."""
        found, wanted = [], []
        for o, n, first, size, f in zip(origin, shape, self.origin, self.shape, self.factor, strict=True):
            low, high = max(o, first * f), min(o + n, (first + size) * f)
            if low >= high:
                return None
            found.append(slice(low - o, high - o))
            wanted.append(np.arange(low, high) // f - first)
        z, y, x = found
        return (z, y, x), self.array()[np.ix_(*wanted)]


def part_by_points(
    volume: LabelVolume,
    segment: int,
    this_side: Sequence[Triple],
    other_side: Sequence[Triple],
    voxel_size_nm_zyx: FloatTriple,
) -> Sides:
    """The sides of a segment by voxels z,y,x in each.

    Raises InputError where a point lies outside the volume or the segment, or where points lie too far apart.
    """
    factor = near_isotropic_factor(voxel_size_nm_zyx, TARGET_VOXEL_NM)
    size_nm = np.asarray(voxel_size_nm_zyx) * factor
    points = np.array([*this_side, *other_side], np.int64).reshape(-1, 3)
    _require_box(points, volume.shape_zyx, np.asarray(voxel_size_nm_zyx))
    whole = -(-np.asarray(volume.shape_zyx) // factor)
    reach = np.ceil(REACH_NM / size_nm).astype(np.int64)
    low = np.maximum((points // factor).min(axis=0) - reach, 0)
    high = np.minimum((points // factor).max(axis=0) + reach + 1, whole)
    count = _counts(volume, segment, low, high, factor)
    at = points // factor - low
    for point, there in zip(points, at, strict=True):
        if not count[tuple(there)]:
            words = ",".join(map(str, point.tolist()))
            raise InputError.of(
                "wrong_segment", f"voxel {words} does not lie in segment {segment}: place the point inside it"
            )
    side = _grown(count, at[: len(this_side)], at[len(this_side) :], factor, size_nm)
    this, other = (int(count[side == number].sum(dtype=np.int64)) for number in (1, 2))
    return Sides(_triple(low), _triple(high - low), factor, zlib.compress(side.tobytes(), level=1), (this, other))


def _require_box(points: NDArray[np.int64], shape_zyx: Triple, voxel_nm: NDArray[np.float64]) -> None:
    for point in points.tolist():
        if any(not 0 <= v < n for v, n in zip(point, shape_zyx, strict=True)):
            words = ",".join(map(str, point))
            raise InputError.of("outside", f"voxel {words} lies outside the volume of {shape_zyx} voxels")
    spread = (np.ptp(points, axis=0) * voxel_nm).max()
    if spread > SPREAD_NM:
        raise InputError.of(
            "too_far_apart",
            f"the points lie {spread / 1000:.1f} um apart along an axis, at most {SPREAD_NM / 1000:g} um are possible: "
            "cut near the contact, and cut again elsewhere if the axons touch there too",
        )


def _counts(
    volume: LabelVolume, segment: int, low: NDArray[np.int64], high: NDArray[np.int64], factor: Triple
) -> NDArray[np.uint32]:
    """How many voxels of a segment each coarse voxel of a box holds."""
    count = np.zeros(high - low, np.uint32)
    first = low * factor
    last = np.minimum(high * factor, volume.shape_zyx)
    step = max(1, int(_READ_VOXELS // (np.prod(last[1:] - first[1:]) * factor[0])))
    y, x = (slice(int(a), int(b)) for a, b in zip(first[1:], last[1:], strict=True))
    for begin in range(0, count.shape[0], step):
        z = slice(int(first[0]) + begin * factor[0], min(int(first[0]) + (begin + step) * factor[0], int(last[0])))
        labels = read_small(volume, (z, y, x), (1, 1, 1))
        there: NDArray[Any] = labels == segment  # no label where the dtype does not hold the number
        for axis, f in enumerate(factor):
            there = np.add.reduceat(there, np.arange(0, there.shape[axis], f), axis=axis, dtype=np.uint32)
        count[begin : begin + step] = there
    return count


def _grown(
    count: NDArray[np.uint32],
    this_side: NDArray[np.int64],
    other_side: NDArray[np.int64],
    factor: Triple,
    size_nm: NDArray[np.float64],
) -> NDArray[np.uint8]:
    import edt

    # The distance is that of voxels which mostly lie inside; others are part of the segment, but no way along it.
    inside = (2 * count >= np.prod(factor)).astype(np.uint8)
    distance = edt.edt(inside, anisotropy=tuple(size_nm.tolist()), black_border=False, parallel=1)
    # In place, and a plain number: one of numpy's would double the bytes of an array of a hundred million voxels.
    radius = np.maximum(distance, float(size_nm.min()) / 2, out=distance)
    radius[count == 0] = 0
    del inside
    shape = count.shape
    begin, other = (np.ravel_multi_index(tuple(p.T), shape).astype(np.int64) for p in (this_side, other_side))
    found: NDArray[np.uint8] = _race(radius, begin, other, size_nm)
    return found


@numba.njit(nogil=True, cache=True)
def _race(radius, begin, other, size_nm):  # type: ignore[no-untyped-def]
    """The side, 1 or 2, that comes first to each voxel with a radius above 0; 0 where none comes."""
    nz, ny, nx = radius.shape
    flat, side = radius.reshape(-1), np.zeros(radius.size, np.uint8)
    cost, done = np.full(radius.size, np.inf, np.float32), np.zeros(radius.size, np.bool_)
    heap = [(np.float32(0), np.int64(0))]
    heap.pop()
    for number in (1, 2):
        for at in begin if number == 1 else other:
            if side[at] == 0:
                cost[at], side[at] = 0, number
                heapq.heappush(heap, (np.float32(0), np.int64(at)))
    while heap:
        here_cost, here = heapq.heappop(heap)
        if done[here]:
            continue
        done[here] = True
        z, y, x = here // (ny * nx), here // nx % ny, here % nx
        for a in range(max(0, z - 1), min(nz, z + 2)):
            for b in range(max(0, y - 1), min(ny, y + 2)):
                for c in range(max(0, x - 1), min(nx, x + 2)):
                    there = (a * ny + b) * nx + c
                    if flat[there] == 0 or done[there]:
                        continue
                    squares = ((a - z) * size_nm[0]) ** 2 + ((b - y) * size_nm[1]) ** 2 + ((c - x) * size_nm[2]) ** 2
                    then = np.float32(here_cost + np.sqrt(squares) / min(flat[here], flat[there]) ** 2)
                    if then < cost[there]:
                        cost[there], side[there] = then, side[here]
                        heapq.heappush(heap, (then, np.int64(there)))
    return side.reshape(radius.shape)


def _triple(values: NDArray[np.int64]) -> Triple:
    z, y, x = (int(v) for v in values)
    return z, y, x
