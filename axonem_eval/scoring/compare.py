"""Two results on the same ground truth, side by side, with the significance of their difference."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from axonem_eval.sampling import NodeSample
from axonem_eval.scoring.analysis import LENGTH_BINS_UM, ErrorCounts, erl_lost_nm, error_counts, length_bins
from axonem_eval.scoring.bootstrap import DEFAULT_RESAMPLES, PairedBootstrap, paired_bootstrap
from axonem_eval.scoring.erl import ErlReport, score_nodes
from axonem_eval.scoring.restrict import restrict
from axonem_eval.scoring.variant import AXONEM, ScoringVariant
from axonem_eval.skeletons import SkeletonGraph


@dataclass(frozen=True)
class ComparedBin:
    """ERL (nm) of A and B on the axons of lower <= length < upper (um); upper None is without end."""

    lower_um: float
    upper_um: float | None
    axons: int
    erl_a_nm: float
    erl_b_nm: float
    gt_erl_nm: float


@dataclass(frozen=True)
class Comparison:
    """A beside B. ``axons_better`` and ``axons_worse`` count those on which A has the longer, or shorter, ERL(s)."""

    a: ErlReport
    b: ErlReport
    lost_a_nm: dict[str, float]
    lost_b_nm: dict[str, float]
    counts_a: ErrorCounts
    counts_b: ErrorCounts
    bins: list[ComparedBin]
    axons_better: int
    axons_equal: int
    axons_worse: int
    bootstrap: PairedBootstrap

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; lengths in nm. Aggregates only."""

        def side(report: ErlReport, lost: dict[str, float], counts: ErrorCounts) -> dict[str, Any]:
            return {**report.to_json(), "erl_lost_nm": lost, "error_counts": asdict(counts)}

        return {
            "a": side(self.a, self.lost_a_nm, self.counts_a),
            "b": side(self.b, self.lost_b_nm, self.counts_b),
            "length_bins": [asdict(b) for b in self.bins],
            "axons_better": self.axons_better,
            "axons_equal": self.axons_equal,
            "axons_worse": self.axons_worse,
            "paired_bootstrap": self.bootstrap.to_json(),
        }

    def lines(self, name_a: str = "A", name_b: str = "B") -> list[str]:
        """A table for people: um, and A minus B."""
        width = max(12, len(name_a), len(name_b))
        rows = [("", name_a, name_b, "difference")]
        rows += [_um("ERL", self.a.erl_nm, self.b.erl_nm)]
        rows += [_percent("of the ceiling", self.a.normalized_erl, self.b.normalized_erl)]
        for name, words in (("omitted", "omissions"), ("split", "splits"), ("merged", "mergers")):
            rows += [_um(f"ERL lost to {words}", self.lost_a_nm[name], self.lost_b_nm[name])]
        for name in ("splits", "gaps", "mergers"):
            a, b = getattr(self.counts_a, f"{name}_per_mm"), getattr(self.counts_b, f"{name}_per_mm")
            rows += [(f"{name} per mm", f"{a:.1f}", f"{b:.1f}", f"{a - b:+.1f}")]
        for bin_ in self.bins:
            rows += [_um(f"ERL, {_bin_name(bin_)}", bin_.erl_a_nm, bin_.erl_b_nm)]
        lines = [f"{label:<28}{a:>{width}}  {b:>{width}}  {d:>12}" for label, a, b, d in rows]
        return lines + self._verdict(name_a, name_b)

    def _verdict(self, name_a: str, name_b: str) -> list[str]:
        boot = self.bootstrap
        low, high = boot.interval_nm.low / 1e3, boot.interval_nm.high / 1e3
        level = f"{100 * boot.interval_nm.level:g}%"
        if boot.p_value < 1 - boot.interval_nm.level:
            ahead = name_a if boot.difference_nm > 0 else name_b
            said = f"{ahead} has the higher ERL"
        else:
            said = "the difference may be chance"
        return [
            f"axons: {self.axons_better:,} better in {name_a}, {self.axons_worse:,} better in {name_b}, "
            f"{self.axons_equal:,} equal",
            f"paired bootstrap over {boot.axons:,} axons: difference {boot.difference_nm / 1e3:+.3f} um, "
            f"{level} interval {low:+.3f} to {high:+.3f} um, p = {boot.p_value:.2g}; {said}",
        ]


def _um(label: str, a_nm: float, b_nm: float) -> tuple[str, str, str, str]:
    return label, f"{a_nm / 1e3:.3f} um", f"{b_nm / 1e3:.3f} um", f"{(a_nm - b_nm) / 1e3:+.3f} um"


def _percent(label: str, a: float, b: float) -> tuple[str, str, str, str]:
    return label, f"{100 * a:.2f}%", f"{100 * b:.2f}%", f"{100 * (a - b):+.2f}"


def _bin_name(bin_: ComparedBin) -> str:
    upper = "or more" if bin_.upper_um is None else f"to {bin_.upper_um:g}"
    return f"axons of {bin_.lower_um:g} {upper} um"


def compare_samples(
    graph: SkeletonGraph,
    a: NodeSample,
    b: NodeSample,
    *,
    tolerance_nodes: int | None = None,
    variant: ScoringVariant = AXONEM,
    edges_um: Sequence[float] = LENGTH_BINS_UM,
    resamples: int = DEFAULT_RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare two segmentations sampled at the same skeletons."""
    variant = variant.at_tolerance(tolerance_nodes)
    tolerance_nodes = variant.tolerance_nodes
    (_, a), (graph, b) = restrict(graph, a, variant), restrict(graph, b, variant)
    report_a, report_b = (score_nodes(graph, s, variant=variant) for s in (a, b))
    table_a, table_b = report_a.table, report_b.table
    assert table_a is not None
    assert table_b is not None
    in_bins = zip(
        length_bins(table_a, tolerance_nodes, edges_um), length_bins(table_b, tolerance_nodes, edges_um), strict=True
    )
    has_length = table_a.skeleton_length_nm > 0
    ahead = (table_a.skeleton_erl_nm(tolerance_nodes) - table_b.skeleton_erl_nm(tolerance_nodes))[has_length]
    rounding = 1e-9 * table_a.skeleton_length_nm[has_length]
    return Comparison(
        a=report_a,
        b=report_b,
        lost_a_nm=erl_lost_nm(table_a, tolerance_nodes),
        lost_b_nm=erl_lost_nm(table_b, tolerance_nodes),
        counts_a=error_counts(graph, a, table_a, tolerance_nodes),
        counts_b=error_counts(graph, b, table_b, tolerance_nodes),
        bins=[
            ComparedBin(x.lower_um, x.upper_um, x.axons, x.erl_nm or 0.0, y.erl_nm or 0.0, x.gt_erl_nm or 0.0)
            for x, y in in_bins
            if x.axons
        ],
        axons_better=int((ahead > rounding).sum()),
        axons_equal=int((np.abs(ahead) <= rounding).sum()),
        axons_worse=int((ahead < -rounding).sum()),
        bootstrap=paired_bootstrap([(table_a, table_b)], tolerance_nodes, resamples=resamples, seed=seed),
    )
