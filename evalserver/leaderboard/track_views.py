"""The table of all phases of a benchmark, as a page and as a download."""

from collections.abc import Sequence
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from evalserver.accounts.teams import own_teams
from evalserver.csv_text import csv_file
from evalserver.leaderboard.cache import anonymous_cache
from evalserver.leaderboard.selectors import PAGE_SIZE
from evalserver.leaderboard.tracks import (
    Cell,
    TrackRow,
    sorted_rows,
    track_board,
    tracks_csv,
    tracks_json,
    tracks_or_404,
)
from evalserver.site import site_url
from evalserver.submissions.results.headline import number_in_words

UNITS = {"nm": "µm", "share": "%"}


@anonymous_cache
def tracks(request: HttpRequest, slug: str) -> HttpResponse:
    """Methods as rows, phases as columns."""
    benchmark = tracks_or_404(request, slug)
    board, sort = track_board(benchmark, request.user), request.GET.get("sort", "")
    mine = own_teams(request.user)
    page = Paginator(sorted_rows(board, sort), PAGE_SIZE).get_page(request.GET.get("page"))

    def in_words(value: float | None) -> str:
        return "" if value is None else number_in_words(board.rule, value)

    def told(cell: Cell | None) -> tuple[Cell | None, str, str]:
        return (cell, in_words(cell.value), in_words(cell.half)) if cell else (None, "", "")

    def shown(rows: Sequence[TrackRow]) -> list[Any]:
        return [
            (row, in_words(row.mean), [told(cell) for cell in row.cells], mine.get(row.team_id or 0)) for row in rows
        ]

    context = {
        "benchmark": benchmark,
        "board": board,
        "sort": sort,
        "page": page,
        "unit": UNITS.get(board.rule.unit, ""),
        "rows": shown(list(page.object_list)),
        "published": shown(board.published) if page.number == 1 else [],
    }
    return render(request, "leaderboard/tracks.html", context)


def download(request: HttpRequest, slug: str, form: str) -> HttpResponse:
    """The whole table as csv or json."""
    content = tracks_json(track_board(tracks_or_404(request, slug), request.user), site_url(""))
    return JsonResponse(content) if form == "json" else csv_file(tracks_csv(content), f"{slug}-tracks")
