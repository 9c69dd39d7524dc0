"""All phases of a benchmark as the columns of one table: a row for each method, and its mean.

A method is what one team submits under one name; its cell is its best entry in that phase.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np
from django.http import Http404, HttpRequest

from axonem_eval.scoring import HeadlineRule
from evalserver.benchmarks.models import Benchmark, Phase, PublishedScore
from evalserver.benchmarks.selectors import visible_benchmark_or_404
from evalserver.csv_text import csv_text
from evalserver.leaderboard.published import published_rows
from evalserver.leaderboard.ranking import Ranking, falling
from evalserver.leaderboard.selectors import may_see_ranking, ranked_now
from evalserver.submissions.marks import MARK_FIELDS, Mark, marks_of
from evalserver.submissions.models import LISTED, Submission


@dataclass(frozen=True)
class Cell:
    """What one method reaches in one phase. value : what ranks.   half : half of its 95% interval over the runs.

    code : of its entry, empty for a published result.   is_best : no other entry of the phase is better.
    """

    value: float
    half: float | None = None
    code: str = ""
    runs: int = 1
    is_best: bool = False


@dataclass(frozen=True)
class TrackRow:
    """One method. cells : in the order of the phases, None where it has no entry.

    team_id : None for published results.
    mean : over all phases; None where one is missing, because means over other phases do not compare.
    rank : by the mean; None without it, and for published results.
    """

    method: str
    team: str
    cells: tuple[Cell | None, ...]
    mean: float | None
    rank: int | None = None
    is_published: bool = False
    url: str = ""
    marks: tuple[Mark, ...] = ()
    team_id: int | None = None

    @property
    def tracks(self) -> int:
        """In how many phases it has a result."""
        return sum(cell is not None for cell in self.cells)


@dataclass(frozen=True)
class TrackBoard:
    """The table. rows : by rank, then those that lack a phase.   hidden : phases under embargo, which are left out."""

    benchmark: Benchmark
    phases: list[Phase]
    hidden: list[Phase]
    rows: list[TrackRow]
    published: list[TrackRow]
    rule: HeadlineRule


def tracks_or_404(request: HttpRequest, slug: str) -> Benchmark:
    """A visible benchmark whose phases are tracks."""
    benchmark = visible_benchmark_or_404(request, slug)
    if not benchmark.phases_are_tracks:
        raise Http404
    return benchmark


def track_board(benchmark: Benchmark, user: Any) -> TrackBoard:
    """The table as a reader may see it. The number of queries depends on the number of phases alone."""
    all_phases = list(benchmark.phases.all())
    phases = [phase for phase in all_phases if may_see_ranking(user, phase)]
    rankings = [ranked_now(phase) for phase in phases]
    rules = [ranked.rule for ranked in rankings if ranked is not None]
    # Rounded as on the phase that leaves most digits.
    rule = max(rules, key=lambda rule: inf if rule.digits is None else rule.digits, default=benchmark.variant.headline)
    return TrackBoard(
        benchmark=benchmark,
        phases=phases,
        hidden=[phase for phase in all_phases if phase not in phases],
        rows=_ranked_rows(phases, rankings, rule),
        published=_published_rows(benchmark, phases, rule),
        rule=rule,
    )


def sorted_rows(board: TrackBoard, sort: str) -> list[TrackRow]:
    """Rows with the best of a phase first; by rank for an unknown name. sort : a phase's slug."""
    slugs = [phase.slug for phase in board.phases]
    if sort not in slugs:
        return board.rows
    column = slugs.index(sort)

    def order(row: TrackRow) -> tuple[bool, float]:
        cell = row.cells[column]
        return cell is None, 0.0 if cell is None else -falling(cell.value, board.rule.lower_is_better)

    return sorted(board.rows, key=order)


def _ranked_rows(phases: Sequence[Phase], rankings: Sequence[Ranking | None], rule: HeadlineRule) -> list[TrackRow]:
    fields = ("pk", "code", "method_name", "team_id", "team__name", *MARK_FIELDS)
    listed = Submission.objects.filter(LISTED, phase__in=phases).order_by()
    named = {pk: values for pk, *values in listed.values_list(*fields)}
    names: dict[tuple[int, str], tuple[str, str]] = {}
    marks: dict[tuple[int, str], tuple[Mark, ...]] = {}
    found: dict[tuple[int, str], dict[int, Cell]] = {}
    for column, ranked in enumerate(rankings):
        for pk, cell in _cells(ranked) if ranked else ():
            if pk not in named:
                continue
            code, method, team_id, team, *marked = named[pk]
            key = team_id, " ".join(method.casefold().split())
            names.setdefault(key, (method, team))
            cells = found.setdefault(key, {})
            if column not in cells:  # best first
                cells[column] = Cell(cell.value, cell.half, code, cell.runs, cell.is_best)
                own = marks_of(marked)
                marks[key] = tuple(dict.fromkeys((*marks.get(key, ()), *own)))
    rows = []
    for key, by_column in found.items():
        reached = tuple(by_column.get(column) for column in range(len(phases)))
        rows.append(TrackRow(*names[key], reached, _mean(reached), marks=marks[key], team_id=key[0]))
    return _with_ranks(rows, rule)


