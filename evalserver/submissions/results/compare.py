"""What the comparison page shows of two results: rows with differences, and both curves in one plot."""

from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString

from evalserver.benchmarks.disclosure_rule import Disclosure
from evalserver.submissions.models import Comparison, Evaluation
from evalserver.submissions.results import compare_plots as plots
from evalserver.submissions.results.disclosure import (
    DENSE,
    OVER_NODES,
    WITHHELD,
    rule_of,
    shown_comparison,
    shown_report,
)
from evalserver.submissions.results.selectors import Result


@dataclass(frozen=True)
class Figure:
    """One row of the table. better : a, b or nothing where they are equal; unit : um, percent, per mm or nothing.

    digits : decimals with which values are written.
    keeps_back : whether a value is None because it is not told of hidden ground truth.
    """

    label: str
    a: float | None
    b: float | None
    unit: str
    higher_is_better: bool
    digits: int
    keeps_back: bool = False

    @property
    def difference(self) -> float | None:
        # Without the binary noise of two rounded numbers.
        return None if self.a is None or self.b is None else round(self.a - self.b, 9)

    @property
    def better(self) -> str:
        if not self.difference:
            return ""
        return "a" if (self.difference > 0) == self.higher_is_better else "b"


@dataclass(frozen=True)
class VolumePair:
    """One volume in both results. withheld : why there are no figures; empty where there are."""

    name: str
    slug: str
    a: Evaluation
    b: Evaluation
    withheld: str
    figures: list[Figure]
    tolerance_plot: SafeString | str
    bins_plot: SafeString | str
    survival_plot: SafeString | str

    @property
    def keeps_back(self) -> bool:
        return any(figure.keeps_back for figure in self.figures)


def volume_pairs(a: Result | None, b: Result | None) -> list[VolumePair]:
    """The volumes that both results have, in the order of the benchmark."""
    if a is None or b is None:
        return []
    of_b = {e.volume_file.volume_id: e for e in b.evaluations}
    return [_pair(e, of_b[e.volume_file.volume_id]) for e in a.evaluations if e.volume_file.volume_id in of_b]


def _pair(a: Evaluation, b: Evaluation) -> VolumePair:
    volume = a.volume_file.volume
    left, right = shown_report(a) or {}, shown_report(b) or {}
    detailed = "tolerance_curve" in left and "tolerance_curve" in right
    return VolumePair(
        name=volume.name,
        slug=volume.slug,
        a=a,
        b=b,
        withheld="" if left and right else WITHHELD,
        figures=_figures(left, right, rule_of(a)) if left and right else [],
        tolerance_plot=plots.tolerance(left, right) if detailed else "",
        bins_plot=plots.bins(left, right) if detailed else "",
        survival_plot=plots.survival(left, right) if detailed else "",
    )


# label, path in the report, unit, factor, whether more is better
ROWS = (
    ("ERL", ("erl_nm",), "um", 1e-3, True),
    ("Share of the ground truth’s ERL", ("normalized_erl",), "percent", 100.0, True),
    ("ERL lost to omissions", ("erl_lost_nm", "omitted"), "um", 1e-3, False),
    ("ERL lost to splits", ("erl_lost_nm", "split"), "um", 1e-3, False),
    ("ERL lost to mergers", ("erl_lost_nm", "merged"), "um", 1e-3, False),
    ("Omissions per mm", ("error_counts", "gaps_per_mm"), "per mm", 1.0, False),
    ("Splits per mm", ("error_counts", "splits_per_mm"), "per mm", 1.0, False),
    ("Mergers per mm", ("error_counts", "mergers_per_mm"), "per mm", 1.0, False),
    ("ARAND", ("dense", "arand"), "", 1.0, False),
    ("VOI split (bits)", ("dense", "voi_split"), "", 1.0, False),
    ("VOI merge (bits)", ("dense", "voi_merge"), "", 1.0, False),
    ("CREMI score", ("dense", "cremi_score"), "", 1.0, False),
    ("Rand split over the nodes", ("over_nodes", "rand_split"), "", 1.0, True),
    ("Rand merge over the nodes", ("over_nodes", "rand_merge"), "", 1.0, True),
    ("VOI split over the nodes (bits)", ("over_nodes", "voi_split"), "", 1.0, False),
    ("VOI merge over the nodes (bits)", ("over_nodes", "voi_merge"), "", 1.0, False),
    ("Nodes on background", ("over_nodes", "nodes_on_background_share"), "percent", 100.0, False),
    ("Half of the cable on runs of at least", ("half_cable_run_nm", "segmentation"), "um", 1e-3, True),
)


# The names of figures in axonem_eval.scoring.FIGURES, by their paths.
NAMES = {("dense", key): name for key, name in DENSE.items()} | {
    ("over_nodes", key): name for key, name in OVER_NODES.items()
}
# Decimals of values in each unit; of figures over voxels and nodes the disclosure decides.
DIGITS = {"um": 2, "percent": 1, "per mm": 1}
# Rates per mm from here on have no decimals.
WHOLE_RATE = 100


def _figures(a: dict[str, Any], b: dict[str, Any], rule: Disclosure) -> list[Figure]:
    figures = []
    for label, path, unit, factor, higher in ROWS:
        values = [_at(report, path) for report in (a, b)]
        if any(value is not None for value in values):
            scaled = [None if value is None else value * factor for value in values]
            digits = rule.digits(NAMES[path]) if path in NAMES else DIGITS[unit]
            if unit == "per mm" and max(value or 0 for value in scaled) >= WHOLE_RATE:
                digits = 0
            keeps_back = any(_keeps_back(report, path) for report in (a, b))
            figures.append(Figure(label, scaled[0], scaled[1], unit, higher, digits, keeps_back))
    return figures


def _keeps_back(report: dict[str, Any], path: tuple[str, ...]) -> bool:
    """Whether a report of hidden ground truth names a figure without telling it."""
    *parents, name = path
    for key in parents:
        report = report.get(key) or {}
    return name in report and report[name] is None


def _at(report: dict[str, Any], path: tuple[str, ...]) -> float | None:
    value: Any = report
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return None if value is None else float(value)


@dataclass(frozen=True)
class PairedResult:
    """The stored bootstrap as its readers may see it."""

    mean: dict[str, Any]
    volumes: list[dict[str, Any]]

    @classmethod
    def of(cls, comparison: Comparison, pairs: list[VolumePair]) -> "PairedResult | None":
        result = shown_comparison(comparison, [(pair.a, pair.b) for pair in pairs])
        if result is None:
            return None
        names = {pair.slug: pair.name for pair in pairs}
        volumes = [{**volume, "name": names.get(volume["volume"], "")} for volume in result["volumes"]]
        return cls(mean=result["mean"], volumes=volumes)

    @property
    def is_significant(self) -> bool:
        return bool(self.mean["significant"])

    @property
    def a_is_ahead(self) -> bool:
        return bool(self.mean["difference_nm"] > 0)
