"""How two labellings overlap: counts of pairs, and what follows from them.

Voxels and nodes alike: the rows are pairs (truth label, segment) with a count.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from axonem_eval.skeletons import sum_by


@dataclass(frozen=True)
class Overlap:
    """Counts n(i, j) of each pair that occurs, with their sums n(i) and n(j) at the same rows.

    truth_label, segment_label : (n,) indices of the label of each row.   per_truth, per_segment : sums of each label.
    """

    count: NDArray[np.float64]
    truth_label: NDArray[np.intp]
    segment_label: NDArray[np.intp]
    per_truth: NDArray[np.float64]
    per_segment: NDArray[np.float64]

    @classmethod
    def of(cls, truth: NDArray[np.generic], segment: NDArray[np.generic], count: NDArray[np.generic]) -> "Overlap":
        """From (n,) labels of either side and counts; each pair once, one row at least."""
        n_ij = count.astype(np.float64)
        _, row = np.unique(truth, return_inverse=True)
        _, column = np.unique(segment, return_inverse=True)
        return cls(
            n_ij,
            row,
            column,
            sum_by(row, n_ij, int(row.max()) + 1),
            sum_by(column, n_ij, int(column.max()) + 1),
        )

    @property
    def voi_split(self) -> float:
        """H(segment | truth) in bits."""
        return _conditional_entropy(self.count, self.per_truth[self.truth_label])

    @property
    def voi_merge(self) -> float:
        """H(truth | segment) in bits."""
        return _conditional_entropy(self.count, self.per_segment[self.segment_label])

    @property
    def rand_split(self) -> float:
        """Of the pairs within a label of the truth, the share within one segment; 1 without splits."""
        return squares(self.count) / squares(self.per_truth)

    @property
    def rand_merge(self) -> float:
        """Of the pairs within a segment, the share within one label of the truth; 1 without mergers."""
        return squares(self.count) / squares(self.per_segment)


def squares(counts: NDArray[np.float64]) -> float:
    """Sum of squares."""
    return float(np.square(counts).sum())


def _conditional_entropy(n_ij: NDArray[np.float64], n_given: NDArray[np.float64]) -> float:
    """Bits; each term is 0 or more, so a perfect match is exactly 0."""
    return float((n_ij * np.log2(n_given / n_ij)).sum() / n_ij.sum())
