"""The connected pieces of segments that are cut by planes or points, block by block.

Nothing holds the volume or a segment. A block is read with one more voxel at its upper faces. A voxel that two
blocks read links its pieces in both.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from axonem_eval.spec import FloatTriple, Triple
from axonem_eval.union_find import join, numbered, root
from axonem_eval.volumes import Box, LabelVolume, blocks, read_small
from axonem_eval.workshop.decisions import Cut
from axonem_eval.workshop.point_cut import Sides

# The 13 neighbours of a voxel that come after it.
_AHEAD = np.array(
    [(z, y, x) for z in (0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1) if (z, y, x) > (0, 0, 0)], np.int64
)


@dataclass(frozen=True)
class Cuts:
    """Cuts of segments, sorted by segment.

    segment : (n,) uint64, the segments that are cut, ascending.   start : (n + 1,) int64, the planes of segment i are
        start[i] to start[i + 1].   point_nm, normal : (m, 3) float64.   radius_nm : (m,) float64.
    sides : of each cut by points, the place of its segment, and its sides.
    """

    segment: NDArray[np.uint64]
    start: NDArray[np.int64]
    point_nm: NDArray[np.float64]
    normal: NDArray[np.float64]
    radius_nm: NDArray[np.float64]
    voxel_nm: NDArray[np.float64]
    sides: list[tuple[int, Sides]]

    @classmethod
    def of(
        cls, cuts: Sequence[tuple[int, Cut]], sides: Sequence[tuple[int, Sides]], voxel_size_nm_zyx: FloatTriple
    ) -> "Cuts":
        """From (segment, plane) and (segment, sides)."""
        ordered = sorted(cuts, key=lambda of: of[0])
        ids = np.array([segment for segment, _ in ordered], np.uint64)
        by_points = np.array([segment for segment, _ in sides], np.uint64)
        segment = np.unique(np.concatenate([ids, by_points]))
        voxel = np.asarray(voxel_size_nm_zyx, np.float64)
        normal = np.array([cut.normal_zyx for _, cut in ordered], np.float64).reshape(-1, 3)
        return cls(
            segment,
            np.append(np.searchsorted(ids, segment), len(ids)).astype(np.int64),
            (np.array([cut.point_zyx for _, cut in ordered], np.float64).reshape(-1, 3) + 0.5) * voxel,
            normal / np.linalg.norm(normal, axis=1, keepdims=True),
            np.array([cut.radius_nm for _, cut in ordered], np.float64),
            voxel,
            list(zip(np.searchsorted(segment, by_points).tolist(), (found for _, found in sides), strict=True)),
        )

    def code(self, index: NDArray[np.int32], origin: Triple) -> NDArray[np.uint64]:
        """A number for each voxel of a box: two voxels have another where the points of a cut part them.

        index : z,y,x, place of each voxel's segment.   A cut adds a number of its own for each side, and 0 outside.
        """
        code = np.zeros(index.shape, np.uint64)
        number = np.random.default_rng(0).integers(1, 2**63, (len(self.sides), 3), np.uint64)
        number[:, 0] = 0
        for (place, sides), of_side in zip(self.sides, number, strict=True):
            found = sides.within(origin, (index.shape[0], index.shape[1], index.shape[2]))
            if found is not None:
                box, side = found
                code[box] += np.where(index[box] == place, of_side[side], np.uint64(0))
        return code


@dataclass(frozen=True)
class BlockPieces:
    """Pieces in one block; numbered from 1, 0 is none.

    origin_zyx : first voxel of ``number``.   number : uint32 array z,y,x, the piece of each voxel of the part of the
        block, and of the voxels read beyond its upper faces, that holds pieces.
    own : slices of ``number`` that belong to the block.
    segment : (n + 1,) int32, place among the cut segments, by piece.   voxels : (n + 1,) int64, own ones.
    parted : (k, 2) int64, pieces that a cut parts, one row for each pair of voxels.
    """

    origin_zyx: Triple
    number: NDArray[np.uint32]
    own: Box
    segment: NDArray[np.int32]
    voxels: NDArray[np.int64]
    parted: NDArray[np.int64]

    @property
    def count(self) -> int:
        """Number of pieces."""
        return len(self.segment) - 1


def boxes_of(volume: LabelVolume) -> list[Box]:
    """The blocks that all passes go over."""
    return list(blocks(volume.shape_zyx, volume.chunk_shape_zyx, (1, 1, 1)))


def read_wide(volume: LabelVolume, box: Box) -> NDArray[Any]:
    """Labels of a block and one voxel more at each upper face inside the volume."""
    z, y, x = (slice(s.start, min(s.stop + 1, n)) for s, n in zip(box, volume.shape_zyx, strict=True))
    return read_small(volume, (z, y, x), (1, 1, 1))


def pieces_of_block(labels: NDArray[Any], box: Box, cuts: Cuts) -> BlockPieces | None:
    """Pieces of the cut segments in a block that ``read_wide`` read; None where it holds none of them."""
    index = place_among(labels, cuts.segment)
    there = np.nonzero(index >= 0)
    if not len(there[0]):
        return None
    low = [int(axis.min()) for axis in there]
    z, y, x = (slice(a, int(axis.max()) + 1) for a, axis in zip(low, there, strict=True))
    part = np.ascontiguousarray(index[z, y, x])
    origin = tuple(a + s.start for a, s in zip(low, box, strict=True))
    found = _pieces(
        part,
        cuts.code(part, origin),
        np.array(origin, np.int64),
        (cuts.start, cuts.point_nm, cuts.normal, cuts.radius_nm),
        cuts.voxel_nm,
        _AHEAD,
    )
    number, segment, parted = found
    own = tuple(slice(0, max(0, s.stop - o)) for s, o in zip(box, origin, strict=True))
    voxels = np.bincount(number[own].ravel(), minlength=len(segment)).astype(np.int64)
    return BlockPieces(origin, number, own, segment, voxels, parted)  # type: ignore[arg-type]


def border_voxels(pieces: BlockPieces, box: Box, shape_zyx: Triple) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Voxels (flat index in the volume) that another block reads too, and their pieces."""
    grid = np.ogrid[tuple(slice(o, o + n) for o, n in zip(pieces.origin_zyx, pieces.number.shape, strict=True))]
    shared = np.zeros(pieces.number.shape, np.bool_)
    for place, s in zip(grid, box, strict=True):
        shared |= ((place == s.start) & (s.start > 0)) | (place == s.stop)
    shared &= pieces.number > 0
    zyx = np.argwhere(shared) + pieces.origin_zyx
    return np.ravel_multi_index(tuple(zyx.T), shape_zyx).astype(np.int64), pieces.number[shared].astype(np.int64)


