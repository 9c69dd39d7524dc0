"""What the leaderboard shows. A page takes the same number of queries however many entries there are."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np
from django.core.paginator import Page, Paginator

from axonem_eval.scoring import FIGURES, METRIC_VERSION, Figure, HeadlineRule, ScoringVariant
from evalserver.benchmarks.disclosure_rule import GroundTruthFigures
from evalserver.benchmarks.models import Benchmark, GroundTruth, Phase, PublishedScore, Volume
from evalserver.benchmarks.selectors import current_ground_truths, ruler_of
from evalserver.leaderboard.published import published_rows
from evalserver.leaderboard.query import BoardQuery
from evalserver.leaderboard.ranking import Floats, Ranking, falling, ranking
from evalserver.leaderboard.rows import PublishedRow, Record, Row, VolumeScore
from evalserver.submissions.marks import MARK_FIELDS, Mark, marks_of
from evalserver.submissions.models import Submission
from evalserver.submissions.results.headline import has_points, number_in_words, value_in_words
from evalserver.submissions.selectors import may_read_of

PAGE_SIZE = 50
NAMED_AT_ONCE = 900
MAX_HISTORY = 40
# Of a Row, as they stand in the Ranking.
NUMBERS = ("mean_erl_nm", "mean_normalized_erl", "low_nm", "high_nm", "headline", "half_interval")


@dataclass(frozen=True)
class Column:
    """One volume of the table, with what is told of the ground truth that its scores were measured on."""

    volume: Volume
    ground_truth: GroundTruthFigures | None


@dataclass(frozen=True)
class Leaderboard:
    """One page of the ranking of a phase under one ruler.

    total : entries that this view chooses from, before any filter.   superseded : entries without a rank, shown or not.
    figures : further columns of each volume.   has_erl : whether there are columns of the ERL.
    history : entries that were the best, the last MAX_HISTORY of them.   dots : as Ranking.dots.
    """

    phase: Phase
    columns: list[Column]
    rows: list[Row]
    published: list[PublishedRow]
    page: "Page[Any]"
    total: int
    superseded: int
    metric_version: str
    variant: ScoringVariant
    ruler: str | None
    query: BoardQuery
    figures: tuple[Figure, ...] = ()
    has_erl: bool = True
    history: tuple[Record, ...] = ()
    dots: tuple[tuple[float, float], ...] = ()

    @property
    def has_points(self) -> bool:
        """Whether what ranks is no ERL and has a column of its own."""
        return has_points(self.variant.headline)

    @property
    def mean_columns(self) -> int:
        """Columns below the head "Mean"."""
        return self.has_points + 3 * self.has_erl

    @property
    def volume_columns(self) -> int:
        """Columns below the head of a volume."""
        return 2 * self.has_erl + len(self.figures)

    @property
    def ceiling_nm(self) -> float | None:
        """Mean ERL of the ground truths; None where something else ranks."""
        if self.variant.headline.name != "erl":
            return None
        values = [c.ground_truth.gt_erl_nm for c in self.columns if c.ground_truth and c.ground_truth.gt_erl_nm]
        return sum(values) / len(values) if values and len(values) == len(self.columns) else None


@dataclass(frozen=True)
class BoardState:
    """What all views of a phase's table share. ranked : None while a volume has no ground truth."""

    columns: list[Column]
    ruler: str | None
    ranked: Ranking | None
    published: list[PublishedRow]
    figures: tuple[Figure, ...]
    has_erl: bool


