"""Where two segments come closest: the places at which to ask whether they are one.

Source: google/ffn, ``find_decision_points``. All 26 neighbours of a voxel count here, not 14 of them.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from baselines.common.blockwise import Box
from baselines.common.config_types import FloatTriple

# One of each two opposite neighbours among 26.
_NEIGHBOURS = [o for o in itertools.product((-1, 0, 1), repeat=3) if o > (0, 0, 0)]


@dataclass(frozen=True)
class DecisionPoints:
    """One point for each pair of segments that touch, sorted by pair.

    a, b : (points,) uint64 ids, a < b.   zyx : (points, 3) int64 voxel.   contacts : (points,) int64, how many pairs of
    neighbouring voxels touch.   distance_nm : (points,) float64, from the point to the segments.
    """

    a: NDArray[np.uint64]
    b: NDArray[np.uint64]
    zyx: NDArray[np.int64]
    distance_nm: NDArray[np.float64]
    contacts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.a)

    def take(self, rows: NDArray[Any]) -> "DecisionPoints":
        """Some of the points, by index or mask."""
        return DecisionPoints(*(getattr(self, column.name)[rows] for column in fields(self)))


def decision_points(
    labels: NDArray[Any], voxel_size_nm_zyx: FloatTriple, limit_nm: float, core: Box | None = None
) -> DecisionPoints:
    """Decision points of a segmentation (z,y,x), 0 is blank.

    Segments grow into the blank by watershed on the distance to them, up to ``limit_nm``. Of the voxels at which two
    of them then touch, those with the least mean distance remain, and of these the one nearest to their centroid.
    core : only pairs of voxels whose first lies in this box count. A block of a larger volume passes its core and
    context of ``limit_nm`` around it; its points are in coordinates of the block.
    """
    labels = labels.astype(np.int64)
    distance = ndimage.distance_transform_edt(labels == 0, sampling=voxel_size_nm_zyx)
    grown = watershed(distance, labels, mask=distance <= limit_nm)  # type: ignore[no-untyped-call]
    core = core or tuple(slice(0, n) for n in labels.shape)  # type: ignore[assignment]
    assert core is not None
    ends, places, distances = [], [], []
    for offset in _NEIGHBOURS:
        # The same pairs of voxels whatever the blocks: each belongs to the block of its lower corner.
        spans = [(c.start, min(c.stop, n - abs(o))) for c, n, o in zip(core, labels.shape, offset, strict=True)]
        here = tuple(slice(max(0, -o) + s, max(0, -o) + e) for (s, e), o in zip(spans, offset, strict=True))
        there = tuple(slice(max(0, o) + s, max(0, o) + e) for (s, e), o in zip(spans, offset, strict=True))
        one, other = grown[here], grown[there]
        touching = np.nonzero((one != other) & (one > 0) & (other > 0))
        ends.append(np.sort(np.stack([one[touching], other[touching]], 1), axis=1))
        places.append(np.stack(touching, 1) + [s for s, _ in spans])
        distances.append((distance[here][touching] + distance[there][touching]) / 2)
    return _nearest(np.concatenate(ends), np.concatenate(places), np.concatenate(distances))


def joined_points(blocks: Iterable[DecisionPoints]) -> DecisionPoints:
    """Points of a volume from those of its blocks: of each pair the nearest; of equal ones that of the first block."""
    found = list(blocks)
    if not found:
        return _nearest(np.zeros((0, 2), np.int64), np.zeros((0, 3), np.int64), np.zeros(0))
    every = DecisionPoints(*(np.concatenate([getattr(p, c.name) for p in found]) for c in fields(DecisionPoints)))
    order = np.lexsort((every.distance_nm, every.b, every.a))
    every = every.take(order)
    start = _starts(every.a, every.b)
    contacts = np.add.reduceat(every.contacts, start) if len(start) else every.contacts
    best = every.take(start)
    return DecisionPoints(best.a, best.b, best.zyx, best.distance_nm, contacts)


def _nearest(ends: NDArray[np.int64], places: NDArray[np.int64], distance: NDArray[np.float64]) -> DecisionPoints:
    """One point for each pair among (n, 2) ends, (n, 3) places and their distances."""
    order = np.lexsort((*places.T[::-1], distance, ends[:, 1], ends[:, 0]))
    ends, places, distance = ends[order], places[order], distance[order]
    start = _starts(ends[:, 0], ends[:, 1])
    contacts = np.diff(np.append(start, len(ends)))
    pair = np.repeat(np.arange(len(start)), contacts)
    least = distance == distance[start][pair]
    pair, places = pair[least], places[least]
    count = np.bincount(pair, minlength=len(start))[:, None]
    total = np.stack([np.bincount(pair, weights=p, minlength=len(start)) for p in places.T], 1)
    off = ((places - (total / np.maximum(count, 1))[pair]) ** 2).sum(1)
    order = np.lexsort((off, pair))
    best = order[np.searchsorted(pair[order], np.arange(len(start)))]
    a, b = ends[start].astype(np.uint64).T
    return DecisionPoints(a, b, places[best], distance[start], contacts)


def _starts(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.intp]:
    """First row of each pair, where rows are sorted by pair."""
    new = np.ones(len(a), bool)
    new[1:] = (a[1:] != a[:-1]) | (b[1:] != b[:-1])
    return np.flatnonzero(new)
