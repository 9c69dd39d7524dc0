"""What the leaderboard shows. A page takes the same number of queries however many entries there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isnan
from typing import Any

import numpy as np
from django.core.paginator import Page, Paginator

from axonem_eval.scoring import METRIC_VERSION, ScoringVariant
from evalserver.benchmarks.disclosure_rule import GroundTruthFigures
from evalserver.benchmarks.models import Benchmark, GroundTruth, Phase, PublishedEntry, PublishedScore, Volume
from evalserver.benchmarks.selectors import current_ground_truths, ruler_of
from evalserver.leaderboard.query import BoardQuery
from evalserver.leaderboard.ranking import Ranking, ranking
from evalserver.leaderboard.rows import PublishedRow, Record, Row, VolumeScore
from evalserver.submissions.models import Submission
from evalserver.submissions.selectors import may_read_of

PAGE_SIZE = 50
NAMED_AT_ONCE = 900
MAX_HISTORY = 40


@dataclass(frozen=True)
class Column:
    """One volume of the table, with what is told of the ground truth that its scores were measured on."""

    volume: Volume
    ground_truth: GroundTruthFigures | None


@dataclass(frozen=True)
class Leaderboard:
    """One page of the ranking of a phase under one ruler.

    total : entries that this view chooses from, before any filter.   superseded : entries without a rank, shown or not.
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
    history: tuple[Record, ...] = ()
    dots: tuple[tuple[float, float], ...] = ()

    @property
    def ceiling_nm(self) -> float | None:
        """Mean ERL of the ground truths."""
        values = [c.ground_truth.gt_erl_nm for c in self.columns if c.ground_truth and c.ground_truth.gt_erl_nm]
        return sum(values) / len(values) if values and len(values) == len(self.columns) else None


@dataclass(frozen=True)
class BoardState:
    """What all views of a phase's table share. ranked : None while a volume has no ground truth."""

    columns: list[Column]
    ruler: str | None
    ranked: Ranking | None
    published: list[PublishedRow]


def board_state(benchmark: Benchmark, phase: Phase) -> BoardState:
    """The state now."""
    volumes, current, ruler, ranked = _ranked_now(phase)
    columns = [
        Column(volume, GroundTruthFigures.of(volume, current[volume.pk]) if volume.pk in current else None)
        for volume in volumes
    ]
    return BoardState(columns, ruler, ranked, _published(benchmark, columns))


def _ranked_now(phase: Phase) -> tuple[list[Volume], dict[int, GroundTruth], str | None, Ranking | None]:
    """Volumes in the order of the table, their ground truths, ruler and ranking; both None while one is missing."""
    volumes = list(phase.volumes.order_by("position", "pk"))
    current = current_ground_truths(phase)
    ground_truths = [current[volume.pk] for volume in volumes if volume.pk in current]
    complete = bool(volumes) and len(ground_truths) == len(volumes)
    ruler = ruler_of(ground_truths) if complete else None
    return volumes, current, ruler, ranking(phase, ruler, ground_truths) if ruler else None


@dataclass(frozen=True)
class Place:
    """Where an entry stands. total : entries with a rank. is_ranked : False for the rank that it would have."""

    rank: int
    total: int
    is_ranked: bool


def place_of(submission: Submission, headline: float | None) -> Place | None:
    """The rank of an entry by what ranks, as it is shown; None for a superseded one, or where nothing is ranked."""
    *_, ranked = _ranked_now(submission.phase)
    if ranked is None:
        return None
    total = int((~ranked.superseded).sum())
    own = np.flatnonzero(ranked.submission == submission.pk)
    if len(own):
        rank = int(ranked.rank[own[0]])
        return Place(rank, total, True) if rank else None
    if headline is None:
        return None
    above = int((ranked.headline[~ranked.superseded] > headline).sum())
    return Place(above + 1, total + 1, False)


def places_in(phase: Phase) -> tuple[dict[int, int], int]:
    """The rank of each entry that has one, by submission id, and how many have one."""
    *_, ranked = _ranked_now(phase)
    if ranked is None:
        return {}, 0
    stays = ~ranked.superseded
    places = dict(zip(ranked.submission[stays].tolist(), ranked.rank[stays].tolist(), strict=True))
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
    # The plot is of the ERL.
    by_erl = benchmark.variant.headline == "erl"
    best = ranked.best_over_time[-MAX_HISTORY:].tolist() if ranked is not None and by_erl else []
    # One query for the names of both.
    named = _named(ranked, [*shown, *best]) if ranked is not None else {}
    return Leaderboard(
        phase=phase,
        columns=columns,
        rows=_rows(ranked, shown, named, benchmark.variant) if ranked is not None else [],
        published=state.published if page.number == 1 else [],
        page=page,
        total=n_listed if query.superseded else n_listed - n_superseded,
        superseded=n_superseded,
        metric_version=METRIC_VERSION,
        variant=benchmark.variant,
        ruler=ruler,
        query=query,
        history=_history(ranked, best, named) if ranked is not None else (),
        dots=ranked.dots if ranked is not None else (),
    )


