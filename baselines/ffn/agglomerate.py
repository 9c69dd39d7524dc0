"""FFN agglomeration: join segments of which the network, asked at their decision point, makes one.

The scores of all decision points are kept in a table, so other thresholds need no network. Source: Januszewski et al.
2018, Methods; the thresholds are those that google/ffn's manual gives as careful ones.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.union_find import join_pairs, numbered
from baselines.common.blockwise import Box, Ledger, write_npz
from baselines.ffn.config import AgglomerateConfig
from baselines.ffn.consensus import Labels
from baselines.ffn.decision_points import DecisionPoints
from baselines.ffn.flood import Work
from baselines.ffn.model import Triple
from baselines.ffn.resegment import Comparison, Resegmenter, canvas_box, triple


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

    def accepted(self, options: AgglomerateConfig) -> NDArray[np.bool_]:
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


def smaller_voxels(points: DecisionPoints, labels: Iterable[NDArray[Any]]) -> NDArray[np.int64]:
    """(points,) voxels of the smaller of both segments. labels : the segmentation, in parts."""
    ids, voxels = np.unique(np.concatenate([points.a, points.b])), np.zeros(2 * len(points) + 1, np.int64)
    for part in labels:
        found, count = np.unique(part, return_counts=True)
        place = np.searchsorted(ids, found)
        known = place < len(ids)
        known[known] = ids[place[known]] == found[known]
        voxels[place[known]] += count[known]
    return np.minimum(voxels[np.searchsorted(ids, points.a)], voxels[np.searchsorted(ids, points.b)])


def asking(
    points: DecisionPoints,
    image: Callable[[Box], NDArray[np.float32]],
    labels: Labels,
    resegmenter: Resegmenter,
    ledger: Ledger,
) -> Iterator[Work[None]]:
    """The work of each point that the ledger does not hold yet; what comes of it is kept there, a row each.

    image : gives normalised grey values of a box.   labels : the segmentation that the points belong to.
    """
    for a, b, zyx in zip(points.a.tolist(), points.b.tolist(), points.zyx.tolist(), strict=True):
        if ledger.done(_name(a, b)) is None:
            yield _asking_one(image, labels, resegmenter, ledger, tuple(zyx), a, b)


def _asking_one(
    image: Callable[[Box], NDArray[np.float32]],
    labels: Labels,
    resegmenter: Resegmenter,
    ledger: Ledger,
    point_zyx: Triple,
    a: int,
    b: int,
) -> Work[None]:
    found = yield from comparing_at(image, labels, resegmenter, point_zyx, a, b)
    ledger.finish(_name(a, b), **asdict(found))


def comparing_at(
    image: Callable[[Box], NDArray[np.float32]],
    labels: Labels,
    resegmenter: Resegmenter,
    point_zyx: Triple,
    a: int,
    b: int,
) -> Work[Comparison]:
    """What the network says at one point. Raises ValueError where a segment is not there.

    The segment with fewer voxels in the canvas goes first, as A: it takes fewer steps, and often decides alone.
    """
    box = canvas_box(point_zyx, resegmenter.options.radius, triple(labels.shape))
    around = labels[box]
    voxels = {segment: int(np.count_nonzero(around == segment)) for segment in (a, b)}
    if not all(voxels.values()):
        raise ValueError(
            f"segments {a} and {b} have {voxels[a]} and {voxels[b]} voxels around their decision point {point_zyx} "
            "(z,y,x); the points belong to another segmentation"
        )
    z, y, x = (p - s.start for p, s in zip(point_zyx, box, strict=True))
    less, more = sorted((a, b), key=lambda segment: (voxels[segment], segment))
    found = yield from resegmenter.comparing(image(box), around, (z, y, x), less, more)
    return found


def read_scores(points: DecisionPoints, ledger: Ledger) -> ScoreTable:
    """The table of points that were all asked. Raises ValueError where one was not."""
    found = []
    for a, b in zip(points.a.tolist(), points.b.tolist(), strict=True):
        row = ledger.done(_name(a, b))
        if row is None:
            raise ValueError(f"{ledger.folder}: nothing of segments {a} and {b}; ask at their decision point first")
        found.append(Comparison(**row))
    return ScoreTable.of(points, found)


def _name(a: int, b: int) -> str:
    return f"{a}-{b}"


def merged_ids(ids: NDArray[np.uint64], a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """What each of the ids becomes when a[i] and b[i] are joined: the smallest id of its set.

    ids : sorted, without repeats; a and b are among them.
    """
    parent = np.arange(len(ids) + 1)  # of sets that are numbered, 0 is in none
    join_pairs(parent, np.searchsorted(ids, a) + 1, np.searchsorted(ids, b) + 1)
    number = numbered(parent)[0][1:]
    _, first = np.unique(number, return_index=True)
    merged: NDArray[np.uint64] = ids[first[number - 1]]
    return merged
