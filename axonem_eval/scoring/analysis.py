"""What people ask of a score beyond the headline, from the table of runs and the graph; no voxel is read again.

Every figure is derived, with a small example, in docs/metric.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.sampling import NodeSample
from axonem_eval.scoring.erl import RunTable
from axonem_eval.scoring.omissions import find_omissions, split_edges
from axonem_eval.skeletons import SkeletonGraph, sum_by

TOLERANCES = (1.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, math.inf)
LENGTH_BINS_UM = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, math.inf)
SURVIVAL_POINTS = 101


def finite(value: float) -> float | None:
    """None for infinity, which JSON does not know."""
    return value if math.isfinite(value) else None


@dataclass(frozen=True)
class TolerancePoint:
    """ERL at one tolerance; ``tolerance_nodes`` None is infinite: no two axons make a merger, nor does the mask."""

    tolerance_nodes: float | None
    tolerance_um: float | None
    erl_nm: float
    normalized_erl: float
    mergers: int


def tolerance_curve(
    table: RunTable, mean_node_spacing_nm: float, tolerances: Sequence[float] = TOLERANCES
) -> list[TolerancePoint]:
    """ERL at several merge tolerances; it never falls as the tolerance grows."""
    return [
        TolerancePoint(
            tolerance_nodes=finite(float(t)),
            tolerance_um=finite(t * mean_node_spacing_nm / 1000.0),
            erl_nm=table.erl_nm(t),
            normalized_erl=table.erl_nm(t) / table.gt_erl_nm,
            mergers=len(np.unique(table.segment[table.is_merger(t)])),
        )
        for t in tolerances
    ]


@dataclass(frozen=True)
class LengthBin:
    """Axons of lower <= length < upper (um; upper None is without end); ERL None where the bin is empty.

    ``gt_cable_nm`` is the cable of the bin's axons; ``run_cable_nm`` the cable in runs of that length, whatever axon
    they lie on.
    """

    lower_um: float
    upper_um: float | None
    axons: int
    gt_cable_nm: float
    run_cable_nm: float
    erl_nm: float | None
    gt_erl_nm: float | None
    normalized_erl: float | None


def length_bins(table: RunTable, tolerance_nodes: float, edges_um: Sequence[float] = LENGTH_BINS_UM) -> list[LengthBin]:
    """ERL of the axons of each length class; weighted by the classes' cable these add up to the ERL."""
    edges_nm = np.asarray(edges_um) * 1000.0
    n_bins = len(edges_um) - 1
    length = table.skeleton_length_nm
    has = length > 0
    bin_of = np.searchsorted(edges_nm, length[has], side="right") - 1
    squares = (length * table.skeleton_erl_nm(tolerance_nodes))[has]
    axons = np.bincount(bin_of, minlength=n_bins)
    cable = sum_by(bin_of, length[has], n_bins)
    summed = sum_by(bin_of, squares, n_bins)
    ceiling = sum_by(bin_of, length[has] ** 2, n_bins)
    run = table.run_nm[~table.is_merger(tolerance_nodes) & (table.run_nm > 0)]
    run_cable = sum_by(np.searchsorted(edges_nm, run, side="right") - 1, run, n_bins)
    return [
        LengthBin(
            lower_um=float(edges_um[i]),
            upper_um=finite(float(edges_um[i + 1])),
            axons=int(axons[i]),
            gt_cable_nm=float(cable[i]),
            run_cable_nm=float(run_cable[i]),
            erl_nm=float(summed[i] / cable[i]) if axons[i] else None,
            gt_erl_nm=float(ceiling[i] / cable[i]) if axons[i] else None,
            normalized_erl=float(summed[i] / ceiling[i]) if axons[i] else None,
        )
        for i in range(n_bins)
    ]


@dataclass(frozen=True)
class RunSurvival:
    """Share of the cable that lies on a run of at least ``length_nm``; the area below the curve is the ERL.

    length_nm, ground_truth, segmentation : equally long; ``axons`` counts the axons of at least that length.
    """

    length_nm: list[float]
    ground_truth: list[float]
    segmentation: list[float]
    axons: list[int]


def run_survival(table: RunTable, tolerance_nodes: float, points: int = SURVIVAL_POINTS) -> RunSurvival:
    """The distribution of run lengths by cable, at lengths from 0 to the longest axon, equally spaced."""
    length = table.skeleton_length_nm[table.skeleton_length_nm > 0]
    run = table.run_nm[~table.is_merger(tolerance_nodes)]
    at = np.linspace(0.0, float(length.max()), points)
    return RunSurvival(
        length_nm=at.tolist(),
        ground_truth=_share_at_least(length, at, table.total_nm),
        segmentation=_share_at_least(run, at, table.total_nm),
        axons=(len(length) - np.searchsorted(np.sort(length), at, side="left")).tolist(),
    )


def _share_at_least(run_nm: NDArray[np.float64], at_nm: NDArray[np.float64], total_nm: float) -> list[float]:
    in_order = np.sort(run_nm)
    above = np.concatenate([[0.0], np.cumsum(in_order[::-1])])[::-1]
    share: list[float] = (above[np.searchsorted(in_order, at_nm, side="left")] / total_nm).tolist()
    return share


def half_cable_run_nm(table: RunTable, tolerance_nodes: float) -> dict[str, float]:
    """Half of the cable lies on runs of at least this length; 0 where less than half is correct at all."""
    length = table.skeleton_length_nm
    run = table.run_nm[~table.is_merger(tolerance_nodes)]
    return {
        "ground_truth": _half_of(length, table.total_nm),
        "segmentation": _half_of(run, table.total_nm),
    }


