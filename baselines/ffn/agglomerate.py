"""FFN agglomeration: join segments of which the network, asked at their decision point, makes one.

The scores of all decision points are kept in a table, so other thresholds need no network. Source: Januszewski et al.
2018, Methods; the thresholds are those that google/ffn's manual gives as careful ones.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from axonem_eval.union_find import join, root
from baselines.common.blockwise import Box, Ledger, write_npz
from baselines.ffn.decision_points import DecisionPoints
from baselines.ffn.model import Triple
from baselines.ffn.resegment import Comparison, Resegmenter, canvas_box


class Volume(Protocol):
    """An array (z,y,x), or a stored one that is read box by box."""

    shape: Any

    def __getitem__(self, box: Box) -> NDArray[Any]: ...


@dataclass(frozen=True)
class MergeOptions:
    """When two segments are one. min_iou : of the two objects grown, exclusive.   min_recovery : of each segment in
    each object, exclusive.   max_deleted : voxels deleted by voxels of the object, exclusive, from A or from B."""

    min_iou: float = 0.8
    min_recovery: float = 0.6
    max_deleted: float = 0.02


@dataclass(frozen=True)
class ScoreTable:
    """Decision points and what the network said there: a row each. scores : by name of ``Comparison``'s fields."""

    points: DecisionPoints
    scores: dict[str, NDArray[Any]]

    @classmethod
    def of(cls, points: DecisionPoints, found: list[Comparison]) -> "ScoreTable":
        """Table of as many points as comparisons."""
        names = [column.name for column in fields(Comparison)]
        return cls(points, {name: np.array([getattr(row, name) for row in found]) for name in names})

    def accepted(self, options: MergeOptions) -> NDArray[np.bool_]:
        """(points,) whether the two segments are one."""
        s = self.scores
        recovered = np.minimum.reduce([s["recovered_aa"], s["recovered_ab"], s["recovered_ba"], s["recovered_bb"]])
        deleted = np.minimum(*(s[f"deleted_{x}"] / np.maximum(s[f"voxels_{x}"], 1) for x in "ab"))
        merged: NDArray[np.bool_] = (
            (s["iou"] > options.min_iou) & (recovered > options.min_recovery) & (deleted < options.max_deleted)
        )
        return merged

    def save(self, path: Path) -> None:
        """Write as .npz, one array a column."""
        points = {column.name: getattr(self.points, column.name) for column in fields(DecisionPoints)}
        write_npz(path, **points, **self.scores)

    @classmethod
    def load(cls, path: Path) -> "ScoreTable":
        """Read what ``save`` wrote."""
        with np.load(path, allow_pickle=False) as file:
            points = DecisionPoints(*(file[column.name] for column in fields(DecisionPoints)))
            return cls(points, {column.name: file[column.name] for column in fields(Comparison)})


def contact_share(points: DecisionPoints) -> NDArray[np.float64]:
    """(points,) share of a pair in all contacts of one of its segments, the larger of the two shares.

    A part that was split off mostly touches what it was split from, so this is a good order to ask in.
    """
    _, number = np.unique(np.concatenate([points.a, points.b]), return_inverse=True)
    a, b = number[: len(points)], number[len(points) :]
    total = np.bincount(np.concatenate([a, b]), weights=np.tile(points.contacts, 2))
    return points.contacts / np.minimum(total[a], total[b]) if len(points) else np.zeros(0)


def compare_points(
    points: DecisionPoints,
    image: Callable[[Box], NDArray[np.float32]],
    labels: Volume,
    resegmenter: Resegmenter,
    ledger: Ledger,
) -> Iterator[Comparison]:
    """Ask the network at each point in turn; results of points that the ledger holds are read.

    image : gives normalised grey values of a box.   labels : the segmentation that the points belong to.
    Of a pair the segment with fewer voxels in the canvas is asked first: it takes fewer steps.
    """
    for a, b, zyx in zip(points.a, points.b, points.zyx, strict=True):
        name = f"{a}-{b}"
        done = ledger.done(name)
        if done is None:
            z, y, x = (int(p) for p in zyx)
            done = asdict(compare_at(image, labels, resegmenter, (z, y, x), int(a), int(b)))
            ledger.finish(name, **done)
        yield Comparison(**done)


def compare_at(
    image: Callable[[Box], NDArray[np.float32]],
    labels: Volume,
    resegmenter: Resegmenter,
    point_zyx: Triple,
    a: int,
    b: int,
) -> Comparison:
    """What the network says at one point. Raises ValueError where a segment is not there."""
    box = canvas_box(point_zyx, resegmenter.options.radius_zyx, labels.shape)
    around = labels[box]
    voxels = {segment: int(np.count_nonzero(around == segment)) for segment in (a, b)}
    if not all(voxels.values()):
        raise ValueError(
            f"segments {a} and {b} have {voxels[a]} and {voxels[b]} voxels around their decision point {point_zyx} "
            "(z,y,x); the points belong to another segmentation"
        )
    z, y, x = (p - s.start for p, s in zip(point_zyx, box, strict=True))
    less, more = sorted((a, b), key=lambda segment: (voxels[segment], segment))
    return resegmenter.compare(image(box), around, (z, y, x), less, more)


def merged_ids(ids: NDArray[np.uint64], a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """What each of the ids becomes when a[i] and b[i] are joined: the smallest id of its set.

    ids : sorted, without repeats; a and b are among them.
    """
    parent = np.arange(len(ids))
    _join_all(parent, np.searchsorted(ids, a), np.searchsorted(ids, b))
    return ids[parent]


@njit(cache=True, nogil=True)
def _join_all(parent, a, b):  # type: ignore[no-untyped-def]
    """Join the sets of a[i] and b[i]; then each element's parent is its root."""
    for i in range(len(a)):
        one, other = root(parent, a[i]), root(parent, b[i])
        if one != other:
            join(parent, one, other)
    for i in range(len(parent)):
        parent[i] = root(parent, i)