def best_of(benchmark: Benchmark, phase: Phase) -> Row | None:
    """The entry that leads; None where nothing is ranked."""
    *_, ranked = _ranked_now(phase)
    first = np.flatnonzero(~ranked.superseded)[:1].tolist() if ranked is not None else []
    if ranked is None or not first:
        return None
    return _rows(ranked, first, _named(ranked, first), benchmark.variant)[0]


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


def _named(ranked: Ranking, indices: Sequence[int]) -> dict[int, Names]:
    """What rows of the ranking are called, by submission id."""
    names: dict[int, Names] = {}
    fields = ("pk", "code", "method_name", "is_reference", "reproduce_command", "team__name")
    for start in range(0, len(indices), NAMED_AT_ONCE):
        part = list(indices[start : start + NAMED_AT_ONCE])
        pks = {*ranked.submission[part].tolist(), *ranked.same_files[part].tolist()}
        for pk, *values in Submission.objects.filter(pk__in=pks).order_by().values_list(*fields):
            names[pk] = Names(*values)
    return names


def _rows(ranked: Ranking, indices: Sequence[int], named: dict[int, Names], variant: ScoringVariant) -> list[Row]:
    return [
        Row(
            rank=int(ranked.rank[i]) or None,
            code=named[pk].code,
            method=named[pk].method,
            team=named[pk].team,
            is_reference=named[pk].is_reference,
            # Only organisers' entries tell readers what to run.
            reproduce_command=named[pk].reproduce_command if named[pk].is_reference else "",
            mean_erl_nm=float(ranked.mean_erl_nm[i]),
            mean_normalized_erl=float(ranked.mean_normalized_erl[i]),
            low_nm=_known(float(ranked.low_nm[i])),
            high_nm=_known(float(ranked.high_nm[i])),
            scores=tuple(
                VolumeScore(_known(erl), _known(share))
                for erl, share in zip(ranked.erl_nm[i].tolist(), ranked.normalized_erl[i].tolist(), strict=True)
            ),
            submitted_at=datetime.fromtimestamp(ranked.submitted_at[i], UTC),
            headline=float(ranked.headline[i]),
            has_points=variant.headline == "xpress_score",
            same_files_as=_same_files_as(named.get(int(ranked.same_files[i]))),
        )
        for i, pk in zip(indices, ranked.submission[list(indices)].tolist(), strict=True)
        if pk in named
    ]


def _same_files_as(names: Names | None) -> tuple[str, str] | None:
    return (names.code, names.method) if names else None


def _known(value: float) -> float | None:
    return None if isnan(value) else value


def _history(ranked: Ranking, indices: Sequence[int], named: dict[int, Names]) -> tuple[Record, ...]:
    """How the best result has grown, oldest first."""
    return tuple(
        Record(
            code=named[pk].code,
            method=named[pk].method,
            team=named[pk].team,
            submitted_at=datetime.fromtimestamp(ranked.submitted_at[i], UTC),
            mean_erl_nm=float(ranked.mean_erl_nm[i]),
            mean_normalized_erl=float(ranked.mean_normalized_erl[i]),
        )
        for i, pk in zip(indices, ranked.submission[list(indices)].tolist(), strict=True)
        if pk in named
    )


def _published(benchmark: Benchmark, columns: list[Column]) -> list[PublishedRow]:
    """Published entries, the ceiling first, then best first; those without a mean come last."""
    printed: dict[PublishedEntry, dict[int, VolumeScore]] = {}
    for score in PublishedScore.objects.filter(entry__benchmark=benchmark).select_related("entry").order_by("pk"):
        share = None if score.percent is None else score.percent / 100
        printed.setdefault(score.entry, {})[score.volume_id] = VolumeScore(
            None if score.erl_um is None else round(score.erl_um * 1000, 6), share
        )
    rows = []
    for entry, by_volume in sorted(printed.items(), key=lambda item: (item[0].position, item[0].pk)):
        scores = tuple(by_volume.get(column.volume.pk, VolumeScore(None, None)) for column in columns)
        if any(score.erl_nm is not None or score.normalized_erl is not None for score in scores):
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
                )
            )
    return sorted(
        rows, key=lambda row: (not row.is_ground_truth, -(row.mean_erl_nm or 0.0), -(row.mean_normalized_erl or 0.0))
    )


def _mean(values: Sequence[float | None]) -> float | None:
    """None where one is missing."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None
