"""Scores, reports and comparisons as their readers may see them: exact on public ground truth, else by the one rule.

The one rule is `benchmarks/disclosure_rule.py`: its steps decide the digits. Every page, mail, download and answer of
the API takes its figures from here. Only the organisers' own site and the export command read the stored values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from django.db.models import F

from axonem_eval.scoring import DEFAULT_LEVEL, FIGURES
from evalserver.benchmarks.disclosure_rule import MIN_AXONS_SHOWN, Disclosure, step_at_least, to_step
from evalserver.submissions.evaluation.exchanged import FOLLOWS
from evalserver.submissions.models import Comparison, Evaluation

WITHHELD = "This entry labels too little of the volume to be scored here."
SURVIVAL_POINTS = 20
# A p-value of hidden volumes is told as the first of these that it is below.
P_CLASSES = (0.001, 0.01, 0.05)
LOST = ("omitted", "split", "merged")
COUNTS = ("splits", "gaps", "mergers", "merge_joins")
SETTINGS = ("schema", "tolerance_nodes", "variant", "voxel_size_nm", "no_merge_mask", "metric_version", FOLLOWS)
CONSTANTS = ("skeletons", "nodes", "mean_node_spacing_nm", "tolerance_um")
# Figures of axonem_eval.scoring.FIGURES, by their keys in a report.
OVER_NODES = {
    **{name: f"node_{name}" for name in ("rand_split", "rand_merge", "voi_split", "voi_merge")},
    "nodes_on_background_share": "nodes_on_background",
}
DENSE = {
    **{name: name for name in ("arand", "voi_split", "voi_merge", "cremi_score")},
    "background_share": "voxels_on_background",
}
AXONS = ("axons_better", "axons_equal", "axons_worse")

Report = dict[str, Any]


@dataclass(frozen=True)
class ShownScore:
    """The figures on one volume, by the names of axonem_eval.scoring.FIGURES.

    gt_erl_nm : None where there are no skeletons.   withheld : why the figures of skeletons are not shown.
    """

    figures: dict[str, float]
    gt_erl_nm: float | None
    withheld: str = ""

    @property
    def erl_nm(self) -> float | None:
        return self.figures.get("erl_nm")

    @property
    def normalized_erl(self) -> float | None:
        return self.figures.get("normalized_erl")


def rule_of(evaluation: Evaluation) -> Disclosure:
    """The rule for the volume and ground truth of an evaluation; the volume's setting of today decides."""
    return Disclosure.of(evaluation.volume_file.volume, evaluation.ground_truth)


# Lists of many results defer the reports, which are large, and have the database pick these.
LABELLED = {"total_nm": F("report__edges_nm__total"), "omitted_nm": F("report__edges_nm__omitted")}


def labelled_nm(total_nm: float | None, omitted_nm: float | None) -> float | None:
    """Cable at whose ends there are labels, of the two that LABELLED picks; None where the record does not tell."""
    return None if total_nm is None or omitted_nm is None else total_nm - omitted_nm


def _total_and_omitted_nm(evaluation: Evaluation) -> tuple[float | None, float | None]:
    if "report" in evaluation.get_deferred_fields():
        total, omitted = (getattr(evaluation, name) for name in LABELLED)
        return total, omitted
    edges = evaluation.report.get("edges_nm") or {}
    return edges.get("total"), edges.get("omitted")


def shown_score(evaluation: Evaluation) -> ShownScore:
    """The figures on one volume."""
    rule = rule_of(evaluation)
    exact = dict(evaluation.figures or {})
    gt_erl_nm = None
    if evaluation.erl_nm is not None and evaluation.gt_erl_nm is not None:
        exact |= {"erl_nm": evaluation.erl_nm, "normalized_erl": evaluation.normalized_erl}
        gt_erl_nm = rule.erl_nm(evaluation.gt_erl_nm)
    withheld = gt_erl_nm is not None and rule.labels_too_little(labelled_nm(*_total_and_omitted_nm(evaluation)))
    if withheld:
        exact = {name: value for name, value in exact.items() if FIGURES[name].needs == "dense"}
    shown = rule.figures(exact, evaluation.gt_erl_nm)
    return ShownScore(shown, gt_erl_nm, WITHHELD if withheld else "")


def interval_step_nm(rules: Sequence[Disclosure]) -> float:
    """Step of the interval of a mean: that of the coarsest volume."""
    return max(rule.erl_step_nm for rule in rules)


