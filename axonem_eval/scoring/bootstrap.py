"""Bootstrap over axons: how far a score would move had other axons of the same tissue been traced.

Axons are drawn with replacement, as many as there are, and the score is computed anew. Axons, not nodes or edges:
those of one axon fail together. Draws depend on the seed and on the resample's number alone, so a result can be
repeated on any number of threads.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.processes import usable_cores
from axonem_eval.scoring.erl import RunTable

DEFAULT_RESAMPLES = 10_000
DEFAULT_LEVEL = 0.95
WIDTH = 4

Columns = NDArray[np.float64]


@numba.njit(inline="always")
def _mix(state):  # type: ignore[no-untyped-def]
    """SplitMix64's output function."""
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@numba.njit(nogil=True, cache=True)
def _sum_resamples(columns, seed, first, out):  # type: ignore[no-untyped-def]
    """Write the column sums of resamples first, first + 1, ... to the rows of ``out``."""
    n = len(columns)
    step, shift, low = np.uint64(0x9E3779B97F4A7C15), np.uint64(32), np.uint64(0xFFFFFFFF)
    n_wide = np.uint64(n)
    for row in range(len(out)):
        state = _mix(_mix(np.uint64(seed)) + step * np.uint64(first + row + 1))
        a = b = c = d = 0.0
        i = 0
        while i < n:
            # Two draws from 64 random bits each; a draw is off uniform by n / 2^32, 4e-6 at 18,000 axons.
            state += step
            bits = _mix(state)
            j = ((bits >> shift) * n_wide) >> shift
            a += columns[j, 0]
            b += columns[j, 1]
            c += columns[j, 2]
            d += columns[j, 3]
            if i + 1 < n:
                j = ((bits & low) * n_wide) >> shift
                a += columns[j, 0]
                b += columns[j, 1]
                c += columns[j, 2]
                d += columns[j, 3]
            i += 2
        out[row, 0], out[row, 1], out[row, 2], out[row, 3] = a, b, c, d


def resampled_sums(columns: Sequence[NDArray[Any]], *, resamples: int, seed: int) -> Columns:
    """Sums of each column over axons drawn with replacement.

    columns : up to four arrays (n_axons,).  Returns (resamples, n_columns) float64; memory does not grow with n_axons.
    """
    table = np.zeros((len(columns[0]), WIDTH))
    table[:, : len(columns)] = np.stack(columns, axis=1)
    out = np.empty((resamples, WIDTH))
    parts = np.array_split(np.arange(resamples), max(1, min(usable_cores(), resamples)))
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(lambda p: _sum_resamples(table, seed, p[0], out[p[0] : p[-1] + 1]) if len(p) else None, parts))
    return out[:, : len(columns)]


@dataclass(frozen=True)
class Interval:
    """Percentile interval of a bootstrap: the middle ``level`` of the resampled values."""

    low: float
    high: float
    level: float

    @classmethod
    def of(cls, values: NDArray[np.float64], level: float = DEFAULT_LEVEL) -> "Interval":
        """The central interval that holds a share ``level`` of the values."""
        low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
        return cls(float(low), float(high), level)


