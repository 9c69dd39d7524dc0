"""Segments in convex fragments, and where the fragments of one segment touch; block by block.

A fragment is all voxels from which the steepest way up the distance to the surface leads to one summit. Along an axon
there is one for each swelling, some 350 nm long. Where two axons touch, each keeps its own as long as the surface has a
groove between them.

A block is read with ``HALO_NM`` around it, so the summits that its voxels lead to are the same in all blocks, and a
fragment is named by the place of its summit in the volume.
"""

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from axonem_eval.skeletons import SkeletonGraph, sum_by
from axonem_eval.spec import FloatTriple, Triple
from axonem_eval.volumes import Box, LabelVolume, blocks, near_isotropic_factor, read_small
from axonem_eval.workshop.contacts import PRODUCTS, RIM_VOXELS, share_around

TARGET_VOXEL_NM = 30.0
HALO_NM = 1000.0
# The distance is smoothed so often over 3 x 3 x 3 voxels: steps of voxels are no summits.
_SMOOTH = 2


@dataclass(frozen=True)
class Fragments:
    """n fragments of the segments of a volume, and m pairs of one segment's fragments that touch.

    radius_nm : (n,) float64, distance from its summit to the surface.   voxels : (n,) float64.
    node : (n_nodes,) int64, the fragment in which each node of the skeletons lies; -1 where there is none.
    first, second : (m,) int64.   sums : (m, 16) float64, what is summed when touches join: area in nm2; faces at the
        rim, and the segment's share of the voxels around them; by area the position (3, nm), the direction from first
        to second (3), how far the two extend along it, as a share, and the products of positions (6).
    """

    radius_nm: NDArray[np.float64]
    voxels: NDArray[np.float64]
    node: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    sums: NDArray[np.float64]


# Columns of ``sums``.
AREA, RIM_FACES, RIM, PLACE, NORMAL, ALONG, SQUARES = 0, 1, 2, slice(3, 6), slice(6, 9), 9, slice(10, 16)
# Of a fragment: voxels, radius, sums of the positions (3) and of their products (6).
_OF_FRAGMENT = 11


def find_fragments(volume: LabelVolume, graph: SkeletonGraph) -> Fragments:
    """Fragments of all segments, at voxels of about ``TARGET_VOXEL_NM``; one block is in memory at a time.

    graph : skeletons of the same labels. Raises InputError for a damaged chunk.
    """
    factor = near_isotropic_factor(graph.voxel_size_nm_zyx, TARGET_VOXEL_NM)
    of_fragment, touches, nodes = [], [], []
    for box in blocks(volume.shape_zyx, volume.chunk_shape_zyx, factor):
        block = _Block.read(volume, box, factor, graph.voxel_size_nm_zyx)
        of_fragment.append(block.fragments())
        touches.append(block.touches())
        inside = np.flatnonzero(
            np.all([(c >= s.start) & (c < s.stop) for c, s in zip(graph.node_voxel_zyx.T, box, strict=True)], axis=0)
        )
        nodes.append((inside, block.name_at(graph.node_voxel_zyx[inside])))
    name, rows = (np.concatenate(column) for column in zip(*of_fragment, strict=True))
    names, row = np.unique(name, return_inverse=True)
    total = np.stack([sum_by(row, rows[:, k], len(names)) for k in range(_OF_FRAGMENT)], axis=1)
    radius = np.zeros(len(names))
    np.maximum.at(radius, row, rows[:, 1])
    node = np.full(graph.n_nodes, -1, np.int64)
    for inside, at in nodes:
        node[inside] = _row_of(names, at)
    pair, sums = (np.concatenate(column) for column in zip(*touches, strict=True))
    known, pair = _joined(names, pair)
    first, second, sums = sums_of_pairs(pair[:, 0], pair[:, 1], sums[known], len(names))
    sums[:, ALONG] = sums[:, AREA] * _share_along(total, first, second, sums, graph.voxel_size_nm_zyx)
    return Fragments(radius, total[:, 0], node, first, second, sums)


