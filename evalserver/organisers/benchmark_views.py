"""Pages of benchmarks, their volumes and phases, and ground truth."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from evalserver.accounts.models import User
from evalserver.accounts.requests import AuthenticatedRequest
from evalserver.benchmarks import services
from evalserver.benchmarks.forms import BenchmarkForm, GroundTruthForm, PhaseForm, VolumeForm
from evalserver.benchmarks.models import Benchmark, GroundTruth, GroundTruthPreview, Phase, Volume
from evalserver.benchmarks.roles import benchmarks_with, granted
from evalserver.organisers import selectors
from evalserver.organisers.access import note, organiser
from evalserver.submissions.evaluation.rescore import queue_rescores
from evalserver.submissions.results.export_job import newest_export

READ_BENCHMARKS = ("benchmarks.view_benchmark", "benchmarks.change_benchmark")
READ_TRUTHS = ("benchmarks.view_groundtruth", "benchmarks.change_groundtruth")


@organiser(*READ_BENCHMARKS)
def benchmarks(request: AuthenticatedRequest) -> HttpResponse:
    """Benchmarks that the organiser may see."""
    rows = selectors.benchmarks(benchmarks_with(request.user, *READ_BENCHMARKS))
    return render(request, "organisers/benchmarks.html", {"benchmarks": rows})


@organiser(*READ_BENCHMARKS)
def benchmark(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    """One benchmark with volumes, phases and ground truth."""
    row = get_object_or_404(selectors.benchmarks(Benchmark.objects.all()), slug=slug)
    context = {
        "benchmark": row,
        "volumes": selectors.volumes_of(row),
        "phases": row.phases.prefetch_related("volumes"),
        "training_files": row.training_files.all(),
        "published": row.published_entries.all(),
        "mine": granted(request.user, row.pk),
        "export": newest_export(row),
    }
    return render(request, "organisers/benchmark.html", context)


def _edit(
    request: AuthenticatedRequest, form: "forms.ModelForm[Any]", title: str, benchmark: Benchmark | None
) -> HttpResponse:
    """Show a form, or store what it says and go to the page of the benchmark."""
    if request.method == "POST" and form.is_valid():
        is_new = form.instance.pk is None
        row = form.save()
        note(request.user, row, "added" if is_new else ", ".join(form.changed_data) or "nothing changed", is_new=is_new)
        owner = benchmark or row
        for phase in services.fill_phases(owner):
            messages.info(request, f"The phase “{phase.name}” has all volumes of the benchmark.")
        messages.success(request, f"{row}: saved.")
        return redirect("organise_benchmark", slug=owner.slug)
    context = {"form": form, "title": title, "benchmark": benchmark}
    return render(request, "organisers/form.html", context, status=422 if form.errors else 200)


@organiser("benchmarks.add_benchmark")
def add_benchmark(request: AuthenticatedRequest) -> HttpResponse:
    """Make a benchmark."""
    return _edit(request, BenchmarkForm(request.POST or None), "New benchmark", None)


@organiser("benchmarks.change_benchmark")
def edit_benchmark(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    """Change a benchmark."""
    row = get_object_or_404(Benchmark, slug=slug)
    return _edit(request, BenchmarkForm(request.POST or None, instance=row), f"Edit {row.name}", row)


@organiser("benchmarks.add_volume")
def add_volume(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    """Add a volume to a benchmark."""
    owner = get_object_or_404(Benchmark, slug=slug)
    new = Volume(benchmark=owner, position=owner.volumes.count())
    return _edit(request, VolumeForm(request.POST or None, instance=new), "New volume", owner)


@organiser("benchmarks.change_volume")
def edit_volume(request: AuthenticatedRequest, slug: str, volume: str) -> HttpResponse:
    """Change a volume."""
    owner = get_object_or_404(Benchmark, slug=slug)
    row = get_object_or_404(owner.volumes, slug=volume)
    return _edit(request, VolumeForm(request.POST or None, instance=row), f"Edit {row.name}", owner)


@organiser("benchmarks.add_phase")
def add_phase(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    """Add a phase to a benchmark."""
    owner = get_object_or_404(Benchmark, slug=slug)
    return _edit(request, PhaseForm(request.POST or None, instance=Phase(benchmark=owner)), "New phase", owner)


@organiser("benchmarks.change_phase")
def edit_phase(request: AuthenticatedRequest, slug: str, phase: str) -> HttpResponse:
    """Change a phase."""
    owner = get_object_or_404(Benchmark, slug=slug)
    row = get_object_or_404(owner.phases, slug=phase)
    return _edit(request, PhaseForm(request.POST or None, instance=row), f"Edit {row.name}", owner)


FREEZE: dict[str, tuple[Callable[..., bool], str]] = {
    "freeze": (services.freeze_phase, "frozen: its ranking no longer changes"),
    "unfreeze": (services.unfreeze_phase, "no longer frozen"),
}


@require_POST
@organiser("benchmarks.change_phase")
def freeze_phase(request: AuthenticatedRequest, slug: str, phase: str) -> HttpResponse:
    """Freeze or unfreeze a phase."""
    row = get_object_or_404(Phase, benchmark__slug=slug, slug=phase)
    change, words = FREEZE.get(request.POST.get("action", ""), (None, ""))
    if change is None:
        raise Http404
    if change(phase=row):
        note(request.user, row, words)
        messages.success(request, f"{row.name} is {words}.")
    return redirect("organise_benchmark", slug=slug)


@require_POST
@organiser("benchmarks.change_benchmark")
def rescore(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    """Have workers re-score all submissions of a benchmark."""
    row = get_object_or_404(Benchmark, slug=slug)
    sent = queue_rescores(row)
    note(request.user, row, f"re-scoring {sent} submissions")
    messages.success(request, f"{sent} submissions sent to the workers. Earlier results stay.")
    return redirect("organise_benchmark", slug=slug)


@organiser(*READ_TRUTHS)
def ground_truths(request: AuthenticatedRequest) -> HttpResponse:
    """All versions of ground truth, and volumes that have none."""
    mine = benchmarks_with(request.user, *READ_TRUTHS)
    rows = GroundTruth.objects.filter(volume__benchmark__in=mine).select_related("volume__benchmark", "created_by")
    without = Volume.objects.filter(benchmark__in=benchmarks_with(request.user, "benchmarks.add_groundtruth"))
    context = {
        "ground_truths": rows.order_by("-created_at", "-pk")[:200],
        "without": without.exclude(ground_truths__is_current=True).select_related("benchmark"),
    }
    return render(request, "organisers/ground_truths.html", context)


@organiser("benchmarks.add_groundtruth")
def add_ground_truth(request: AuthenticatedRequest, slug: str, volume: str) -> HttpResponse:
    """Store labels or a bundle as the volume's next version; a worker registers it."""
    row = get_object_or_404(Volume.objects.select_related("benchmark"), benchmark__slug=slug, slug=volume)
    form = GroundTruthForm(request.POST or None, request.FILES or None, instance=GroundTruth(volume=row))
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        stored = services.register_ground_truth(volume=row, created_by=request.user, **data)
        note(request.user, stored, "added", is_new=True)
        return redirect("organise_ground_truth", pk=stored.pk)
    context = {"form": form, "title": f"Ground truth of {row.name}", "benchmark": row.benchmark, "has_files": True}
    return render(request, "organisers/form.html", context, status=422 if form.errors else 200)