@dataclass(frozen=True)
class ErlInterval:
    """Intervals of one score over ``axons`` axons; ERL in nm, normalised ERL from 0 to 1."""

    erl_nm: Interval
    normalized_erl: Interval
    axons: int
    resamples: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; lengths in nm."""
        return {
            "level": self.erl_nm.level,
            "erl_low_nm": self.erl_nm.low,
            "erl_high_nm": self.erl_nm.high,
            "normalized_erl_low": self.normalized_erl.low,
            "normalized_erl_high": self.normalized_erl.high,
            "axons": self.axons,
            "resamples": self.resamples,
            "seed": self.seed,
        }


def erl_interval(
    table: RunTable,
    tolerance_nodes: float,
    *,
    level: float = DEFAULT_LEVEL,
    resamples: int = DEFAULT_RESAMPLES,
    seed: int = 0,
) -> ErlInterval:
    """Interval of the ERL and of the normalised ERL over axons.

    The second is the narrower: most of the first is that other axons would be of other lengths.
    """
    length = table.skeleton_length_nm[table.skeleton_length_nm > 0]
    columns = [_squares(table, tolerance_nodes), length, length * length]
    squares, total, ceiling = resampled_sums(columns, resamples=resamples, seed=seed).T
    return ErlInterval(
        erl_nm=Interval.of(squares / total, level),
        normalized_erl=Interval.of(squares / ceiling, level),
        axons=len(length),
        resamples=resamples,
        seed=seed,
    )


def _squares(table: RunTable, tolerance_nodes: float) -> NDArray[np.float64]:
    """Sum_k L(s,k)^2 of the skeletons that have length."""
    length = table.skeleton_length_nm
    squares = length * table.skeleton_erl_nm(tolerance_nodes)
    return squares[length > 0]


@dataclass(frozen=True)
class PairedBootstrap:
    """Two results on the same axons, A minus B; over several volumes the mean of the volumes' ERL.

    p_value : two-sided, of no difference; never below 2 / (resamples + 1).
    """

    erl_a_nm: float
    erl_b_nm: float
    gt_erl_nm: float
    difference_nm: float
    interval_nm: Interval
    p_value: float
    axons: int
    resamples: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; lengths in nm."""
        return {
            "erl_a_nm": self.erl_a_nm,
            "erl_b_nm": self.erl_b_nm,
            "gt_erl_nm": self.gt_erl_nm,
            "difference_nm": self.difference_nm,
            "difference_low_nm": self.interval_nm.low,
            "difference_high_nm": self.interval_nm.high,
            "level": self.interval_nm.level,
            "p_value": self.p_value,
            "axons": self.axons,
            "resamples": self.resamples,
            "seed": self.seed,
        }


def paired_bootstrap(
    volumes: Sequence[tuple[RunTable, RunTable]],
    tolerance_nodes: float | Sequence[float],
    *,
    level: float = DEFAULT_LEVEL,
    resamples: int = DEFAULT_RESAMPLES,
    seed: int = 0,
) -> PairedBootstrap:
    """Difference of two results: in each resample both are scored on the same drawn axons.

    volumes : (A, B) for each volume of the benchmark.  tolerance_nodes : one, or one for each volume.
    Raises InputError where A and B were not scored on the same skeletons.
    """
    n = len(volumes)
    tolerances = [tolerance_nodes] * n if isinstance(tolerance_nodes, int | float) else list(tolerance_nodes)
    differences = np.zeros(resamples)
    erl_a = erl_b = gt = 0.0
    axons = 0
    for number, ((a, b), tolerance) in enumerate(zip(volumes, tolerances, strict=True)):
        if not np.array_equal(a.skeleton_length_nm, b.skeleton_length_nm):
            raise InputError.of(
                "other_skeletons",
                "the two results were not scored on the same skeletons, so they cannot be compared axon by axon; "
                "score both against one ground truth",
            )
        length = a.skeleton_length_nm[a.skeleton_length_nm > 0]
        columns = [_squares(a, tolerance) - _squares(b, tolerance), length]
        # Each volume draws its own axons: seeds a step apart give streams that have nothing in common.
        squares, total = resampled_sums(columns, resamples=resamples, seed=seed + number).T
        differences += squares / total / n
        erl_a += a.erl_nm(tolerance) / n
        erl_b += b.erl_nm(tolerance) / n
        gt += a.gt_erl_nm / n
        axons += len(length)
    rarer = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return PairedBootstrap(
        erl_a_nm=erl_a,
        erl_b_nm=erl_b,
        gt_erl_nm=gt,
        difference_nm=erl_a - erl_b,
        interval_nm=Interval.of(differences, level),
        p_value=min(1.0, 2 * (1 + rarer) / (resamples + 1)),
        axons=axons,
        resamples=resamples,
        seed=seed,
    )
