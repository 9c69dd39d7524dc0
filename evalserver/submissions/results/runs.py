"""Entries of several runs: means over the runs and their 95% interval."""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# 97.5% quantile of Student's t distribution for 1, 2, 3, ... degrees of freedom.
T_975 = (
    *(12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157, 2.228139),
    *(2.200985, 2.178813, 2.160369, 2.144787, 2.131450, 2.119905, 2.109816, 2.100922, 2.093024, 2.085963),
    *(2.079614, 2.073873, 2.068658, 2.063899, 2.059539, 2.055529, 2.051831, 2.048407, 2.045230, 2.042272),
)
NORMAL_975 = 1.959963985


def t_975(degrees: int) -> float:
    """97.5% quantile of Student's t distribution, to 1e-4.

    Above 30 degrees of freedom by the expansion of Abramowitz and Stegun, 26.7.5, to the second term.
    """
    if degrees <= len(T_975):
        return T_975[degrees - 1]
    z = NORMAL_975
    return z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)


def half_interval(values: Floats) -> float | None:
    """Half of the 95% interval of a mean over runs: t(0.975, n - 1) * s / sqrt(n), s with n - 1 in its denominator.

    values : (n,), one for each run. None for fewer than two.
    """
    n = len(values)
    return float(t_975(n - 1) * np.std(values, ddof=1) / sqrt(n)) if n > 1 else None


class Runs:
    """Which rows are runs of one entry. Made of entry ids; an entry stands where its first row stands."""

    def __init__(self, entry: Ints) -> None:
        """entry : (n,) for each row the id of the entry that it is a run of."""
        _, first, inverse = np.unique(entry, return_index=True, return_inverse=True)
        order = np.argsort(first, kind="stable")
        place = np.empty(len(first), np.int64)
        place[order] = np.arange(len(first))
        # (m,) row that stands for each entry;  (n,) entry of each row;  (m,) runs of each entry.
        self.first: Ints = first[order]
        self._of_row: Ints = place[inverse.reshape(-1)]
        self.count: Ints = np.bincount(self._of_row, minlength=len(first)).astype(np.int64)

    def mean(self, values: Floats) -> Floats:
        """(m, ...) means over the runs of values (n, ...); NaN where a run has none."""
        if len(self.first) == len(values):
            return values
        total = np.zeros((len(self.first), *values.shape[1:]))
        np.add.at(total, self._of_row, values)
        mean: Floats = total / self.count.reshape(-1, *[1] * (values.ndim - 1))
        return np.where(self.count.reshape(mean.shape[0], *[1] * (mean.ndim - 1)) > 1, mean, values[self.first])

    def half_interval(self, values: Floats) -> Floats:
        """(m,) ``half_interval`` of the values (n,) of each entry's runs; NaN for a single run."""
        half = np.full(len(self.first), np.nan)
        for entry in np.flatnonzero(self.count > 1).tolist():
            half[entry] = half_interval(values[self._of_row == entry])
        return half
