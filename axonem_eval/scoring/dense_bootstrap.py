"""Paired bootstrap of what ranks by voxels: labels of the dense ground truth are drawn, as axons are for the ERL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.scoring.bootstrap import DEFAULT_LEVEL, DEFAULT_RESAMPLES, Interval, resampled_sums
from axonem_eval.scoring.dense import OverlapTable
from axonem_eval.scoring.overlap import Overlap
from axonem_eval.scoring.variant import HeadlineRule
from axonem_eval.skeletons import sum_by

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DenseBootstrap:
    """A minus B of a headline. p_value : two-sided, of no difference.   labels : of the ground truth, over volumes."""

    difference: float
    interval: Interval
    p_value: float
    labels: int
    resamples: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "difference": self.difference,
            "difference_low": self.interval.low,
            "difference_high": self.interval.high,
            "level": self.interval.level,
            "p_value": self.p_value,
            "labels": self.labels,
            "resamples": self.resamples,
            "seed": self.seed,
        }


def dense_bootstrap(
    tables: Sequence[tuple[OverlapTable, OverlapTable]],
    rule: HeadlineRule,
    volumes: Sequence[str],
    *,
    resamples: int = DEFAULT_RESAMPLES,
    seed: int = 0,
) -> DenseBootstrap:
    """Both results with the same labels drawn with replacement, anew in each volume.

    tables : overlaps of A and of B with one ground truth, for each volume.   volumes : their slugs.
    The segments stay as they are: a merger costs a label the same whether its other label is drawn or not.
    """
    sides: tuple[list[dict[str, Floats]], list[dict[str, Floats]]] = ([], [])
    labels = 0
    for number, pair in enumerate(tables):
        for side, table in zip(sides, pair, strict=True):
            sums = _label_sums(table)
            # One seed for both sides, so that they draw the same labels; volumes are a step apart.
            drawn = [resampled_sums(part, resamples=resamples, seed=seed + number) for part in (sums[:4], sums[4:])]
            whole = np.array([[column.sum() for column in sums]])
            side.append(_figures(np.concatenate([whole, np.concatenate(drawn, axis=1)])))
        labels += len(sums[0])
    a, b = (
        rule.expression.of({name: np.stack([f[name] for f in side], axis=1) for name in side[0]}, volumes)
        for side in sides
    )
    difference, drawn_differences = float(a[0] - b[0]), (a - b)[1:]
    m = min(int((drawn_differences <= 0).sum()), int((drawn_differences >= 0).sum()))
    p_value = min(1.0, 2 * (1 + m) / (resamples + 1))
    return DenseBootstrap(difference, Interval.of(drawn_differences, DEFAULT_LEVEL), p_value, labels, resamples, seed)


def _label_sums(table: OverlapTable) -> list[Floats]:
    """Seven arrays (n_labels,) whose sums give every figure: see `_figures`."""
    scored = table.truth != 0
    overlap = Overlap.of(table.truth[scored], table.segment[scored], table.voxels[scored])
    n_ij, n_j = overlap.count, overlap.per_segment[overlap.segment_label]
    labelled = table.segment[scored] != 0

    def per_label(values: Floats) -> Floats:
        return sum_by(overlap.truth_label, values, len(overlap.per_truth))

    return [
        per_label(np.where(labelled, n_ij * n_ij, 0.0)),
        per_label(np.where(labelled, n_ij * n_j, 0.0)),
        overlap.per_truth**2,
        overlap.per_truth,
        per_label(n_ij * np.log2(overlap.per_truth[overlap.truth_label] / n_ij)),
        per_label(n_ij * np.log2(n_j / n_ij)),
        per_label(np.where(labelled, 0.0, n_ij)),
    ]


def _figures(sums: Floats) -> dict[str, Floats]:
    """By the names of FIGURES, of rows of sums. Without the b / N of ARAND, which shows in the eighth digit."""
    both, segments, truth, n, split, merge, background = sums.T
    arand, voi_split, voi_merge = 1 - 2 * both / (segments + truth), split / n, merge / n
    return {
        "arand": arand,
        "voi_split": voi_split,
        "voi_merge": voi_merge,
        "cremi_score": np.sqrt((voi_split + voi_merge) * np.maximum(arand, 0.0)),
        "voxels_on_background": background / n,
    }
