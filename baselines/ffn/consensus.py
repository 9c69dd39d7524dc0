"""Over-segmentation consensus: keep together only what two segmentations both keep together.

A false merger in one segmentation is cut where the other one keeps the two parts apart. What either splits stays split,
so agglomeration follows. Source: Januszewski et al. 2018, Methods; the rules of ids are those of google/ffn,
``split_segmentation_by_intersection``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from axonem_eval.sampling import PairCounter, index_pairs
from baselines.common.blockwise import Box, Triple

Ids = NDArray[np.uint64]
Parts = Iterable[tuple[NDArray[Any], NDArray[Any]]]


class Labels(Protocol):
    """A segmentation (z,y,x), in memory or stored, that gives the ids of a box."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, box: Box, /) -> Any: ...


@dataclass(frozen=True)
class ConsensusIds:
    """What each pair of ids becomes. first, second, becomes : (pairs,) uint64, sorted by first, then second.

    Pairs of the first segmentation's blank, and those of too few voxels, become 0.
    """

    first: Ids
    second: Ids
    becomes: Ids

    def apply(self, first: NDArray[Any], second: NDArray[Any]) -> Ids:
        """The consensus of both segmentations, or of the same part of both; uint64 of their shape.

        Raises ValueError where the shapes differ, and where a pair of ids was not counted.
        """
        _require_one_shape(first, second)
        a, b, pair_of = index_pairs(first, second)
        row = np.minimum(np.searchsorted(self._key(self.first, self.second), self._key(a, b)), len(self.first) - 1)
        unknown = np.flatnonzero((self.first[row] != a) | (self.second[row] != b)) if len(row) else row
        if len(unknown):
            i = unknown[0]
            raise ValueError(f"the pair of ids ({a[i]}, {b[i]}) was not counted, nor were {len(unknown) - 1} more")
        return self.becomes[row][pair_of].reshape(first.shape)

    def _key(self, a: Ids, b: Ids) -> Ids:
        """One number for each pair, in the order of the pairs; ids that are not in the table may share a number."""
        firsts, seconds = np.unique(self.first), np.unique(self.second)
        return (np.searchsorted(firsts, a) * (len(seconds) + 1) + np.searchsorted(seconds, b)).astype(np.uint64)


def consensus_ids(parts: Parts, min_voxels: int) -> ConsensusIds:
    """Ids of the consensus of two segmentations that come in parts, so that neither need be in memory as a whole.

    parts : pairs of label arrays of equal shape, non-negative integers, 0 is blank.   min_voxels : smaller objects of
    the consensus become 0.
    Each pair of ids is an object, in however many pieces; no connected components are formed. The pair that has most
    of id1, which may be (id1, 0), keeps id1, even if it then turns out to be too small; of equal pairs the one with the
    smaller second id. The others get new ids from the largest first id + 1 on, in the order of second id, then first.
    """
    counter = PairCounter()
    for first, second in parts:
        _require_one_shape(first, second)
        counter.add(first, second)
    first, second, voxels = counter.table()
    # By first id, then most voxels; a stable sort leaves the smaller second id in front.
    order = np.lexsort((second, -voxels, first))
    leads = np.ones(len(order), bool)
    leads[1:] = first[order][1:] != first[order][:-1]
    keeps = np.zeros(len(order), bool)
    keeps[order] = leads
    lives = (first > 0) & (voxels >= min_voxels)
    becomes = np.where(keeps & lives, first, np.uint64(0))
    fresh = np.flatnonzero(lives & ~keeps)
    fresh = fresh[np.lexsort((first[fresh], second[fresh]))]
    becomes[fresh] = first.max(initial=0) + np.arange(1, len(fresh) + 1, dtype=np.uint64)
    return ConsensusIds(first, second, becomes)


def consensus(first: NDArray[Any], second: NDArray[Any], min_voxels: int) -> Ids:
    """The consensus of two segmentations in memory, uint64 of their shape; see ``consensus_ids``."""
    return consensus_ids([(first, second)], min_voxels).apply(first, second)


def read_upsampled(labels: Labels, factor_zyx: Triple, box: Box) -> NDArray[Any]:
    """Ids of a segmentation of the ``downsampled`` image in a box of the image; what it does not cover is 0."""
    low = [part.start // factor for part, factor in zip(box, factor_zyx, strict=True)]
    high = [-(-part.stop // factor) for part, factor in zip(box, factor_zyx, strict=True)]
    z, y, x = (slice(start, stop) for start, stop in zip(low, high, strict=True))
    found = np.asarray(labels[z, y, x])
    for axis, factor in enumerate(factor_zyx):
        found = np.repeat(found, factor, axis)
    cut = [part.start - start * factor for part, start, factor in zip(box, low, factor_zyx, strict=True)]
    size = [part.stop - part.start for part in box]
    found = found[tuple(slice(first, first + n) for first, n in zip(cut, size, strict=True))]
    return np.pad(found, [(0, n - have) for n, have in zip(size, found.shape, strict=True)])


def _require_one_shape(first: NDArray[Any], second: NDArray[Any]) -> None:
    if first.shape != second.shape:
        raise ValueError(f"the segmentations have shapes {first.shape} and {second.shape}; they must be equal (z,y,x)")
