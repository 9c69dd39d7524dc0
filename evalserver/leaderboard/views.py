from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from evalserver.benchmarks.views import phase_or_404, visible_benchmark_or_404
from evalserver.leaderboard import selectors


def table(request: HttpRequest, slug: str) -> HttpResponse:
    benchmark = visible_benchmark_or_404(request, slug)
    phase = phase_or_404(benchmark, request.GET.get("phase"))
    if phase is None:
        raise Http404
    board = selectors.leaderboard(benchmark, phase, request.GET.get("page", 1))
    return render(request, "leaderboard/table.html", {"benchmark": benchmark, "board": board})