def shown_report(evaluation: Evaluation) -> Report | None:
    """The stored report as far as its reader may see it; None where the figures are withheld.

    Of hidden ground truth the figures are named one by one: what a later report holds beyond them is not shown by
    accident. Reports of the time before details were stored have no `schema`, and only the score's own keys.
    """
    report, rule = evaluation.report, rule_of(evaluation)
    if rule.is_exact:
        return dict(report)
    score = shown_score(evaluation)
    if score.withheld and "dense" not in evaluation.ground_truth.kinds:
        return None
    shown = {
        **{name: report[name] for name in SETTINGS if name in report},
        "public": False,
        "rounded_to": rule.steps(),
        "over_nodes": _over_nodes(score.figures),
        "dense": _dense(report.get("dense"), score.figures, rule),
    }
    if score.erl_nm is None:
        return shown
    shown |= {
        **{name: rule.about(report[name]) for name in CONSTANTS if name in report},
        "erl_nm": score.erl_nm,
        "gt_erl_nm": score.gt_erl_nm,
        "normalized_erl": score.normalized_erl,
        "mergers": rule.count(report["mergers"]),
        "edges_nm": {name: rule.length_nm(value) for name, value in report["edges_nm"].items()},
    }
    return {**shown, **_details(report, rule)} if "schema" in report else shown


def _over_nodes(figures: Mapping[str, float]) -> Report | None:
    shown = {key: figures[name] for key, name in OVER_NODES.items() if name in figures}
    return shown or None


def _dense(dense: Report | None, figures: Mapping[str, float], rule: Disclosure) -> Report | None:
    """Not precision and numbers of segments, which a few labelled voxels decide, and of which one tells."""
    if not dense:
        return None
    told = {key: figures[name] for key, name in DENSE.items() if name in figures}
    constants = {name: rule.about(int(dense[name])) for name in ("voxels", "truth_labels")}
    return {**dict.fromkeys(dense), **told, **constants}


def _details(report: Report, rule: Disclosure) -> Report:
    survival = _survival(report["run_survival"], rule)
    return {
        "erl_interval": _interval(report["erl_interval"], report["gt_erl_nm"], rule),
        "erl_lost_nm": {name: rule.erl_nm(report["erl_lost_nm"][name]) for name in LOST},
        "error_counts": _counts(report["error_counts"], rule.length_nm(report["edges_nm"]["total"]), rule),
        "tolerance_curve": [
            _tolerance_point(point, report["gt_erl_nm"], rule)
            for point in report["tolerance_curve"]
            # Below the benchmark's own tolerance fewer nodes, at 1 a single one, strike out a whole segment.
            if (point["tolerance_nodes"] or inf) >= report["tolerance_nodes"]
        ],
        "length_bins": [_length_bin(bin_, rule) for bin_ in report["length_bins"]],
        "run_survival": survival,
        "half_cable_run_nm": {
            "ground_truth": _half_cable(survival, "ground_truth"),
            "segmentation": _half_cable(survival, "segmentation"),
        },
    }


def _interval(interval: Report, gt_erl_nm: float, rule: Disclosure) -> Report:
    low, high = interval["erl_low_nm"], interval["erl_high_nm"]
    ceiling = rule.erl_nm(gt_erl_nm)
    share_step = step_at_least(rule.erl_step_nm / ceiling) if ceiling else 1.0
    return {
        **{name: interval[name] for name in ("level", "resamples", "seed")},
        "axons": rule.about(interval["axons"]),
        "erl_low_nm": rule.erl_nm(low),
        "erl_high_nm": rule.erl_nm(high),
        # Over other axons the ceiling is another one too: these are not the two above over the ceiling.
        **{name: to_step(interval[name], share_step) for name in ("normalized_erl_low", "normalized_erl_high")},
    }


def _counts(counts: Report, cable_nm: float, rule: Disclosure) -> Report:
    """A number that is rounded to 0 need not be 0: its rate is None."""
    shown = {name: rule.count(counts[name]) for name in COUNTS}
    per_mm = {f"{name}_per_mm": round(n / (cable_nm / 1e6), 3) if n and cable_nm else None for name, n in shown.items()}
    return {**shown, **per_mm}


def rounded_to_zero_from(value: float | None, report: Report) -> int | None:
    """The step below which a hidden number of errors lies that is rounded to 0, which it need not be; else None."""
    step: int | None = report.get("rounded_to", {}).get("count")
    return step if step and value == 0 else None


def count_in_words(value: int, report: Report) -> str:
    """A number of errors in a report as `shown_report` gives it: `40`, or `fewer than 20` where it is rounded to 0."""
    step = rounded_to_zero_from(value, report)
    return f"fewer than {step:,}" if step else f"{value:,}"


def _tolerance_point(point: Report, gt_erl_nm: float, rule: Disclosure) -> Report:
    return {
        "tolerance_nodes": point["tolerance_nodes"],
        "tolerance_um": rule.about(point["tolerance_um"]),
        "erl_nm": rule.erl_nm(point["erl_nm"]),
        "normalized_erl": rule.normalized(point["erl_nm"], gt_erl_nm),
        "mergers": rule.count(point["mergers"]),
    }


