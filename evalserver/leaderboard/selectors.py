"""What the leaderboard shows. A page takes the same number of queries however many entries there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isnan
from typing import Any

import numpy as np
from django.core.paginator import Page, Paginator

from axonem_eval.erl import METRIC_VERSION
from evalserver.benchmarks.models import Benchmark, GroundTruth, Phase, PublishedEntry, PublishedScore, Volume
from evalserver.leaderboard.query import BoardQuery
from evalserver.leaderboard.ranking import Ranking, ranking
from evalserver.submissions import scoring
from evalserver.submissions.models import Submission

PAGE_SIZE = 50
NAMED_AT_ONCE = 900
MAX_HISTORY = 40


@dataclass(frozen=True)
class VolumeScore:
    """ERL on one volume. percent : of the ground truth's own ERL."""

    erl_um: float
    percent: float | None


@dataclass(frozen=True)
class EntryTeam:
    name: str


@dataclass(frozen=True)
class Entry:
    """What a table says of a submission, under the model's names; making whole models of fifty rows takes longer."""

    code: str
    method_name: str
    is_reference: bool
    reproduce_command: str
    team: EntryTeam
    created_at: datetime


@dataclass(frozen=True)
class Row:
    """One entry. scores : in the order of the table's volumes. low_um, high_um : 95% interval of the mean.

    rank : None for an entry that a newer one of its team supersedes.
    """

    rank: int | None
    submission: Entry
    mean_erl_um: float
    mean_percent: float
    low_um: float | None
    high_um: float | None
    scores: list[VolumeScore | None]
    scored_at: datetime

    @property
    def is_superseded(self) -> bool:
        return self.rank is None


@dataclass(frozen=True)
class PublishedRow:
    """One result from a paper; never ranked."""

    entry: PublishedEntry
    mean_erl_um: float | None
    mean_percent: float | None
    scores: list[VolumeScore | None]


@dataclass(frozen=True)
class Column:
    """One volume of the table, with the ground truth that its scores were measured on."""

    volume: Volume
    ground_truth: GroundTruth | None

    @property
    def tolerance_um(self) -> float | None:
        spacing = self.ground_truth.mean_node_spacing_nm if self.ground_truth else None
        return spacing * self.volume.tolerance_nodes / 1000 if spacing else None


@dataclass(frozen=True)
class Leaderboard:
    """One page of the ranking of a phase under one ruler.

    total : entries that this view chooses from, before any filter.   superseded : entries without a rank, shown or not.
    history : entries that were the best, the last MAX_HISTORY of them.
    """

    phase: Phase
    columns: list[Column]
    rows: list[Row]
    published: list[PublishedRow]
    page: Page
    total: int
    superseded: int
    metric_version: str
    ruler: str | None
    query: BoardQuery
    history: tuple["Record", ...] = ()

    @property
    def ceiling_um(self) -> float | None:
        """Mean ERL of the ground truths."""
        values = [c.ground_truth.gt_erl_nm for c in self.columns if c.ground_truth and c.ground_truth.gt_erl_nm]
        return sum(values) / len(values) / 1000 if values and len(values) == len(self.columns) else None


@dataclass(frozen=True)
class BoardState:
    """What all views of a phase's table share. ranked : None while a volume has no ground truth."""

    columns: list[Column]
    ruler: str | None
    ranked: Ranking | None
    published: list[PublishedRow]


def board_state(benchmark: Benchmark, phase: Phase) -> BoardState:
    """The state now."""
    columns = board_columns(phase)
    ground_truths = [column.ground_truth for column in columns if column.ground_truth]
    complete = bool(columns) and len(ground_truths) == len(columns)
    ruler = scoring.ruler_of(ground_truths) if complete else None
    ranked = ranking(phase, ruler, ground_truths) if ruler else None
    return BoardState(columns, ruler, ranked, _published(benchmark, columns))


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
    # One query for the names of both.
    named = _named(ranked, [*shown, *best]) if ranked is not None else {}
    return Leaderboard(
        phase=phase,
        columns=columns,
        rows=_rows(ranked, shown, named) if ranked is not None else [],
        published=state.published if page.number == 1 else [],
        page=page,
        total=n_listed if query.superseded else n_listed - n_superseded,
        superseded=n_superseded,
        metric_version=METRIC_VERSION,
        ruler=ruler,
        query=query,
        history=_history(ranked, best, named) if ranked is not None else (),
    )


