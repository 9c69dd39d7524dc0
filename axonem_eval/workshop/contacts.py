"""Where segments touch, and how: patches of contact, collected block by block."""

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numba
import numpy as np
from numpy.typing import NDArray

from axonem_eval.progress import Progress
from axonem_eval.skeletons import connected_pieces, sum_by
from axonem_eval.spec import FloatTriple, Triple
from axonem_eval.volumes import LabelVolume, blocks, near_isotropic_factor, open_labels, read_small

# Contact in neighbouring cells of this size is one patch.
CELL_NM = 500.0
# Sums for each cell: area in nm2; by area the position (3), the direction (3) and the products of positions (6); faces
# at the rim, and their share of both segments.
_SUMS = 15
# Around a face at the rim so many voxels to each side are looked at.
RIM_VOXELS = 3
PRODUCTS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


@dataclass(frozen=True)
class Contacts:
    """Patches where two segments touch; n of them, sorted by the segments.

    first, second : (n,) uint64, first < second.
    area_nm2 : (n,) float64, of the voxel faces between both.
    centre_nm_zyx : (n, 3) float64, mean of the faces' centres.
    normal : (n, 3) float64, from first to second, z,y,x: the sum of the faces' directions by area, divided by the area.
        Its length is 1 for a flat patch along an axis, and near 0 where one segment surrounds the other.
    depth_nm : (n,) float64, deviation of the faces' centres from the plane through their centre, along the normal: near
        0 for a flat patch, large for one that is bent.
    rim : (n,) float64, share of the two segments among the voxels around the rim of the patch, where a third one meets
        them. One half where both lie below one smooth surface, as two parts of one axon do; about 0.7 where both are
        round, as three bubbles meet in equal angles. One half where there is no rim.
    """

    first: NDArray[np.uint64]
    second: NDArray[np.uint64]
    area_nm2: NDArray[np.float64]
    centre_nm_zyx: NDArray[np.float64]
    normal: NDArray[np.float64]
    depth_nm: NDArray[np.float64]
    rim: NDArray[np.float64]


def find_contacts(
    path: str | Path,
    voxel_size_nm_zyx: FloatTriple,
    *,
    dataset: str | None = None,
    target_voxel_nm: float = 30.0,
    on_progress: Progress | None = None,
) -> Contacts:
    """Patches of contact between the segments of a label file, at voxels of about ``target_voxel_nm``.

    One block of the volume is in memory at a time, and one row for each pair and cell of ``CELL_NM`` where it touches.
    Raises InputError for unreadable labels.
    """
    factor = near_isotropic_factor(voxel_size_nm_zyx, target_voxel_nm)
    with open_labels(path, dataset) as volume:
        parts = []
        boxes = list(blocks(volume.shape_zyx, volume.chunk_shape_zyx, factor))
        for done, box in enumerate(boxes, start=1):
            parts.append(_contacts_of_block(volume, box, factor, voxel_size_nm_zyx))
            if on_progress:
                on_progress(done, len(boxes))
    pair, cell, sums = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _patches(pair, cell, sums)


_Rows = tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.float64]]