def _half_of(run_nm: NDArray[np.float64], total_nm: float) -> float:
    longest_first = np.sort(run_nm)[::-1]
    reached = np.searchsorted(np.cumsum(longest_first), total_nm / 2 * (1 - 1e-12))
    return float(longest_first[reached]) if reached < len(longest_first) else 0.0


def erl_lost_nm(table: RunTable, tolerance_nodes: float) -> dict[str, float]:
    """From the ceiling to the score: what omissions, splits and mergers take, in that order.

    omitted : were each axon one run of all that is not omitted.   split : that, cut into its runs.
    merged : those runs without the mergers'.   The three add up to GT ERL - ERL.
    """
    length = table.skeleton_length_nm
    kept = length - table.omitted_nm
    without_omitted = float(np.square(kept).sum()) / table.total_nm
    without_split = table.erl_nm(math.inf)
    return {
        "omitted": table.gt_erl_nm - without_omitted,
        "split": without_omitted - without_split,
        "merged": without_split - table.erl_nm(tolerance_nodes),
    }


@dataclass(frozen=True)
class AxonTable:
    """One row for each skeleton that has length; lengths in nm, (n,) arrays.

    The four class lengths add up to ``length_nm``. ``splits`` counts edges between two segments, ``gaps`` stretches
    of background, ``segments`` the segments with a node on the axon, ``mergers`` those of them that are mergers.
    ``lost_nm`` is what the axon takes from the volume's ERL: (L^2 - sum of squared runs) / total cable.
    """

    skeleton_id: NDArray[np.uint64]
    nodes: NDArray[np.int64]
    length_nm: NDArray[np.float64]
    erl_nm: NDArray[np.float64]
    lost_nm: NDArray[np.float64]
    longest_run_nm: NDArray[np.float64]
    correct_nm: NDArray[np.float64]
    omitted_nm: NDArray[np.float64]
    split_nm: NDArray[np.float64]
    merged_nm: NDArray[np.float64]
    splits: NDArray[np.int64]
    gaps: NDArray[np.int64]
    segments: NDArray[np.int64]
    mergers: NDArray[np.int64]

    def columns(self) -> dict[str, NDArray[Any]]:
        """For a table or a file."""
        return {**self.__dict__}

    def worst(self, n: int) -> NDArray[np.intp]:
        """Rows of the n axons that take most from the ERL, worst first."""
        return np.argsort(-self.lost_nm, kind="stable")[:n]


def axon_table(graph: SkeletonGraph, sample: NodeSample, table: RunTable, tolerance_nodes: float) -> AxonTable:
    """What became of each axon; only for public ground truth."""
    n = graph.n_skeletons
    merger = table.is_merger(tolerance_nodes)
    foreground = table.segment != 0
    run = np.where(merger, 0.0, table.run_nm)
    longest = np.zeros(n)
    np.maximum.at(longest, table.skeleton, run)
    erl = table.skeleton_erl_nm(tolerance_nodes)
    length = table.skeleton_length_nm
    keep = np.flatnonzero(length > 0)
    columns: dict[str, NDArray[Any]] = {
        "skeleton_id": graph.skeleton_id,
        "nodes": np.bincount(graph.node_skeleton, minlength=n),
        "length_nm": length,
        "erl_nm": erl,
        "lost_nm": length * (length - erl) / table.total_nm,
        "longest_run_nm": longest,
        "correct_nm": sum_by(table.skeleton, run, n),
        "omitted_nm": table.omitted_nm,
        "split_nm": table.split_nm,
        "merged_nm": sum_by(table.skeleton, np.where(merger, table.run_nm, 0.0), n),
        "splits": np.bincount(graph.edge_skeleton[split_edges(graph, sample.node_segment)], minlength=n),
        "gaps": np.bincount(find_omissions(graph, sample.node_segment).skeleton, minlength=n),
        "segments": np.bincount(table.skeleton[foreground], minlength=n),
        "mergers": np.bincount(table.skeleton[merger], minlength=n),
    }
    return AxonTable(**{name: column[keep] for name, column in columns.items()})


@dataclass(frozen=True)
class ErrorCounts:
    """How many errors, in all and per mm of ground-truth cable.

    splits : edges whose ends lie in two segments.   gaps : connected stretches of background.
    mergers : segments that are mergers.   merge_joins : cuts that would undo them: one less than the skeletons of
    each merger in which it has T nodes or more, plus one where the mask alone makes it a merger.
    """

    splits: int
    gaps: int
    mergers: int
    merge_joins: int
    splits_per_mm: float
    gaps_per_mm: float
    mergers_per_mm: float
    merge_joins_per_mm: float


def error_counts(graph: SkeletonGraph, sample: NodeSample, table: RunTable, tolerance_nodes: float) -> ErrorCounts:
    """Numbers of splits, gaps and mergers."""
    cable_mm = table.total_nm / 1e6
    merger = table.is_merger(tolerance_nodes)
    merging, of_row = np.unique(table.segment[merger], return_inverse=True)
    parts = np.bincount(of_row[table.is_counted(tolerance_nodes)[merger]], minlength=len(merging))
    splits = len(split_edges(graph, sample.node_segment))
    gaps = len(find_omissions(graph, sample.node_segment).skeleton)
    joins = int(np.where(parts > 1, parts - 1, 1).sum())
    return ErrorCounts(
        splits=splits,
        gaps=gaps,
        mergers=len(merging),
        merge_joins=joins,
        splits_per_mm=splits / cable_mm,
        gaps_per_mm=gaps / cable_mm,
        mergers_per_mm=len(merging) / cable_mm,
        merge_joins_per_mm=joins / cable_mm,
    )
