"""Pages of the ground-truth workshop: what annotators label and decide is stored at once."""

import re
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from axonem_eval.workshop import CLASSES, KINDS, consensus
from evalserver.accounts.requests import AuthenticatedRequest
from evalserver.benchmarks.models import Volume
from evalserver.benchmarks.roles import benchmarks_with
from evalserver.organisers.access import note, organiser
from evalserver.workshop import selectors, services
from evalserver.workshop.models import Segment, Workshop

MOST_SHOWN = 50
MAY_SEE = ("benchmarks.view_groundtruth", "benchmarks.change_groundtruth")
MAY_CHANGE = "benchmarks.change_groundtruth"


class WorkshopForm(forms.Form):
    """The segmentation to begin with."""

    source_file = forms.FileField(label="Segmentation", help_text="Label file of the whole volume")
    dataset = forms.CharField(max_length=200, required=False, help_text="Dataset inside the file, if it has several")


def _workshop(request: AuthenticatedRequest, pk: int, *permissions: str) -> Workshop:
    """A workshop of a benchmark in which the user has one of the permissions. Raises Http404 for others."""
    allowed = Workshop.objects.filter(volume__benchmark__in=benchmarks_with(request.user, *permissions))
    return get_object_or_404(allowed.select_related("volume__benchmark"), pk=pk)


def _number(query: QueryDict, name: str) -> int:
    """A whole number of a query or form, 0 by default. Raises Http404 for anything else."""
    text = query.get(name, "0")
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise Http404
    return int(text)


@organiser(*MAY_SEE)
def workshops(request: AuthenticatedRequest) -> HttpResponse:
    """Workshops that the organiser may see, and the volumes that can have one."""
    benchmarks = benchmarks_with(request.user, *MAY_SEE)
    rows = Workshop.objects.filter(volume__benchmark__in=benchmarks).select_related("volume__benchmark", "created_by")
    volumes = Volume.objects.filter(benchmark__in=benchmarks).select_related("benchmark")
    return render(request, "organisers/workshops.html", {"workshops": rows[:200], "volumes": volumes})


@organiser("benchmarks.add_groundtruth")
def add_workshop(request: AuthenticatedRequest, slug: str, volume: str) -> HttpResponse:
    """Store a segmentation; a worker measures it."""
    row = get_object_or_404(Volume.objects.select_related("benchmark"), benchmark__slug=slug, slug=volume)
    form = WorkshopForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        stored = services.begin_workshop(volume=row, by=request.user, **form.cleaned_data)
        note(request.user, stored, "added", is_new=True)
        return redirect("organise_workshop", pk=stored.pk)
    context = {"form": form, "title": f"Workshop of {row.name}", "benchmark": row.benchmark, "has_files": True}
    return render(request, "organisers/form.html", context, status=422 if form.errors else 200)


