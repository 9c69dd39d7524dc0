"""The paired bootstrap of a board that ranks by voxels, as its readers may see it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from axonem_eval.scoring import DEFAULT_LEVEL, HeadlineRule
from evalserver.benchmarks.disclosure_rule import WRITTEN, Disclosure, step_at_least, to_step
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
    def digits(self) -> int:
        """Decimals with which numbers are written."""
        return WRITTEN if self.rule.digits is None else self.rule.digits

    @property
    def significant(self) -> bool:
        return self.p_value <= 1 - DEFAULT_LEVEL + 1e-9 and bool(self.difference)

    @property
    def a_is_ahead(self) -> bool:
        return (self.difference < 0) == self.rule.lower_is_better


def dense_verdict(comparison: Comparison, a: Result, b: Result) -> DenseVerdict | None:
    """None where none was computed, or where a figure is not shown.

    On hidden ground truth the difference is that of the two numbers shown, its interval is rounded to what a step of
    the figures makes of the number that ranks, and the p-value is told as a class.
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
        step = max(_step_of_headline(rule, result, rules) for result in (a, b))
        p_value = next((limit for limit in P_CLASSES if row["p_value"] < limit), 1.0) if difference else 1.0
        words = f"p < {p_value:g}" if p_value < 1 else f"p not below {P_CLASSES[-1]:g}"
        labels = float(f"{labels:.2g}")
    low, high = (to_step(float(row[name]), step) for name in ("difference_low", "difference_high"))
    return DenseVerdict(rule, difference, low, high, row["level"], p_value, words, labels, row["resamples"])


def _step_of_headline(rule: HeadlineRule, result: Result, rules: Sequence[Disclosure]) -> float:
    """How far the number that ranks moves, at the figures shown, when its figures move by their steps on each volume.

    The largest of one figure alone and all together, both ways: an expression may scale a figure, or make much of a
    small one.
    """
    slugs = [evaluation.volume_file.volume.slug for evaluation in result.evaluations]
    names = sorted(rule.expression.names)
    shown = {name: np.array([volume.score.figures.get(name, 0.0) for volume in result.volumes]) for name in names}
    steps = {name: np.array([told.figure_step(name) for told in rules]) for name in names}
    here = rule.expression.of(shown, slugs)
    moves = [0.0]
    for moved in (*([name] for name in names), names):
        for way in (-1, 1):
            there = {**shown, **{name: np.maximum(shown[name] + way * steps[name], 0.0) for name in moved}}
            moves.append(abs(float(rule.expression.of(there, slugs) - here)))
    return step_at_least(float(np.nanmax(moves))) or max(float(of_one.max()) for of_one in steps.values())