def _truth_or_404(user: User, pk: int, *permissions: str) -> GroundTruth:
    rows = GroundTruth.objects.filter(volume__benchmark__in=benchmarks_with(user, *permissions))
    return get_object_or_404(rows.select_related("volume__benchmark", "created_by"), pk=pk)


@organiser(*READ_TRUTHS)
def ground_truth(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """One version: its progress, then its figures and pictures. `?part=state` is the part that is fetched again."""
    part = request.GET.get("part") == "state"
    template = "organisers/_ground_truth.html" if part else "organisers/ground_truth.html"
    row = _truth_or_404(request.user, pk, *READ_TRUTHS)
    context = {
        "ground_truth": row,
        "preview": GroundTruthPreview.objects.filter(ground_truth=row).first(),
        "mine": granted(request.user, row.volume.benchmark_id),
    }
    return render(request, template, context)


@require_POST
@organiser("benchmarks.change_groundtruth")
def change_ground_truth(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """Make a version current and re-score with it, or register a failed one again."""
    row = _truth_or_404(request.user, pk, "benchmarks.change_groundtruth")
    action = request.POST.get("action")
    if action == "current" and row.status == GroundTruth.DONE_STATUS:
        try:
            services.make_current(ground_truth=row)
        except services.NotPossible as refusal:
            messages.error(request, str(refusal))
        else:
            sent = queue_rescores(row.volume.benchmark)
            note(request.user, row, f"made current; re-scoring {sent} submissions")
            messages.success(request, f"{row} is current. Workers score {sent} submissions with it.")
    elif action == "again" and services.retry_registration(ground_truth=row):
        note(request.user, row, "registered again")
        messages.success(request, "Sent to a worker again.")
    else:
        messages.error(request, "That is not possible now: the status of the version has changed.")
    return redirect("organise_ground_truth", pk=pk)
