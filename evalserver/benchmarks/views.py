"""Pages of a benchmark."""

import mimetypes
import re

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from evalserver.accounts.models import Team
from evalserver.accounts.requests import AuthenticatedRequest
from evalserver.benchmarks import axons, services
from evalserver.benchmarks.models import Benchmark, GroundTruth, Participation, Volume
from evalserver.benchmarks.selectors import current_figures, opening, visible_benchmark_or_404
from evalserver.site import file_in_parts, opened, shown_file, site_url


def detail(request: HttpRequest, slug: str) -> HttpResponse:
    """The page of a benchmark."""
    benchmark = visible_benchmark_or_404(request, slug)
    volumes = list(benchmark.volumes.all())
    current = current_figures(volumes)
    shown = axons.shown_axons(volumes)
    data_files = list(benchmark.training_files.select_related("volume"))
    context = {
        "benchmark": benchmark,
        "volumes": [(volume, current.get(volume.pk)) for volume in volumes],
        "opening": opening(benchmark),
        "data_files": data_files,
        "stored_file": next((row for row in data_files if row.file and row.file_name.endswith((".h5", ".hdf5"))), None),
        "pictures": benchmark.pictures.all(),
        "axons": shown,
        "lengths_plot": axons.lengths_of_volumes(shown),
        "site": site_url(""),
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
    team = get_object_or_404(
        Team.objects.filter(members=request.user), pk=team_id if re.fullmatch(r"[0-9]{1,18}", team_id) else 0
    )
    services.request_participation(benchmark=benchmark, team=team, message=request.POST.get("message", ""))
    messages.success(request, f"The organisers have been asked to approve {team.name}.")
    return redirect("benchmark", slug=slug)


def training_file(request: HttpRequest, slug: str, pk: int) -> HttpResponseBase:
    """Download of a stored data file, whole or in parts."""
    benchmark = visible_benchmark_or_404(request, slug)
    row = get_object_or_404(benchmark.training_files.exclude(file=""), pk=pk)
    try:
        file = opened(row.file.name)
    except Http404:
        services.note_gone(row)
        return render(request, "benchmarks/data_gone.html", {"benchmark": benchmark, "file": row}, status=410)
    return file_in_parts(request, file, file.size, name=row.file_name, etag=row.sha256)


def bundle(request: HttpRequest, slug: str, volume: str) -> HttpResponseBase:
    """The ground truth that scores now, where it is public and tables of labels at its nodes are taken."""
    benchmark = visible_benchmark_or_404(request, slug)
    row = get_object_or_404(benchmark.volumes.filter(ground_truth_public=True), slug=volume)
    current = row.ground_truths.filter(is_current=True).first()
    if current is None or not current.bundle or not row.rule.node_tables:
        raise Http404
    file = opened(current.bundle.name)
    return file_in_parts(request, file, file.size, name=f"{row.slug}.npz", etag=current.checksum)


def picture(request: HttpRequest, slug: str, pk: int) -> FileResponse:
    """A picture of the benchmark; its file never changes."""
    benchmark = visible_benchmark_or_404(request, slug)
    row = get_object_or_404(benchmark.pictures, pk=pk)
    return shown_file(row.file.name, mimetypes.guess_type(str(row.file.name))[0] or "application/octet-stream")


def volume_axons(request: HttpRequest, slug: str, volume: str) -> HttpResponse:
    """The axons of a volume: how many, how long beside another volume `?against=`, the longest and the shortest."""
    benchmark = visible_benchmark_or_404(request, slug)
    row = get_object_or_404(benchmark.volumes.select_related("benchmark"), slug=volume)
    shown = axons.shown_axons([row])
    if not shown:
        raise Http404
    others = axons.comparable_volumes(row)
    against = _against(request, others)
    compared = axons.compared_axons([row, against]) if against else shown
    context = {
        "benchmark": benchmark,
        "shown": shown[0],
        "current": current_figures([row]).get(row.pk),
        "others": others,
        "against": against,
        "compared": compared,
        "lengths_plot": axons.lengths_of_volumes(compared),
        "classes": axons.class_rows(compared),
    }
    return render(request, "benchmarks/axons.html", context)


def _against(request: HttpRequest, others: list[Volume]) -> Volume | None:
    """The volume that the reader chose to compare with. Raises Http404 for one that is not offered."""
    asked = request.GET.get("against")
    if not asked:
        return None
    found = next((other for other in others if str(other.pk) == asked), None)
    if found is None:
        raise Http404
    return found


def axon_courses(request: HttpRequest, slug: str, volume: str) -> FileResponse:
    """Where the longest and shortest axons of public ground truth run."""
    row = _current(request, slug, volume)
    if not row.volume.ground_truth_public:
        raise Http404
    return shown_file(axons.courses_file(row), "application/json")


def axon_picture(request: HttpRequest, slug: str, volume: str, kind: str, number: int) -> FileResponse:
    """Picture of one of the longest or shortest axons, where it may be shown."""
    row = _current(request, slug, volume)
    if not axons.shows_pictures(row.volume) or kind not in axons.KINDS or not 1 <= number <= axons.DRAWN:
        raise Http404
    return shown_file(axons.picture_file(row, kind, number), "image/webp")


def _current(request: HttpRequest, slug: str, volume: str) -> GroundTruth:
    benchmark = visible_benchmark_or_404(request, slug)
    rows = GroundTruth.objects.filter(volume__benchmark=benchmark, is_current=True).select_related("volume")
    return get_object_or_404(rows, volume__slug=volume)
