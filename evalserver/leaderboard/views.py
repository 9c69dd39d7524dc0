"""The leaderboard as a page and as a download."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from evalserver.accounts.teams import own_teams
from evalserver.benchmarks.models import Benchmark, Phase
from evalserver.benchmarks.selectors import closed_reason, phase_or_404, visible_benchmark_or_404
from evalserver.csv_text import csv_file
from evalserver.leaderboard import selectors
from evalserver.leaderboard.cache import KEPT_PHASES, AnonymousCache, anonymous_cache, is_anonymous
from evalserver.leaderboard.columns import heads
from evalserver.leaderboard.export import board_csv, board_json
from evalserver.leaderboard.query import BoardQuery
from evalserver.leaderboard.row_cache import history_html, legend_html, options_html, published_html, rows_html
from evalserver.leaderboard.rows import Row
from evalserver.submissions.marks import MARKS

# A view may have as many rows as there are entries.
WHOLE = 1_000_000


def _asked_for(request: HttpRequest, slug: str) -> tuple[Benchmark, Phase]:
    def find() -> tuple[Benchmark, Phase]:
        benchmark = visible_benchmark_or_404(request, slug)
        return benchmark, phase_or_404(benchmark, phase)

    phase = request.GET.get("phase")
    return _phases.get_or_make((slug, phase), find) if is_anonymous(request) else find()


_phases: AnonymousCache[tuple[Benchmark, Phase]] = AnonymousCache(KEPT_PHASES)
_states: AnonymousCache[selectors.BoardState] = AnonymousCache(KEPT_PHASES)


def _state(request: HttpRequest, benchmark: Benchmark, phase: Phase) -> selectors.BoardState:
    make = partial(selectors.board_state, benchmark, phase)
    return _states.get_or_make(phase.pk, make) if is_anonymous(request) else make()


@anonymous_cache
def table(request: HttpRequest, slug: str) -> HttpResponse:
    """The ranking of a phase."""
    benchmark, phase = _asked_for(request, slug)
    if benchmark.phases_are_tracks and not request.GET.get("phase"):
        return redirect("tracks", slug=slug)
    context: dict[str, Any] = {"benchmark": benchmark, "phase": phase}
    if not selectors.may_see_ranking(request.user, phase):
        return render(request, "leaderboard/embargo.html", context)
    query = BoardQuery.of(request.GET)
    state = _state(request, benchmark, phase)
    board = selectors.leaderboard(benchmark, phase, query.page, query=query, state=state)
    this_hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    mine = own_teams(request.user)
    first, second = _compared_at_first(board.rows, mine)
    params = request.GET.copy()
    params.pop("page", None)
    context |= {
        "board": board,
        "closed": None if board.total else closed_reason(phase),
        "heads": heads(board, request.GET),
        "state": params.urlencode(),
        "marks": MARKS,
        "ranked_rows": rows_html(board.rows, mine),
        "first_choices": options_html(board.rows, first),
        "second_choices": options_html(board.rows, second),
        "published_rows": published_html(tuple(board.published)),
        "legend": legend_html(board),
        "history": history_html(board.history, board.dots, this_hour, board.variant.headline, board.ceiling_nm),
    }
    return render(request, "leaderboard/table.html", context)


def _compared_at_first(rows: list[Row], mine: Mapping[int, str]) -> tuple[str, str]:
    """Codes of the two that the page offers to compare: the reader's first and the one above it, or the first two."""
    if len(rows) < 2:
        return "", ""
    own = next((i for i, row in enumerate(rows) if row.team_id in mine), 0)
    return rows[own].code, rows[own - 1 if own else 1].code


def download(request: HttpRequest, slug: str, form: str) -> HttpResponse:
    """All rows of a view as csv or json."""
    benchmark, phase = _asked_for(request, slug)
    if not selectors.may_see_ranking(request.user, phase):
        raise Http404
    board = selectors.leaderboard(benchmark, phase, query=BoardQuery.of(request.GET), page_size=WHOLE)
    content = board_json(request, benchmark, board)
    if form == "json":
        return JsonResponse(content)
    return csv_file(board_csv(content), f"{slug}-{phase.slug}")