@organiser(*MAY_SEE)
def workshop(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """Progress, batches with their suggestions, disagreements, and the button that makes ground truth."""
    row = _workshop(request, pk, *MAY_SEE)
    context: dict[str, Any] = {"workshop": row}
    if row.status == Workshop.DONE_STATUS:
        agreed = consensus(selectors.labels_of(row))
        batches = selectors.batch_rows(row, agreed)
        suggested = selectors.suggestions(row, agreed.label)
        for batch in batches:
            batch["suggestion"] = suggested.get(batch["batch"])
        context |= {
            "batches": batches,
            "left": sum(batch["left"] for batch in batches),
            "disagreements": agreed.disagreements[:MOST_SHOWN],
            "counts": [(kind, row.candidates.filter(kind=kind).count()) for kind in KINDS],
            "finalisation": row.finalisations.select_related("ground_truth").first(),
            "labels": CLASSES,
        }
    return render(request, "organisers/workshop.html", context)


@organiser(*MAY_SEE)
def batch(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """The segments of the batch `?n=`: pictures, labels, and buttons with keys."""
    row, number = _workshop(request, pk, *MAY_SEE), _number(request.GET, "n")
    segments = list(selectors.segments_of(row, number))
    if not segments:
        raise Http404
    agreed = consensus(selectors.labels_of(row))
    last = row.segments.order_by("-batch").values_list("batch", flat=True)[0]
    context = {
        "workshop": row,
        "batch": number,
        "next": number + 1 if number < last else None,
        "previous": number - 1 if number else None,
        "segments": segments,
        "suggestion": selectors.suggestions(row, agreed.label).get(number),
        "labels": CLASSES,
    }
    return render(request, "organisers/workshop_batch.html", context)


@organiser(*MAY_SEE)
def picture(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """The picture of the segment `?segment=`."""
    shop = _workshop(request, pk, *MAY_SEE)
    row = get_object_or_404(Segment, workshop=shop, name=request.GET.get("segment", ""))
    answer = HttpResponse(bytes(row.picture), content_type="image/webp")
    answer.headers["Cache-Control"] = "private, max-age=86400"
    return answer


@require_POST
@organiser(MAY_CHANGE)
def label(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """Store a label of the chosen segments, then show where `next` leads: a batch, or the workshop."""
    row = _workshop(request, pk, MAY_CHANGE)
    try:
        stored = services.label_segments(
            workshop=row,
            names=request.POST.getlist("segment"),
            label=request.POST.get("label", ""),
            by=request.user,
            settles=request.POST.get("settles") == "yes",
        )
    except services.NotPossible as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, f"{stored} segments labelled {request.POST.get('label')}.")
    if request.POST.get("next"):
        return redirect(f"{reverse('organise_workshop_batch', args=[pk])}?n={_number(request.POST, 'next')}")
    return redirect("organise_workshop", pk=pk)


def _kind(query: QueryDict) -> str:
    kind = query.get("kind", KINDS[0])
    if kind not in KINDS:
        raise Http404
    return kind


@organiser(*MAY_SEE)
def candidates(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """Likely errors of `?kind=`, from place `?from=`, with what was decided."""
    row, kind, start = _workshop(request, pk, *MAY_SEE), _kind(request.GET), max(0, _number(request.GET, "from"))
    found = selectors.candidates_of(row, kind)
    context = {
        "workshop": row,
        "kind": kind,
        "kinds": KINDS,
        "start": start,
        "next": start + MOST_SHOWN if found.filter(place__gte=start + MOST_SHOWN).exists() else None,
        "candidates": selectors.with_decision(found[start : start + MOST_SHOWN]),
        "verdicts": [("accept", "y"), ("reject", "n"), ("postpone", "p"), ("undo", "u")],
    }
    return render(request, "organisers/workshop_candidates.html", context)


@require_POST
@organiser(MAY_CHANGE)
def decide(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """Store a verdict on a candidate, then show the list where it stands."""
    row, kind = _workshop(request, pk, MAY_CHANGE), _kind(request.POST)
    candidate = get_object_or_404(row.candidates, name=request.POST.get("candidate", ""))
    try:
        services.decide(
            candidate=candidate,
            verdict=request.POST.get("verdict", ""),
            seen=_number(request.POST, "seen"),
            by=request.user,
        )
    except services.NotPossible as refusal:
        messages.error(request, str(refusal))
    start = candidate.place // MOST_SHOWN * MOST_SHOWN
    address = reverse("organise_workshop_candidates", args=[pk])
    return redirect(f"{address}?kind={kind}&from={start}#candidate-{candidate.pk}")


@require_POST
@organiser("benchmarks.add_groundtruth")
def finalise(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """Have a worker make ground truth."""
    row = _workshop(request, pk, "benchmarks.add_groundtruth")
    try:
        services.request_finalisation(workshop=row, by=request.user)
    except services.NotPossible as refusal:
        messages.error(request, str(refusal))
    else:
        note(request.user, row, "finalisation requested")
        messages.success(request, "Sent to a worker.")
    return redirect("organise_workshop", pk=pk)