def _cells(ranked: Ranking) -> Iterable[tuple[int, Cell]]:
    """Entries with a rank, best first, as (id, cell without its code)."""
    for i in np.flatnonzero(~ranked.superseded & ~np.isnan(ranked.headline)).tolist():
        half = float(ranked.half_interval[i])
        cell = Cell(
            value=float(ranked.headline[i]),
            half=None if np.isnan(half) else half,
            runs=int(ranked.runs[i]),
            is_best=int(ranked.rank[i]) == 1,
        )
        yield int(ranked.submission[i]), cell


def _with_ranks(rows: Sequence[TrackRow], rule: HeadlineRule) -> list[TrackRow]:
    """In order; equal means share a rank (1, 2, 2, 4). Without a mean: more phases first, then by name."""

    def order(row: TrackRow) -> tuple[bool, float, int, str]:
        better = 0.0 if row.mean is None else falling(row.mean, rule.lower_is_better)
        return row.mean is None, -better, -row.tracks, row.method.casefold()

    ordered: list[TrackRow] = []
    for row in sorted(rows, key=order):
        last = ordered[-1] if ordered else None
        rank = None
        if row.mean is not None:
            rank = last.rank if last and last.mean == row.mean else len(ordered) + 1
        ordered.append(replace(row, rank=rank))
    return ordered


def _published_rows(benchmark: Benchmark, phases: Sequence[Phase], rule: HeadlineRule) -> list[TrackRow]:
    printed = list(PublishedScore.objects.filter(entry__benchmark=benchmark).select_related("entry").order_by("pk"))
    if not printed:
        return []
    found: dict[tuple[str, str, str], dict[int, Cell]] = {}
    for column, phase in enumerate(phases):
        volumes = sorted(phase.volumes.all(), key=lambda volume: (volume.position, volume.pk))
        for row in published_rows(benchmark, volumes, printed, figures=(), has_erl=True):
            if row.headline is not None:
                found.setdefault((row.method, row.source, row.url), {})[column] = Cell(row.headline)
    rows = []
    for (method, source, url), by_column in found.items():
        cells = tuple(by_column.get(column) for column in range(len(phases)))
        rows.append(TrackRow(method, source, cells, _mean(cells), is_published=True, url=url))
    return sorted(rows, key=lambda row: (row.mean is None, -falling(row.mean or 0.0, rule.lower_is_better)))


def _mean(cells: Sequence[Cell | None]) -> float | None:
    values = [cell.value for cell in cells if cell is not None]
    return round(sum(values) / len(values), 6) if values and len(values) == len(cells) else None


def tracks_json(board: TrackBoard, site: str) -> dict[str, Any]:
    """The whole table. Values are in the unit of the headline: nm, a share from 0 to 1, or a plain number."""
    return {
        "benchmark": board.benchmark.slug,
        "headline": board.rule.name,
        "unit": board.rule.unit,
        "lower_is_better": board.rule.lower_is_better,
        "tracks": [phase.slug for phase in board.phases],
        "rows": [_row_json(row, board.phases, site) for row in (*board.rows, *board.published)],
    }


def _row_json(row: TrackRow, phases: Sequence[Phase], site: str) -> dict[str, Any]:
    return {
        "rank": row.rank,
        "kind": "published" if row.is_published else "entry",
        "method": row.method,
        "team": row.team,
        "marks": [mark.field for mark in row.marks],
        "mean": row.mean,
        "results": {
            phase.slug: cell
            and {
                "value": cell.value,
                "half_interval": cell.half,
                "runs": cell.runs,
                "submission": cell.code or None,
                "page": f"{site}/submissions/{cell.code}/" if cell.code else row.url or None,
            }
            for phase, cell in zip(phases, row.cells, strict=True)
        },
    }


def tracks_csv(content: dict[str, Any]) -> str:
    """The same, one line a method; published results follow with an empty rank."""
    parts = ("value", "half_interval", "runs", "submission")
    head = ["rank", "kind", "method", "team", "marks", "mean"]
    head += [f"{slug}_{part}" if part != "value" else slug for slug in content["tracks"] for part in parts]
    lines = []
    for row in content["rows"]:
        line = [row["rank"], row["kind"], row["method"], row["team"], " ".join(row["marks"]), row["mean"]]
        line += [(row["results"][slug] or {}).get(part) for slug in content["tracks"] for part in parts]
        lines.append(line)
    return csv_text(head, lines)