def _length_bin(bin_: Report, rule: Disclosure) -> Report:
    """Axons None: too few of them, or too little cable, for the class to be shown."""
    shown: Report = dict.fromkeys(bin_)
    shown |= {"lower_um": bin_["lower_um"], "upper_um": bin_["upper_um"]}
    if not bin_["axons"]:
        return {**shown, "axons": 0}
    upper_nm = bin_["upper_um"] and bin_["upper_um"] * 1000
    step = rule.bin_step_nm(bin_["axons"], bin_["gt_cable_nm"], bin_["gt_erl_nm"], upper_nm)
    if step is None:
        return shown
    erl, ceiling = to_step(bin_["erl_nm"], step), to_step(bin_["gt_erl_nm"], step)
    figures = {"erl_nm": erl, "gt_erl_nm": ceiling, "normalized_erl": round(erl / ceiling, 3) if ceiling else 0.0}
    # Not the cable in runs of that length: one node moves a run to another class, with all of its cable.
    return {**shown, **figures, "axons": rule.about(bin_["axons"]), "gt_cable_nm": rule.length_nm(bin_["gt_cable_nm"])}


def _survival(survival: dict[str, list[Any]], rule: Disclosure) -> dict[str, list[float]]:
    """The distribution at round lengths, as far as there are axons enough; empty where one run is too much of it."""
    step = rule.run_share_step
    reached = sum(axons >= MIN_AXONS_SHOWN for axons in survival["axons"])
    if step is None or reached < 2:
        return {"length_nm": [], "ground_truth": [], "segmentation": []}
    known = survival["length_nm"][:reached]
    at = np.arange(0.0, known[-1], step_at_least(known[-1] / SURVIVAL_POINTS))
    return {
        "length_nm": np.round(at, 6).tolist(),
        **{
            name: to_step(np.interp(at, known, survival[name][:reached]), step).tolist()
            for name in ("ground_truth", "segmentation")
        },
    }


def _half_cable(survival: dict[str, list[float]], name: str) -> float | None:
    """The longest of the lengths shown at which half of the cable is left; None where no distribution is shown."""
    if not survival["length_nm"]:
        return None
    reached = [x for x, share in zip(survival["length_nm"], survival[name], strict=True) if share >= 0.5]
    return reached[-1] if reached else 0.0


def shown_comparison(comparison: Comparison, pairs: Sequence[tuple[Evaluation, Evaluation]]) -> Report | None:
    """The stored paired bootstrap; each row has `significant` and `p_words` too. None where figures are withheld.

    On hidden ground truth a difference is that of the two figures shown, its interval is rounded as an ERL is, the
    p-value is told as a class, and axons are not counted. pairs : evaluations of A and B of each volume.
    """
    if comparison.result is None or "mean" not in comparison.result:
        return None
    rules, differences = {}, {}
    for a, b in pairs:
        slug, left, right = a.volume_file.volume.slug, shown_score(a).erl_nm, shown_score(b).erl_nm
        if left is None or right is None:
            return None
        rules[slug], differences[slug] = rule_of(a), left - right
    volumes = []
    for row in comparison.result["volumes"]:
        slug = row["volume"]
        if slug not in rules:
            continue
        is_exact, step = rules[slug].is_exact, rules[slug].erl_step_nm
        volumes.append(
            {
                "volume": slug,
                "paired_bootstrap": _paired(row["paired_bootstrap"], None if is_exact else differences[slug], step),
                **{name: row[name] if is_exact else None for name in AXONS},
            }
        )
    all_exact = all(rule.is_exact for rule in rules.values())
    difference = None if all_exact else float(np.round(np.mean(list(differences.values())), 6))
    step = interval_step_nm(list(rules.values()))
    return {"mean": _paired(comparison.result["mean"], difference, step), "volumes": volumes}


def _paired(row: Report, shown_difference_nm: float | None, step: float) -> Report:
    """shown_difference_nm : of the rounded figures; None where the ground truth is public and all is exact."""
    kept = {name: row[name] for name in ("level", "resamples")}
    if shown_difference_nm is None:
        exact = ("difference_nm", "difference_low_nm", "difference_high_nm", "p_value", "axons")
        significant = row["p_value"] < 1 - row["level"]
        return {
            **kept,
            **{name: row[name] for name in exact},
            "p_value_is_bound": False,
            "significant": significant,
            "p_words": "",
        }
    p = next((limit for limit in P_CLASSES if row["p_value"] < limit), 1.0)
    # Entries that look alike are not told apart by the sign of what is not shown.
    if not shown_difference_nm:
        p = 1.0
    return {
        **kept,
        "difference_nm": shown_difference_nm,
        "difference_low_nm": to_step(row["difference_low_nm"], step),
        "difference_high_nm": to_step(row["difference_high_nm"], step),
        "p_value": p,
        "p_value_is_bound": True,
        "p_words": f"p < {p:g}" if p < 1 else f"p not below {P_CLASSES[-1]:g}",
        "axons": int(float(f"{row['axons']:.2g}")),
        "significant": p <= 1 - DEFAULT_LEVEL + 1e-9,
    }
