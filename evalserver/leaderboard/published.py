"""Results from papers, as rows beside the ranking."""

from collections.abc import Sequence

import numpy as np

from axonem_eval.scoring import Figure, HeadlineRule
from evalserver.benchmarks.disclosure_rule import WRITTEN, WRITTEN_OF_PERCENT
from evalserver.benchmarks.models import Benchmark, PublishedEntry, PublishedScore, Volume
from evalserver.leaderboard.rows import PublishedRow, VolumeScore
from evalserver.submissions.results.headline import has_points, value_in_words


def published_rows(
    benchmark: Benchmark,
    volumes: Sequence[Volume],
    printed: Sequence[PublishedScore],
    *,
    figures: Sequence[Figure],
    has_erl: bool,
) -> list[PublishedRow]:
    """Published entries, the ceiling first, then best first; those without a mean come last.

    printed : with their entries.   figures, has_erl : the columns of the table.
    """
    by_entry: dict[PublishedEntry, dict[int, PublishedScore]] = {}
    for score in printed:
        by_entry.setdefault(score.entry, {})[score.volume_id] = score
    rule, rows = benchmark.variant.headline, []
    for entry, by_volume in sorted(by_entry.items(), key=lambda item: (item[0].position, item[0].pk)):
        stored = [by_volume.get(volume.pk) for volume in volumes]
        scores = tuple(_volume_score(score, figures) for score in stored)
        if all(score.is_empty for score in scores):
            continue
        headline = _headline(rule, volumes, stored, scores)
        rows.append(
            PublishedRow(
                method=entry.method,
                source=entry.source,
                url=entry.url,
                note=entry.note,
                is_ground_truth=entry.is_ground_truth,
                mean_erl_nm=_mean([score.erl_nm for score in scores]),
                mean_normalized_erl=_mean([score.normalized_erl for score in scores]),
                scores=scores,
                headline=headline,
                words=value_in_words(rule, headline),
                has_points=has_points(rule),
                has_erl=has_erl,
            )
        )
    sign = 1.0 if rule.lower_is_better else -1.0

    def order(row: PublishedRow) -> tuple[bool, bool, float, float, float]:
        value = (row.headline is None, sign * (row.headline or 0.0))
        return (not row.is_ground_truth, *value, -(row.mean_erl_nm or 0.0), -(row.mean_normalized_erl or 0.0))

    return sorted(rows, key=order)


def _volume_score(score: PublishedScore | None, figures: Sequence[Figure]) -> VolumeScore:
    if score is None:
        return VolumeScore(None, None, tuple((figure.name, None) for figure in figures), _digits(figures))
    return VolumeScore(
        None if score.erl_um is None else round(score.erl_um * 1000, 6),
        None if score.percent is None else score.percent / 100,
        tuple((figure.name, (score.figures or {}).get(figure.name)) for figure in figures),
        _digits(figures),
    )


def _digits(figures: Sequence[Figure]) -> tuple[int, ...]:
    """As papers state them, whatever is hidden here."""
    return tuple(WRITTEN_OF_PERCENT if figure.unit == "share" else WRITTEN for figure in figures)


def _headline(
    rule: HeadlineRule,
    volumes: Sequence[Volume],
    stored: Sequence[PublishedScore | None],
    scores: Sequence[VolumeScore],
) -> float | None:
    """What would rank it, where all that it needs is printed: itself on each volume, or the figures of its sum."""
    rows = [
        {**((row.figures or {}) if row else {}), "erl_nm": score.erl_nm, "normalized_erl": score.normalized_erl}
        for row, score in zip(stored, scores, strict=True)
    ]
    if all(row.get(rule.name) is not None for row in rows):
        return _mean([row[rule.name] for row in rows])
    names = rule.expression.names
    if not all(row.get(name) is not None for row in rows for name in names):
        return None
    figures = {name: np.array([row[name] for row in rows], np.float64) for name in names}
    value = float(rule.expression.of(figures, [volume.slug for volume in volumes]))
    return None if np.isnan(value) else value


def _mean(values: Sequence[float | None]) -> float | None:
    """None where one is missing."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
