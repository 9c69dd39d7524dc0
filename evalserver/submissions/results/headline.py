"""The number that ranks, and the means beside it, as their readers may see them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from axonem_eval.scoring import CREMI_SCORE, FIGURES, HeadlineRule, variant_named
from evalserver.benchmarks.disclosure_rule import DECIMALS, TOLD_OF_HIDDEN, WRITTEN, Disclosure, to_step
from evalserver.benchmarks.models import Benchmark
from evalserver.submissions.models import Evaluation, Score
from evalserver.submissions.results.disclosure import interval_step_nm, rule_of, shown_score


@dataclass(frozen=True)
class Headline:
    """Means over the volumes; a volume whose figures are withheld counts as 0. low, high : None where unknown.

    The ERLs are None where a volume has no skeletons.
    rule : what ranks.   ranked : its value, in its unit; None where it may not be shown.
    keeps_back : whether the figures of some volume are withheld, and so the interval is.
    """

    rule: HeadlineRule
    ranked: float | None
    mean_erl_nm: float | None
    mean_normalized_erl: float | None
    erl_low_nm: float | None
    erl_high_nm: float | None
    keeps_back: bool = False

    @property
    def value_in_words(self) -> str:
        """`18.50 µm`, `86.4%`, `0.1234`."""
        return value_in_words(self.rule, self.ranked)

    @property
    def is_plain_number(self) -> bool:
        return has_points(self.rule)

    @property
    def in_words(self) -> str:
        """`ERL 18.50 µm`, `CREMI score 0.1234`."""
        if self.rule.name == "normalized_erl" and self.ranked is not None:
            return f"ERL {self.value_in_words} of GT"
        return f"{self.rule.label} {self.value_in_words}"


def value_in_words(rule: HeadlineRule, value: float | None) -> str:
    """A number that ranks, in its unit."""
    if value is None:
        return "–"
    return number_in_words(rule, value) + {"nm": " µm", "share": "%"}.get(rule.unit, "")


def number_in_words(rule: HeadlineRule, value: float) -> str:
    """The same without its unit: um, percent, or a plain number."""
    if rule.unit == "nm":
        return f"{value / 1000:,.2f}"
    digits = WRITTEN if rule.digits is None else rule.digits
    return f"{100 * value:.1f}" if rule.unit == "share" else f"{value:.{digits}f}"


def figure_in_words(name: str, value: float, digits: int) -> str:
    """A figure by its name in axonem_eval.scoring.FIGURES, a length in um; without its unit, but a share in percent.

    digits : decimals, not of lengths.
    """
    if FIGURES[name].unit == "nm":
        return f"{value / 1000:,.2f}"
    return f"{100 * value if FIGURES[name].unit == 'share' else value:.{digits}f}"


def exact_in_words(score: Score, benchmark: Benchmark) -> str:
    """The stored number that ranks, with its name; for organisers alone."""
    rule = benchmark.variant.headline
    return f"{rule.label} {value_in_words(rule, score.mean_erl_nm if score.headline is None else score.headline)}"


def has_points(rule: HeadlineRule) -> bool:
    """Whether what ranks is a plain number, and no ERL."""
    return rule.unit not in ("nm", "share")


def decimals_of(rule: HeadlineRule) -> int:
    """Decimals of what ranks, in its unit. rule : as `shown_rule` gives it."""
    return DECIMALS if rule.digits is None else rule.digits


def shown_rule(rule: HeadlineRule, told: Iterable[Disclosure]) -> HeadlineRule:
    """The rule, rounded to as many digits as hidden ground truth leaves of the figure that ranks.

    Not of another expression than a single figure or the CREMI score: it may be of any size.
    """
    figure = CREMI_SCORE.name if rule.expression == CREMI_SCORE.expression else rule.expression.text
    digits = [rules.digits(figure) for rules in told if not rules.is_exact and figure in FIGURES]
    return replace(rule, digits=max(digits)) if digits and has_points(rule) else rule


def headline(score: Score, evaluations: Sequence[Evaluation]) -> Headline:
    """Of the figures shown of each volume, so that it tells nothing beyond them; exact where all is public.

    evaluations : one at least, of all volumes.
    """
    rules = [rule_of(evaluation) for evaluation in evaluations]
    variant_rule = shown_rule(headline_rule(evaluations[0]), rules)
    if all(rule.is_exact for rule in rules):
        ranked = score.mean_erl_nm if score.headline is None else score.headline
        means = score.mean_erl_nm, score.mean_normalized_erl
        return Headline(variant_rule, ranked, *means, score.erl_low_nm, score.erl_high_nm)
    shown = [shown_score(evaluation) for evaluation in evaluations]
    step = interval_step_nm(rules)
    is_whole = not any(s.withheld for s in shown)
    low, high = (
        None if value is None or not is_whole else to_step(value, step)
        for value in (score.erl_low_nm, score.erl_high_nm)
    )
    names = {name for s in shown for name in s.figures} | (variant_rule.expression.names & TOLD_OF_HIDDEN)
    figures = {name: np.array([s.figures.get(name, np.nan) for s in shown]) for name in names}
    has_erl = score.mean_erl_nm is not None
    erl, share = (
        float(mean_of_shown(figures[name])) if name in figures else 0.0 for name in ("erl_nm", "normalized_erl")
    )
    slugs = [evaluation.volume_file.volume.slug for evaluation in evaluations]
    ranked = float(ranked_of_shown(variant_rule, figures, slugs))
    known = None if np.isnan(ranked) else ranked
    return Headline(variant_rule, known, erl if has_erl else None, share if has_erl else None, low, high, not is_whole)


def headline_rule(evaluation: Evaluation) -> HeadlineRule:
    """What ranks by the rule that an evaluation was made with."""
    benchmark = evaluation.volume_file.volume.benchmark
    if evaluation.scoring_variant == benchmark.scoring_variant:
        return benchmark.variant.headline
    return variant_named(evaluation.scoring_variant).headline


def ranked_of_shown(
    rule: HeadlineRule, figures: Mapping[str, NDArray[np.float64]], volume_slugs: Sequence[str]
) -> NDArray[np.float64]:
    """(...) what ranks, of the figures (..., n_volumes) as they are shown; NaN where one has no step.

    rule : as `shown_rule` gives it.

    What is withheld (NaN) counts as 0, where a higher value is better.
    """
    held = {name: values if rule.lower_is_better else np.nan_to_num(values) for name, values in figures.items()}
    if not rule.expression.names <= figures.keys():
        return np.full(next(iter(figures.values())).shape[:-1], np.nan)
    return rule.expression.of(held, volume_slugs).round(decimals_of(rule))


def mean_of_shown(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over volumes, the last axis; what is withheld (NaN) counts as 0."""
    mean: NDArray[np.float64] = np.nan_to_num(values).mean(axis=-1)
    return mean.round(DECIMALS)