def board_state(benchmark: Benchmark, phase: Phase) -> BoardState:
    """The state now."""
    volumes, current, ruler, ranked = _ranked_now(phase)
    columns = [
        Column(volume, GroundTruthFigures.of(volume, current[volume.pk]) if volume.pk in current else None)
        for volume in volumes
    ]
    printed = list(PublishedScore.objects.filter(entry__benchmark=benchmark).select_related("entry").order_by("pk"))
    kinds: set[str] = set().union(*(row.kinds for row in current.values()))
    has_erl = "skeletons" in kinds or benchmark.variant.needs_skeletons or any(row.has_erl for row in printed)
    figures = _board_figures(benchmark.variant, kinds, {name for row in printed for name in row.figures or {}})
    published = published_rows(benchmark, volumes, printed, figures=figures, has_erl=has_erl)
    return BoardState(columns, ruler, ranked, published, figures, has_erl)


def _board_figures(variant: ScoringVariant, kinds: Collection[str], printed: Collection[str]) -> tuple[Figure, ...]:
    """Columns of the rule that entries or papers have values for; all of them where the rule ranks by that kind."""
    measured = {*kinds, *variant.headline.needs}
    shown = [name for name in variant.columns if FIGURES[name].needs in measured or name in printed]
    shown += [name for name in FIGURES if name in printed and name not in shown]
    return tuple(FIGURES[name] for name in shown)


def _ranked_now(phase: Phase) -> tuple[list[Volume], dict[int, GroundTruth], str | None, Ranking | None]:
    """Volumes in the order of the table, their ground truths, ruler and ranking; both None while one is missing."""
    volumes = list(phase.volumes.order_by("position", "pk"))
    current = current_ground_truths(phase)
    ground_truths = [current[volume.pk] for volume in volumes if volume.pk in current]
    complete = bool(volumes) and len(ground_truths) == len(volumes)
    ruler = ruler_of(ground_truths) if complete else None
    return volumes, current, ruler, ranking(phase, ruler, ground_truths) if ruler else None


def ranked_now(phase: Phase) -> Ranking | None:
    """The ranking of a phase; None while a volume has no ground truth."""
    *_, ranked = _ranked_now(phase)
    return ranked


@dataclass(frozen=True)
class Place:
    """Where an entry stands. total : entries with a rank. is_ranked : False for the rank that it would have."""

    rank: int
    total: int
    is_ranked: bool


def place_of(submission: Submission, headline: float | None) -> Place | None:
    """The rank of an entry by what ranks, as it is shown.

    None for one that is superseded or withdrawn, or where nothing is ranked.
    """
    *_, ranked = _ranked_now(submission.phase)
    if ranked is None or submission.withdrawn_at:
        return None
    total = int((~ranked.superseded).sum())
    own = np.flatnonzero(ranked.entry == (submission.run_of_id or submission.pk))
    if len(own):
        rank = int(ranked.rank[own[0]])
        return Place(rank, total, True) if rank else None
    if headline is None:
        return None
    others = falling(ranked.headline[~ranked.superseded], ranked.lower_is_better)
    above = int((others > falling(headline, ranked.lower_is_better)).sum())
    return Place(above + 1, total + 1, False)


# Entries that the comparison offers: the best, and those around the one that is compared.
OFFERED_BEST, OFFERED_AROUND = 50, 25


def rows_beside(submission: Submission, headline: float | None) -> tuple[list[Row], str]:
    """Ranked entries to compare one with, best first, and the code of the one above it; empty where there is none.

    headline : what ranks it, as it is shown; for one that is not ranked. Above the first there is none: then the one
        below it.
    """
    *_, ranked = _ranked_now(submission.phase)
    if ranked is None:
        return [], ""
    stays = np.flatnonzero(~ranked.superseded)
    own = np.flatnonzero(ranked.entry[stays] == (submission.run_of_id or submission.pk))
    if len(own):
        at = int(own[0])
        stays = np.delete(stays, at)
    elif headline is None:
        at = len(stays)
    else:
        others = falling(ranked.headline[stays], ranked.lower_is_better)
        at = int((others > falling(headline, ranked.lower_is_better)).sum())
    offered = {*range(OFFERED_BEST), *range(at - OFFERED_AROUND, at + OFFERED_AROUND)}
    shown = [int(stays[i]) for i in sorted(offered) if 0 <= i < len(stays)]
    rows = _rows(ranked, shown, named=_named(ranked, shown))
    above = int(ranked.submission[stays[max(at - 1, 0)]]) if len(stays) else 0
    code = Submission.objects.filter(pk=above).values_list("code", flat=True).first()
    return rows, code or ""


