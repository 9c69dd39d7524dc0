"""Pages of a benchmark."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from evalserver.accounts.models import Team
from evalserver.accounts.requests import AuthenticatedRequest
from evalserver.benchmarks import services
from evalserver.benchmarks.models import Benchmark, Participation
from evalserver.benchmarks.selectors import current_figures, opening, visible_benchmark_or_404


def detail(request: HttpRequest, slug: str) -> HttpResponse:
    benchmark = visible_benchmark_or_404(request, slug)
    volumes = list(benchmark.volumes.all())
    current = current_figures(volumes)
    context = {
        "benchmark": benchmark,
        "volumes": [(volume, current.get(volume.pk)) for volume in volumes],
        "opening": opening(benchmark),
        "training_files": benchmark.training_files.all(),
        "participations": _participations(request, benchmark) if benchmark.requires_approval else [],
    }
    return render(request, "benchmarks/detail.html", context)


def _participations(request: HttpRequest, benchmark: Benchmark) -> list[tuple[Team, Participation | None]]:
    """Each team of the reader, with its request to take part."""
    if not request.user.is_authenticated:
        return []
    teams = list(Team.objects.filter(members=request.user))
    rows = {row.team_id: row for row in Participation.objects.filter(benchmark=benchmark, team__in=teams)}
    return [(team, rows.get(team.pk)) for team in teams]


@require_POST
@login_required
def participate(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    """Ask the organisers to let a team take part."""
    benchmark = visible_benchmark_or_404(request, slug)
    team_id = request.POST.get("team", "")
    team = get_object_or_404(Team.objects.filter(members=request.user), pk=team_id if team_id.isdigit() else 0)
    services.request_participation(benchmark=benchmark, team=team, message=request.POST.get("message", ""))
    messages.success(request, f"The organisers have been asked to approve {team.name}.")
    return redirect("benchmark", slug=slug)


def training_file(request: HttpRequest, slug: str, pk: int) -> HttpResponseBase:
    """Download of a stored training file."""
    benchmark = visible_benchmark_or_404(request, slug)
    row = get_object_or_404(benchmark.training_files.exclude(file=""), pk=pk)
    return FileResponse(row.file.open("rb"), as_attachment=True, filename=row.file_name)