def _contacts_of_block(
    volume: LabelVolume, box: tuple[slice, slice, slice], factor: Triple, voxel_size_nm_zyx: FloatTriple
) -> _Rows:
    """Rows (pair (n, 2), cell (n, 3), sums (n, 15)) of the faces that begin in a block; those to the next block too."""
    low = [max(0, s.start - RIM_VOXELS * f) for s, f in zip(box, factor, strict=True)]
    high = [min(s.stop + (RIM_VOXELS + 1) * f, n) for s, f, n in zip(box, factor, volume.shape_zyx, strict=True)]
    wide = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    labels = read_small(volume, wide, factor)  # type: ignore[arg-type]
    begin = np.array([(s.start - a) // f for s, a, f in zip(box, low, factor, strict=True)], np.int64)
    end = begin + [-(-(s.stop - s.start) // f) for s, f in zip(box, factor, strict=True)]
    origin = np.array([a // f for a, f in zip(low, factor, strict=True)], np.int64)
    size_nm = np.asarray(voxel_size_nm_zyx) * np.asarray(factor)
    ids, index = np.unique(labels, return_inverse=True)
    index = index.reshape(labels.shape).astype(np.int32)
    background = int(ids[0] == 0) - 1  # place of 0 among the ids, or -1
    a, b, zyx, axis, rim = _faces(index, background, begin, end, RIM_VOXELS)
    towards = np.where(a < b, 1.0, -1.0)
    low, high = np.minimum(a, b).astype(np.int64), np.maximum(a, b).astype(np.int64)
    centre = (zyx + origin + 0.5) * size_nm
    centre[np.arange(len(axis)), axis] += 0.5 * size_nm[axis]
    cell = (centre // CELL_NM).astype(np.int64)
    first_cell = cell.min(axis=0) if len(cell) else np.zeros(3, np.int64)
    span = (cell - first_cell).max(axis=0, initial=0) + 1
    place = ((cell[:, 0] - first_cell[0]) * span[1] + cell[:, 1] - first_cell[1]) * span[2] + cell[:, 2] - first_cell[2]
    key = (low * len(ids) + high) * int(span.prod()) + place
    unique, at, row = np.unique(key, return_index=True, return_inverse=True)
    area = (size_nm.prod() / size_nm)[axis]
    columns = [area, *(area * centre[:, k] for k in range(3)), *(area * towards * (axis == k) for k in range(3))]
    columns += [area * centre[:, i] * centre[:, j] for i, j in PRODUCTS]
    columns += [(rim >= 0).astype(np.float64), np.maximum(rim, 0.0)]
    sums: NDArray[np.float64] = np.stack([sum_by(row, c, len(unique)) for c in columns], axis=1)
    pair = np.stack([ids[low[at]], ids[high[at]]], axis=1).astype(np.uint64)
    return pair, cell[at], sums


@numba.njit(nogil=True, cache=True)
def _faces(index, background, begin, end, reach):  # type: ignore[no-untyped-def]
    """Faces between voxels of two segments, from voxels of a block (begin to end) to the next along each axis.

    Returns both segments, the voxel, the axis, and the share of both around a face at the rim; -1 at any other.
    """
    size, n = index.shape, 0
    for count in (True, False):
        if not count:
            first, second = np.empty(n, np.int32), np.empty(n, np.int32)
            place, along, rim = np.empty((n, 3), np.int64), np.empty(n, np.int64), np.empty(n, np.float32)
        n = 0
        for z in range(begin[0], min(end[0], size[0])):
            for y in range(begin[1], min(end[1], size[1])):
                for x in range(begin[2], min(end[2], size[2])):
                    a = index[z, y, x]
                    if a == background:
                        continue
                    for axis in range(3):
                        z2, y2, x2 = z + (axis == 0), y + (axis == 1), x + (axis == 2)
                        if z2 >= size[0] or y2 >= size[1] or x2 >= size[2]:
                            continue
                        b = index[z2, y2, x2]
                        if b == a:
                            continue
                        if b == background:
                            continue
                        if not count:
                            first[n], second[n], along[n] = a, b, axis
                            place[n, 0], place[n, 1], place[n, 2] = z, y, x
                            rim[n] = _share_at_rim(index, a, b, (z, y, x), axis, reach)
                        n += 1
    return first, second, place, along, rim


@numba.njit(nogil=True, cache=True)
def _share_at_rim(index, a, b, at, axis, reach):  # type: ignore[no-untyped-def]
    """Share of two segments around a face between them that a third one touches; -1 where none does."""
    size, touched = index.shape, False
    for other in range(3):
        for step in (-1, 1):
            if other == axis:
                continue
            z, y, x = at[0] + step * (other == 0), at[1] + step * (other == 1), at[2] + step * (other == 2)
            if not (0 <= z < size[0] and 0 <= y < size[1] and 0 <= x < size[2]):
                continue
            here, there = index[z, y, x], index[z + (axis == 0), y + (axis == 1), x + (axis == 2)]
            if (here != a and here != b) or (there != a and there != b):
                touched = True
    if not touched:
        return -1.0
    return share_around(index, a, b, at, axis, reach)


@numba.njit(nogil=True, cache=True)
def share_around(index, a, b, at, axis, reach):  # type: ignore[no-untyped-def]
    """Share of the voxels around a face that belong to one of two segments.

    at : voxel z,y,x before the face.   axis : across it.   reach : in voxels.
    """
    size, inside, total = index.shape, 0, 0
    for z in range(max(0, at[0] - reach), min(size[0], at[0] + reach + 1 + (axis == 0))):
        for y in range(max(0, at[1] - reach), min(size[1], at[1] + reach + 1 + (axis == 1))):
            for x in range(max(0, at[2] - reach), min(size[2], at[2] + reach + 1 + (axis == 2))):
                total += 1
                if index[z, y, x] == a or index[z, y, x] == b:
                    inside += 1
    return inside / total


def _patches(pair: NDArray[np.uint64], cell: NDArray[np.int64], sums: NDArray[np.float64]) -> Contacts:
    """Join the cells of each pair that are neighbours, faces and corners included."""
    order = np.lexsort((cell[:, 2], cell[:, 1], cell[:, 0], pair[:, 1], pair[:, 0]))
    pair, cell, sums = pair[order], cell[order], sums[order]
    new_pair = np.flatnonzero((np.diff(pair.astype(np.int64), axis=0, prepend=-1) != 0).any(axis=1))
    of_pair = np.repeat(np.arange(len(new_pair)), np.diff(np.append(new_pair, len(pair))))
    span = cell.max(axis=0, initial=0) + 3
    flat = ((of_pair * span[0] + cell[:, 0] + 1) * span[1] + cell[:, 1] + 1) * span[2] + cell[:, 2] + 1
    here, there = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    # The same cell twice, from two blocks, has the step 0.
    for step in product((0, 1), (-1, 0, 1), (-1, 0, 1)):
        wanted = flat + (step[0] * span[1] + step[1]) * span[2] + step[2]
        found = np.searchsorted(flat, wanted, side="right") - 1
        hit = np.flatnonzero((found >= 0) & (flat[found] == wanted) & (found != np.arange(len(flat))))
        here.append(hit)
        there.append(found[hit])
    patch = connected_pieces(len(flat), np.concatenate(here), np.concatenate(there))
    n = int(patch.max(initial=-1)) + 1
    total = np.stack([sum_by(patch, sums[:, k], n) for k in range(_SUMS)], axis=1)
    one = np.zeros(n, np.int64)
    one[patch[::-1]] = np.arange(len(patch))[::-1]
    area: NDArray[np.float64] = total[:, 0]
    mean, normal = total[:, 1:4] / total[:, :1], total[:, 4:7] / total[:, :1]
    unit = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    # The products are of positions in the whole volume, at most some 1e5 nm: 1e10 nm2 with 16 digits.
    variance = np.zeros(n, np.float64)
    for k, (i, j) in enumerate(PRODUCTS):
        both = unit[:, i] * unit[:, j] * (1 if i == j else 2)
        variance += both * (total[:, 7 + k] / area - mean[:, i] * mean[:, j])
    first, second = pair[one].T
    rim = np.where(total[:, 13] > 0, total[:, 14] / np.maximum(total[:, 13], 1.0), 0.5)
    return Contacts(first.copy(), second.copy(), area, mean, normal, np.sqrt(np.maximum(variance, 0.0)), rim)