def places_in(phase: Phase) -> tuple[dict[int, int], int]:
    """The rank of each entry that has one, by its id (that of its first run), and how many have one."""
    *_, ranked = _ranked_now(phase)
    if ranked is None:
        return {}, 0
    stays = ~ranked.superseded
    places = dict(zip(ranked.entry[stays].tolist(), ranked.rank[stays].tolist(), strict=True))
    return places, len(places)


def leaderboard(
    benchmark: Benchmark,
    phase: Phase,
    page_number: str | int = 1,
    *,
    query: BoardQuery | None = None,
    page_size: int = PAGE_SIZE,
    state: BoardState | None = None,
) -> Leaderboard:
    """One page of a phase's table. state : may be cached."""
    query = query or BoardQuery()
    state = state or board_state(benchmark, phase)
    columns, ruler, ranked = state.columns, state.ruler, state.ranked
    indices = query.select(phase, ranked, [c.volume.slug for c in columns]) if ranked is not None else np.zeros(0, int)
    n_superseded = int(ranked.superseded.sum()) if ranked is not None else 0
    n_listed = len(ranked) if ranked is not None else 0
    page = Paginator(indices, page_size).get_page(page_number)
    shown = [int(i) for i in page.object_list]
    best = ranked.best_over_time[-MAX_HISTORY:].tolist() if ranked is not None else []
    variant = benchmark.variant
    if ranked is not None:
        variant = replace(variant, headline=ranked.rule)
    # One query for the names of both.
    named = _named(ranked, [*shown, *best]) if ranked is not None else {}
    rows = []
    if ranked is not None:
        rows = _rows(ranked, shown, named=named, figures=state.figures, has_erl=state.has_erl)
    return Leaderboard(
        phase=phase,
        columns=columns,
        rows=rows,
        published=state.published if page.number == 1 else [],
        page=page,
        total=n_listed if query.superseded else n_listed - n_superseded,
        superseded=n_superseded,
        metric_version=METRIC_VERSION,
        variant=variant,
        ruler=ruler,
        query=query,
        figures=state.figures,
        has_erl=state.has_erl,
        history=_history(ranked, best, named) if ranked is not None else (),
        dots=ranked.dots if ranked is not None else (),
    )


def best_of(benchmark: Benchmark, phase: Phase) -> Row | None:
    """The entry that leads; None where nothing is ranked."""
    *_, ranked = _ranked_now(phase)
    first = np.flatnonzero(~ranked.superseded)[:1].tolist() if ranked is not None else []
    if ranked is None or not first:
        return None
    return _rows(ranked, first, named=_named(ranked, first))[0]


def may_see_ranking(user: Any, phase: Phase) -> bool:
    """Who reads private submissions always; others unless the phase is under embargo."""
    return not phase.is_embargoed or may_read_of(user, phase.benchmark_id)


@dataclass(frozen=True)
class Names:
    """What a table says of a submission; making whole models of fifty rows takes longer."""

    code: str
    method: str
    is_reference: bool
    reproduce_command: str
    team: str
    team_id: int
    marks: tuple[Mark, ...]


def _named(ranked: Ranking, indices: Sequence[int]) -> dict[int, Names]:
    """What rows of the ranking are called, by submission id."""
    names: dict[int, Names] = {}
    fields = ("pk", "code", "method_name", "is_reference", "reproduce_command", "team__name", "team_id")
    for start in range(0, len(indices), NAMED_AT_ONCE):
        part = list(indices[start : start + NAMED_AT_ONCE])
        pks = {*ranked.submission[part].tolist(), *ranked.same_files[part].tolist()}
        rows = Submission.objects.filter(pk__in=pks).order_by().values_list(*fields, *MARK_FIELDS)
        for pk, code, method, is_reference, command, team, team_id, *marked in rows:
            marks = marks_of(marked)
            names[pk] = Names(code, method, is_reference, command, team, team_id, marks)
    return names