def sums_of_pairs(
    first: NDArray[np.int64], second: NDArray[np.int64], sums: NDArray[np.float64], n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Each pair of the n once, the lower first, with the sums of its rows; rows of one with itself are left out."""
    apart = first != second
    first, second, sums = first[apart], second[apart], sums[apart]
    turned = first > second
    sums[turned, NORMAL] *= -1
    pair, row = np.unique(np.where(turned, second, first) * n + np.where(turned, first, second), return_inverse=True)
    total = np.empty((len(pair), sums.shape[1]))
    for k in range(sums.shape[1]):
        total[:, k] = sum_by(row, sums[:, k], len(pair))
    return pair // n, pair % n, total


def _row_of(names: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Row of each name, -1 where it is none."""
    if not len(names):
        return np.full(len(wanted), -1, np.int64)
    row = np.minimum(np.searchsorted(names, wanted), len(names) - 1)
    return np.where(names[row] == wanted, row, -1)


def _joined(names: NDArray[np.int64], pair: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which pairs of names are both known, and the rows of those."""
    rows = _row_of(names, pair.reshape(-1)).reshape(-1, 2)
    known = (rows[:, 0] >= 0) & (rows[:, 1] >= 0)
    return known, rows[known]


def _share_along(
    of_fragment: NDArray[np.float64],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    sums: NDArray[np.float64],
    voxel_size_nm_zyx: FloatTriple,
) -> NDArray[np.float64]:
    """(m,) share of the variance of two fragments together that lies along the direction in which they touch: large for
    two that follow each other along an axon, small for two side by side."""
    both = of_fragment[first] + of_fragment[second]
    mean = both[:, 2:5] / both[:, :1]
    unit = sums[:, NORMAL] / np.maximum(np.linalg.norm(sums[:, NORMAL], axis=1, keepdims=True), 1e-9)
    along, total = np.zeros(len(first)), np.zeros(len(first))
    for k, (i, j) in enumerate(PRODUCTS):
        variance = both[:, 5 + k] / both[:, 0] - mean[:, i] * mean[:, j]
        if i == j:
            variance = variance + voxel_size_nm_zyx[i] ** 2 / 12  # a voxel is no point
            total += variance
        along += unit[:, i] * unit[:, j] * variance * (1 if i == j else 2)
    share: NDArray[np.float64] = along / total
    return share


@dataclass(frozen=True)
class _Block:
    """Labels around one block: 0 background, others numbered from 1; and the summit of each voxel, a flat index in it.

    begin, end : the block's own voxels in ``label``.   origin : of ``label`` in the volume, in these voxels.
    """

    label: NDArray[np.uint32]
    distance_nm: NDArray[np.float32]
    summit: NDArray[np.int32]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    origin: NDArray[np.int64]
    whole: Triple
    factor: Triple
    size_nm: NDArray[np.float64]

    @classmethod
    def read(cls, volume: LabelVolume, box: Box, factor: Triple, voxel_size_nm_zyx: FloatTriple) -> "_Block":
        import edt

        size_nm = np.asarray(voxel_size_nm_zyx) * np.asarray(factor)
        halo = np.ceil(HALO_NM / size_nm).astype(np.int64) * factor
        low = [max(0, s.start - int(h)) for s, h in zip(box, halo, strict=True)]
        high = [min(s.stop + int(h), n) for s, h, n in zip(box, halo, volume.shape_zyx, strict=True)]
        z, y, x = (slice(a, b) for a, b in zip(low, high, strict=True))
        labels = read_small(volume, (z, y, x), factor)
        ids, index = np.unique(labels, return_inverse=True)
        label = (index.reshape(labels.shape) + int(ids[0] != 0)).astype(np.uint32)
        distance = edt.edt(label, anisotropy=tuple(size_nm.tolist()), black_border=False, parallel=1)
        smooth = distance
        for _ in range(_SMOOTH):
            smooth = _smoothed(label, smooth)
        begin = np.array([(s.start - a) // f for s, a, f in zip(box, low, factor, strict=True)], np.int64)
        end = begin + [-(-(s.stop - s.start) // f) for s, f in zip(box, factor, strict=True)]
        origin = np.array([a // f for a, f in zip(low, factor, strict=True)], np.int64)
        nz, ny, nx = (-(-n // f) for n, f in zip(volume.shape_zyx, factor, strict=True))
        return cls(label, distance, _summits(label, smooth), begin, end, origin, (nz, ny, nx), factor, size_nm)

    def _names(self, summit: NDArray[np.integer]) -> NDArray[np.int64]:
        """The place of summits in the volume, flat."""
        zyx = np.stack(np.unravel_index(summit, self.label.shape), axis=1) + self.origin
        names: NDArray[np.int64] = np.ravel_multi_index(tuple(zyx.T), self.whole).astype(np.int64)
        return names

    def _own(self) -> tuple[slice, ...]:
        return tuple(slice(int(a), int(b)) for a, b in zip(self.begin, self.end, strict=True))

    def name_at(self, voxel_zyx: NDArray[np.int32]) -> NDArray[np.int64]:
        """(n,) names of the fragments at voxels of the volume inside the block; -1 in the background."""
        at = tuple((voxel_zyx // np.asarray(self.factor) - self.origin).T)
        summit = self.summit[at]
        names = self._names(np.maximum(summit, 0))
        return np.where(summit >= 0, names, -1)

    def fragments(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Names and rows of the fragments in the block."""
        own = self._own()
        there = np.nonzero(self.label[own])
        summit, row = np.unique(self.summit[own][there], return_inverse=True)
        row = row.reshape(-1)
        place = [
            (axis + b + o + 0.5) * s for axis, b, o, s in zip(there, self.begin, self.origin, self.size_nm, strict=True)
        ]
        columns = [np.ones(len(row)), np.zeros(len(row)), *place, *(place[i] * place[j] for i, j in PRODUCTS)]
        rows = np.stack([sum_by(row, c, len(summit)) for c in columns], axis=1)
        rows[:, 1] = self.distance_nm.reshape(-1)[summit]
        return self._names(summit), rows

    def touches(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(k, 2) names of fragments of one segment that touch at faces that begin in the block, and their sums."""
        first, second, zyx, axis, rim = _inner_faces(self.label, self.summit, self.begin, self.end, RIM_VOXELS)
        centre = (zyx + self.origin + 0.5) * self.size_nm
        centre[np.arange(len(axis)), axis] += 0.5 * self.size_nm[axis]
        area = (self.size_nm.prod() / self.size_nm)[axis]
        low, high = np.minimum(first, second).astype(np.int64), np.maximum(first, second).astype(np.int64)
        towards = np.where(first < second, 1.0, -1.0)
        pair, row = np.unique(low * self.label.size + high, return_inverse=True)
        columns = [area, (rim >= 0).astype(np.float64), np.maximum(rim, 0.0).astype(np.float64)]
        columns += [area * centre[:, k] for k in range(3)]
        columns += [area * towards * (axis == k) for k in range(3)] + [np.zeros(len(area))]
        columns += [area * centre[:, i] * centre[:, j] for i, j in PRODUCTS]
        sums = np.stack([sum_by(row.reshape(-1), c, len(pair)) for c in columns], axis=1)
        names = np.stack([self._names(pair // self.label.size), self._names(pair % self.label.size)], axis=1)
        turned = names[:, 0] > names[:, 1]
        sums[turned, NORMAL] *= -1
        names.sort(axis=1)
        return names, sums


@numba.njit(nogil=True, cache=True)
def _smoothed(label, distance):  # type: ignore[no-untyped-def]
    """Mean over 3 x 3 x 3 voxels, where another label counts as 0 and outside as the voxel itself."""
    size, out = label.shape, np.zeros_like(distance)
    for z, y, x in np.ndindex(size):
        here = label[z, y, x]
        if here == 0:
            continue
        total = np.float32(0)
        for a in range(z - 1, z + 2):
            for b in range(y - 1, y + 2):
                for c in range(x - 1, x + 2):
                    if a < 0 or b < 0 or c < 0 or a >= size[0] or b >= size[1] or c >= size[2]:
                        total += distance[z, y, x]
                    elif label[a, b, c] == here:
                        total += distance[a, b, c]
        out[z, y, x] = total / np.float32(27)
    return out


@numba.njit(nogil=True, cache=True)
def _summits(label, height):  # type: ignore[no-untyped-def]
    """Flat index of the summit that the steepest way up from each voxel leads to, inside its label; -1 in label 0."""
    size = label.shape
    up = np.full(label.size, -1, np.int32)
    for z, y, x in np.ndindex(size):
        here = label[z, y, x]
        if here == 0:
            continue
        best, to = height[z, y, x], (z * size[1] + y) * size[2] + x
        own = to
        for a in range(max(0, z - 1), min(size[0], z + 2)):
            for b in range(max(0, y - 1), min(size[1], y + 2)):
                for c in range(max(0, x - 1), min(size[2], x + 2)):
                    there = (a * size[1] + b) * size[2] + c
                    # Of equals the later one, so that a plateau has one summit.
                    if label[a, b, c] == here and (height[a, b, c] > best or (height[a, b, c] == best and there > to)):
                        best, to = height[a, b, c], there
        up[own] = to
    for i in range(label.size):
        if up[i] < 0:
            continue
        top = i
        while up[top] != top:
            top = up[top]
        here = i
        while up[here] != top:
            after = up[here]
            up[here] = top
            here = after
    return up.reshape(size)


@numba.njit(nogil=True, cache=True)
def _inner_faces(label, summit, begin, end, reach):  # type: ignore[no-untyped-def]
    """Faces between two fragments of a segment, from voxels of a block to the next along each axis.

    Returns both summits, the voxel, the axis, and the share of the segment around a face at its surface; -1 inside.
    """
    size, n = label.shape, 0
    for count in (True, False):
        if not count:
            first, second = np.empty(n, np.int32), np.empty(n, np.int32)
            place, along, rim = np.empty((n, 3), np.int64), np.empty(n, np.int64), np.empty(n, np.float32)
        n = 0
        for z in range(begin[0], end[0]):
            for y in range(begin[1], end[1]):
                for x in range(begin[2], end[2]):
                    here = label[z, y, x]
                    if here == 0:
                        continue
                    for axis in range(3):
                        z2, y2, x2 = z + (axis == 0), y + (axis == 1), x + (axis == 2)
                        if z2 >= size[0] or y2 >= size[1] or x2 >= size[2] or label[z2, y2, x2] != here:
                            continue
                        if summit[z, y, x] == summit[z2, y2, x2]:
                            continue
                        if not count:
                            first[n], second[n], along[n] = summit[z, y, x], summit[z2, y2, x2], axis
                            place[n, 0], place[n, 1], place[n, 2] = z, y, x
                            rim[n] = _share_at_surface(label, (z, y, x), axis, reach)
                        n += 1
    return first, second, place, along, rim


@numba.njit(nogil=True, cache=True)
def _share_at_surface(label, at, axis, reach):  # type: ignore[no-untyped-def]
    """Share of a segment around a face inside it that lies at its surface; -1 for any other face."""
    size, here, touched = label.shape, label[at[0], at[1], at[2]], False
    for other in range(3):
        for step in (-1, 1):
            z, y, x = at[0] + step * (other == 0), at[1] + step * (other == 1), at[2] + step * (other == 2)
            if other == axis or not (0 <= z < size[0] and 0 <= y < size[1] and 0 <= x < size[2]):
                continue
            if label[z, y, x] != here or label[z + (axis == 0), y + (axis == 1), x + (axis == 2)] != here:
                touched = True
    if not touched:
        return -1.0
    return share_around(label, here, here, at, axis, reach)