def may_see_ranking(user: Any, phase: Phase) -> bool:
    """Organisers always; others unless the phase is under embargo."""
    return not phase.is_embargoed or user.is_staff


def board_columns(phase: Phase) -> list[Column]:
    ground_truths = scoring.current_ground_truths(phase)
    return [Column(volume, ground_truths.get(volume.pk)) for volume in phase.volumes.order_by("position", "pk")]


def _named(ranked: Ranking, indices: Sequence[int]) -> dict[int, Entry]:
    """Names in the rows of the ranking, by submission id."""
    names: dict[int, Entry] = {}
    fields = ("pk", "code", "method_name", "is_reference", "reproduce_command", "team__name")
    for start in range(0, len(indices), NAMED_AT_ONCE):
        part = list(indices[start : start + NAMED_AT_ONCE])
        pks = ranked.submission[part].tolist()
        moments = dict(zip(pks, ranked.submitted_at[part].tolist(), strict=True))
        for pk, *values, team in Submission.objects.filter(pk__in=pks).order_by().values_list(*fields):
            names[pk] = Entry(*values, team=EntryTeam(team), created_at=datetime.fromtimestamp(moments[pk], UTC))
    return names


def _rows(ranked: Ranking, indices: Sequence[int], named: dict[int, Entry]) -> list[Row]:
    return [
        Row(
            rank=int(ranked.rank[i]) or None,
            submission=named[pk],
            mean_erl_um=float(ranked.mean_erl_nm[i]) / 1000,
            mean_percent=float(ranked.mean_normalized_erl[i]) * 100,
            low_um=_um(float(ranked.low_nm[i])),
            high_um=_um(float(ranked.high_nm[i])),
            scores=[
                None if isnan(erl) else VolumeScore(erl / 1000, share * 100)
                for erl, share in zip(ranked.erl_nm[i].tolist(), ranked.normalized_erl[i].tolist(), strict=True)
            ],
            scored_at=datetime.fromtimestamp(ranked.scored_at[i], UTC),
        )
        for i, pk in zip(indices, ranked.submission[list(indices)].tolist(), strict=True)
        if pk in named
    ]


def _um(value_nm: float) -> float | None:
    return None if isnan(value_nm) else value_nm / 1000


@dataclass(frozen=True)
class Record:
    """An entry that was the best of all when it was submitted."""

    code: str
    method: str
    team: str
    submitted_at: datetime
    mean_erl_um: float
    mean_percent: float


def _history(ranked: Ranking, indices: Sequence[int], named: dict[int, Entry]) -> tuple[Record, ...]:
    """How the best result has grown, oldest first."""
    return tuple(
        Record(
            code=named[pk].code,
            method=named[pk].method_name,
            team=named[pk].team.name,
            submitted_at=datetime.fromtimestamp(ranked.submitted_at[i], UTC),
            mean_erl_um=float(ranked.mean_erl_nm[i]) / 1000,
            mean_percent=float(ranked.mean_normalized_erl[i]) * 100,
        )
        for i, pk in zip(indices, ranked.submission[list(indices)].tolist(), strict=True)
        if pk in named
    )


def _published(benchmark: Benchmark, columns: list[Column]) -> list[PublishedRow]:
    """Published entries, the ceiling first, then best first; those without a mean come last."""
    rows = []
    printed: dict[PublishedEntry, dict[int, VolumeScore]] = {}
    for score in PublishedScore.objects.filter(entry__benchmark=benchmark).select_related("entry").order_by("pk"):
        printed.setdefault(score.entry, {})[score.volume_id] = VolumeScore(score.erl_um, score.percent)
    for entry, by_volume in sorted(printed.items(), key=lambda item: (item[0].position, item[0].pk)):
        scores = [by_volume.get(column.volume.pk) for column in columns]
        known = [score for score in scores if score is not None]
        if not known:
            continue
        complete = len(known) == len(columns)
        percents = [score.percent for score in known if score.percent is not None]
        rows.append(
            PublishedRow(
                entry=entry,
                mean_erl_um=sum(score.erl_um for score in known) / len(known) if complete else None,
                mean_percent=sum(percents) / len(percents) if complete and len(percents) == len(known) else None,
                scores=scores,
            )
        )
    return sorted(rows, key=lambda row: (not row.entry.is_ground_truth, -(row.mean_erl_um or 0.0)))
