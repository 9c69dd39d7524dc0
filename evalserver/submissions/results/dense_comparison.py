"""The paired bootstrap of a board that ranks by voxels, as its readers may see it."""

from dataclasses import dataclass
from typing import Any

from axonem_eval.scoring import DEFAULT_LEVEL, HeadlineRule
from evalserver.benchmarks.disclosure_rule import to_step
from evalserver.submissions.models import Comparison
from evalserver.submissions.results.disclosure import P_CLASSES, rule_of
from evalserver.submissions.results.selectors import Result


@dataclass(frozen=True)
class DenseVerdict:
    """A minus B of what ranks. p_words : `p < 0.01` where p is told as a class only; else empty."""

    rule: HeadlineRule
    difference: float
    low: float
    high: float
    level: float
    p_value: float
    p_words: str
    labels: float
    resamples: int

    @property
    def significant(self) -> bool:
        return self.p_value <= 1 - DEFAULT_LEVEL + 1e-9 and bool(self.difference)

    @property
    def a_is_ahead(self) -> bool:
        return (self.difference < 0) == self.rule.lower_is_better


def dense_verdict(comparison: Comparison, a: Result, b: Result) -> DenseVerdict | None:
    """None where none was computed, or where a figure is not shown.

    On hidden ground truth the difference is that of the two numbers shown, its interval is rounded to the coarsest step
    of the figures, and the p-value is told as a class.
    """
    row: dict[str, Any] | None = (comparison.result or {}).get("headline")
    if row is None or a.headline.ranked is None or b.headline.ranked is None:
        return None
    rules = [rule_of(evaluation) for evaluation in a.evaluations]
    rule = a.headline.rule
    difference, p_value, words, step = row["difference"], row["p_value"], "", 0.0
    labels = float(row["labels"])
    if not all(told.is_exact for told in rules):
        difference = round(a.headline.ranked - b.headline.ranked, 6)
        step = max(told.figure_step(name) for told in rules for name in rule.expression.names)
        p_value = next((limit for limit in P_CLASSES if row["p_value"] < limit), 1.0) if difference else 1.0
        words = f"p < {p_value:g}" if p_value < 1 else f"p not below {P_CLASSES[-1]:g}"
        labels = float(f"{labels:.2g}")
    low, high = (to_step(float(row[name]), step) for name in ("difference_low", "difference_high"))
    return DenseVerdict(rule, difference, low, high, row["level"], p_value, words, labels, row["resamples"])