def pieces_at(pieces: BlockPieces, zyx: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """(row, piece) of those of (n, 3) voxels that lie in the block's own pieces."""
    place = zyx - pieces.origin_zyx
    size = [s.stop for s in pieces.own]
    for row in np.flatnonzero(((place >= 0) & (place < np.minimum(size, pieces.number.shape))).all(axis=1)).tolist():
        piece = int(pieces.number[tuple(place[row])])
        if piece:
            yield row, piece


def place_among(labels: NDArray[Any], ids: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Place of each label in a sorted list of ids, -1 where it is not in it."""
    found: NDArray[np.int32] = _place_among(labels.reshape(-1), ids).reshape(labels.shape)
    return found


@numba.njit(nogil=True, cache=True)
def _place_among(labels, ids):  # type: ignore[no-untyped-def]
    out = np.empty(len(labels), np.int32)
    before, place = np.uint64(0), np.int32(-1)
    for i in range(len(labels)):
        label = np.uint64(labels[i])
        if i == 0 or label != before:  # labels come in runs
            at = np.searchsorted(ids, label)
            place = np.int32(at) if at < len(ids) and ids[at] == label else np.int32(-1)
            before = label
        out[i] = place
    return out


@numba.njit(nogil=True, cache=True)
def _is_parted(here, there, cuts, point, normal, radius):  # type: ignore[no-untyped-def]
    """Whether one of the cuts from cuts[0] to cuts[1] lies between two voxels, given in nm: its plane, or its ball.

    Without the ball, a thin layer on the wrong side of the plane would connect both sides beyond the radius.
    """
    for c in range(cuts[0], cuts[1]):
        side, other_side, away, other_away = 0.0, 0.0, 0.0, 0.0
        for a in range(3):
            first, second = here[a] - point[c, a], there[a] - point[c, a]
            side += first * normal[c, a]
            other_side += second * normal[c, a]
            away += first * first
            other_away += second * second
        inside, other_inside = away < radius[c] ** 2, other_away < radius[c] ** 2
        if inside != other_inside or (inside and (side > 0) != (other_side > 0)):
            return True
    return False


@numba.njit(nogil=True, cache=True)
def _pieces(index, code, origin, planes, voxel, ahead):  # type: ignore[no-untyped-def]
    """Number the 26-connected pieces, where two voxels that a cut parts are not connected.

    Returns the numbers, the cut segment of each, and the pieces of each pair of voxels that a cut parts.
    """
    start, point, normal, radius = planes
    shape = np.array(index.shape)
    parent = np.arange(index.size + 1).astype(np.uint32)
    parted = [(np.int64(0), np.int64(0))]
    here_nm, there_nm = np.empty(3), np.empty(3)
    for z, y, x in np.ndindex(index.shape):
        segment = index[z, y, x]
        if segment < 0:
            continue
        here_nm[:] = (origin + np.array([z, y, x]) + 0.5) * voxel
        here = (z * shape[1] + y) * shape[2] + x + 1
        for k in range(len(ahead)):
            there = np.array([z, y, x]) + ahead[k]
            if (there < 0).any() or (there >= shape).any() or index[there[0], there[1], there[2]] != segment:
                continue
            there_nm[:] = here_nm + ahead[k] * voxel
            to = (there[0] * shape[1] + there[1]) * shape[2] + there[2] + 1
            apart = code[z, y, x] != code[there[0], there[1], there[2]]
            if apart or _is_parted(here_nm, there_nm, start[segment : segment + 2], point, normal, radius):
                parted.append((np.int64(here), np.int64(to)))
                continue
            one, other = root(parent, here), root(parent, to)
            if one != other:
                join(parent, one, other)
    number, segments = _numbered(index, parent)
    pairs = np.empty((len(parted) - 1, 2), np.int64)
    for k in range(1, len(parted)):
        pairs[k - 1, 0], pairs[k - 1, 1] = number[parted[k][0] - 1], number[parted[k][1] - 1]
    return number.reshape(index.shape), segments, pairs


@numba.njit(nogil=True, cache=True)
def _numbered(index, parent):  # type: ignore[no-untyped-def]
    """Flat numbers of the pieces from 1 in the order of their first voxels, and the segment of each; -1 of number 0."""
    flat = index.reshape(-1)
    for i in range(index.size):
        if flat[i] < 0:
            parent[i + 1] = 0  # no piece: joins the set of number 0
    number, count = numbered(parent)
    segments = np.full(count + 1, -1, np.int32)
    for i in range(index.size):
        segments[number[i + 1]] = flat[i]
    segments[0] = -1
    return number[1:], segments
