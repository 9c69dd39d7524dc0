"""Put the pieces of a volume together: which objects of neighbours are one, and numbers of the whole volume.

Two objects are one where, in the voxels that their pieces share, each is the other's best partner, and they share at
least a given part of the smaller one there (union-find over all overlaps; the rule is stricter than "largest overlap",
because a wrong union joins two neurites along their whole length).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from axonem_eval.sampling import PairCounter
from axonem_eval.union_find import join_pairs, numbered
from baselines.common.blockwise import Triple, fitted
from baselines.ffn.fill import CHUNK, objects_path, probabilities_path
from baselines.ffn.pieces import Piece, inside, shared


def same_objects(folder: Path, a: Piece, b: Piece, least_share: float) -> NDArray[np.int64]:
    """Pairs (n, 2) of objects, of ``a`` and of ``b``, that are one. Reads what the two pieces share, no more."""
    both = shared(a.box, b.box)
    if both is None:
        return np.zeros((0, 2), np.int64)
    ours, theirs = (
        np.asarray(zarr.open_array(objects_path(folder, piece), mode="r")[inside(both, piece.box)]) for piece in (a, b)
    )
    return matched(ours, theirs, least_share)


def matched(
    ours: NDArray[np.unsignedinteger], theirs: NDArray[np.unsignedinteger], least_share: float
) -> NDArray[np.int64]:
    """Pairs (n, 2) of ids of two segmentations of the same voxels that are one object; 0 is background.

    Each is the other's partner with the most voxels, the smaller id of several; and the voxels that they share are at
    least ``least_share`` of the smaller one's.
    """
    counter = PairCounter()
    counter.add(ours.reshape(-1), theirs.reshape(-1))
    a, b, count = (np.asarray(column).astype(np.int64) for column in counter.table())
    if not len(a):
        return np.zeros((0, 2), np.int64)
    smaller = np.minimum(np.bincount(a, weights=count)[a], np.bincount(b, weights=count)[b])
    real = (a > 0) & (b > 0)
    a, b, count, smaller = a[real], b[real], count[real], smaller[real]
    good = _is_best(a, b, count) & _is_best(b, a, count) & (count >= least_share * smaller)
    return np.stack([a[good], b[good]], axis=1)


def _is_best(own: NDArray[np.int64], other: NDArray[np.int64], count: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each pair is the one with the most voxels of ``own``; of several the one with the smallest ``other``."""
    order = np.lexsort((other, -count, own))
    first = np.ones(len(own), bool)
    first[1:] = own[order][1:] != own[order][:-1]
    found = np.zeros(len(own), bool)
    found[order] = first
    return found


def whole_numbers(counts: Sequence[int], same: Mapping[tuple[int, int], NDArray[np.int64]]) -> list[NDArray[np.uint32]]:
    """For each piece, the number in the whole volume of each of its objects; (objects + 1,), 0 stays 0.

    counts : objects of each piece.   same : by the indices of two pieces, the pairs of their objects that are one.
    """
    offsets = np.cumsum([0, *counts])
    pairs = [np.add(found, [offsets[a], offsets[b]]) for (a, b), found in same.items()]
    parent = np.arange(offsets[-1] + 1)
    joined = np.concatenate([np.zeros((0, 2), np.int64), *pairs])
    join_pairs(parent, joined[:, 0], joined[:, 1])
    number, _ = numbered(parent)
    return [
        np.concatenate([np.zeros(1, np.uint32), number[o + 1 : o + 1 + n]])
        for o, n in zip(offsets, counts, strict=False)
    ]


def write_whole(
    folder: Path, shape: Triple, pieces: Sequence[Piece], numbers: Sequence[NDArray[np.uint32]], target: Path
) -> None:
    """Write the objects of all cores, numbered in the whole volume, as the Zarr array ``target`` (z,y,x) uint32.

    It holds one core at a time in memory.
    """
    whole = _create(target, shape, "uint32")
    for piece, number in zip(pieces, numbers, strict=True):
        whole[piece.core] = number[zarr.open_array(objects_path(folder, piece), mode="r")[piece.core_inside]]


def write_probabilities(folder: Path, shape: Triple, pieces: Sequence[Piece], target: Path) -> None:
    """Write the probabilities of all cores as the Zarr array ``target`` (z,y,x) uint8."""
    whole = _create(target, shape, "uint8")
    for piece in pieces:
        whole[piece.core] = zarr.open_array(probabilities_path(folder, piece), mode="r")[piece.core_inside]


def _create(target: Path, shape: Triple, dtype: str) -> "zarr.Array[Any]":
    return zarr.create_array(
        target, shape=shape, chunks=fitted(CHUNK, shape), dtype=dtype, fill_value=0, overwrite=True
    )