def _rows(
    ranked: Ranking,
    indices: Sequence[int],
    *,
    named: dict[int, Names],
    figures: tuple[Figure, ...] = (),
    has_erl: bool = True,
) -> list[Row]:
    at, rule = list(indices), ranked.rule
    scores = _volume_scores(ranked, at, figures)
    # One call for all rows: single values of arrays are slow.
    values = np.stack([getattr(ranked, name)[at] for name in NUMBERS], axis=1)
    numbers = [dict(zip(NUMBERS, row, strict=True)) for row in _known(values)]
    return [
        Row(
            rank=int(ranked.rank[i]) or None,
            code=named[pk].code,
            method=named[pk].method,
            team=named[pk].team,
            team_id=named[pk].team_id,
            is_reference=named[pk].is_reference,
            # Only organisers' entries tell readers what to run.
            reproduce_command=named[pk].reproduce_command if named[pk].is_reference else "",
            scores=scores[n],
            submitted_at=datetime.fromtimestamp(ranked.submitted_at[i], UTC),
            words=value_in_words(rule, numbers[n]["headline"]),
            has_points=has_points(rule),
            has_erl=has_erl,
            same_files_as=_same_files_as(named.get(int(ranked.same_files[i]))),
            marks=named[pk].marks,
            runs=int(ranked.runs[i]),
            half_words=_half_words(rule, numbers[n]["half_interval"]),
            **numbers[n],
        )
        for n, (i, pk) in enumerate(zip(at, ranked.submission[at].tolist(), strict=True))
        if pk in named
    ]


def _known(values: Floats) -> list[Any]:
    """Plain numbers, None for each NaN, in nested lists where there are several for an entry."""
    found = values.astype(object)
    found[np.isnan(values)] = None
    return cast(list[Any], found.tolist())


def _volume_scores(ranked: Ranking, at: list[int], figures: tuple[Figure, ...]) -> list[tuple[VolumeScore, ...]]:
    """Of each entry, the scores on each volume."""
    known = {name: _known(values[at]) for name, values in ranked.figures.items()}
    missing = [[None] * ranked.figures["erl_nm"].shape[1]] * len(at)
    further = [(figure.name, known.get(figure.name, missing)) for figure in figures]
    digits = [tuple(told.digits(figure.name) for figure in figures) for told in ranked.told]
    return [
        tuple(
            VolumeScore(
                erl,
                share,
                tuple((name, values[n][v]) for name, values in further),
                digits[v],
                not ranked.told[v].is_exact,
            )
            for v, (erl, share) in enumerate(zip(known["erl_nm"][n], known["normalized_erl"][n], strict=True))
        )
        for n in range(len(at))
    ]


def _half_words(rule: HeadlineRule, half: float | None) -> str:
    return "" if half is None else number_in_words(rule, half)


def _same_files_as(names: Names | None) -> tuple[str, str] | None:
    return (names.code, names.method) if names else None


def _history(ranked: Ranking, indices: Sequence[int], named: dict[int, Names]) -> tuple[Record, ...]:
    """How the best result has grown, oldest first."""
    at = list(indices)
    shares = _known(ranked.mean_normalized_erl[at])
    return tuple(
        Record(
            code=named[pk].code,
            method=named[pk].method,
            team=named[pk].team,
            submitted_at=datetime.fromtimestamp(ranked.submitted_at[i], UTC),
            headline=float(ranked.headline[i]),
            mean_normalized_erl=share,
        )
        for i, pk, share in zip(at, ranked.submission[at].tolist(), shares, strict=True)
        if pk in named
    )
