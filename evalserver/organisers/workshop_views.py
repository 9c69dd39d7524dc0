"""Pages of the ground-truth workshop: what annotators label and decide is stored at once."""

import re
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.db.models import Max
from django.http import FileResponse, Http404, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from axonem_eval.workshop import CLASSES, KINDS, MERGER, candidate_of_json, consensus
from evalserver.accounts.requests import AuthenticatedRequest
from evalserver.benchmarks.models import Volume
from evalserver.benchmarks.roles import benchmarks_with
from evalserver.benchmarks.selectors import stored_image
from evalserver.organisers.access import note, organiser
from evalserver.uploads import SEGMENTATION, shown_precomputed
from evalserver.workshop import point_cuts, selectors, services, view_files
from evalserver.workshop.models import Candidate, Segment, Workshop

MOST_SHOWN = 50
# Each with its key.
VERDICTS = (("accept", "y"), ("reject", "n"), ("postpone", "p"), ("undo", "u"))
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
            "joins": selectors.unlabelled_joins(row, agreed)[:MOST_SHOWN],
            "counts": [(kind, row.candidates.filter(kind=kind).count()) for kind in KINDS],
            "finalisation": row.finalisations.select_related("ground_truth").first(),
            "labels": CLASSES,
        }
    return render(request, "organisers/workshop.html", context)


@organiser(*MAY_SEE)
def batch(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """The segments of the batch `?n=`: pictures, labels, and buttons with keys."""
    row, number = _workshop(request, pk, *MAY_SEE), _number(request.GET, "n")
    segments = selectors.with_choice(selectors.segments_of(row, number), request.user)
    if not segments:
        raise Http404
    agreed = consensus(selectors.labels_of(row))
    last = row.segments.aggregate(last=Max("batch"))["last"]
    context = {
        "workshop": row,
        "batch": number,
        "next": number + 1 if number < last else None,
        "previous": number - 1 if number else None,
        "segments": segments,
        "suggestion": selectors.suggestions(row, agreed.label).get(number),
        "labels": CLASSES,
        "view": _viewer(request, row),
    }
    return render(request, "organisers/workshop_batch.html", context)


@organiser(*MAY_SEE)
def picture(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """The picture of the segment `?segment=`, or of the candidate `?candidate=`."""
    shop = _workshop(request, pk, *MAY_SEE)
    row = _segment(shop, request.GET) or _candidate(shop, request.GET)
    if row is None or not row.picture:
        raise Http404
    answer = HttpResponse(bytes(row.picture), content_type="image/webp")
    answer.headers["Cache-Control"] = "private, max-age=86400"
    return answer


def _segment(shop: Workshop, query: QueryDict) -> Segment | None:
    return get_object_or_404(shop.segments, name=query["segment"]) if "segment" in query else None


def _candidate(shop: Workshop, query: QueryDict) -> Candidate | None:
    return get_object_or_404(shop.candidates, name=query["candidate"]) if "candidate" in query else None


def _viewer(request: AuthenticatedRequest, shop: Workshop) -> str:
    """Address that opens Neuroglancer, up to the query that says on what; empty where there is nothing to open."""
    if not shop.view_files:
        return ""
    state = request.build_absolute_uri(reverse("organise_workshop_view_state", args=[shop.pk]))
    return f"{reverse('viewer', args=[''])}#!{state}"


@organiser(*MAY_SEE)
def view_state(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """Neuroglancer's state for the candidate `?candidate=`, the segment `?segment=`, or the batch `?n=`; with
    `?this_side=` and `?other_side=` for the points of a cut."""
    shop = _workshop(request, pk, *MAY_SEE)
    if not shop.view_files:
        raise Http404
    sources = {"segmentation": request.build_absolute_uri(reverse("organise_workshop_view_file", args=[pk, ""]))}
    image = stored_image(shop.volume, in_viewer=True)
    if image:
        path = reverse("image_file", args=[image.benchmark.slug, image.pk, ""])
        sources["image"] = request.build_absolute_uri(path)
    if "this_side" in request.GET:
        return JsonResponse(_points_state(shop, sources, request.GET))
    segment, candidate = _segment(shop, request.GET), _candidate(shop, request.GET)
    if candidate:
        found = candidate_of_json(candidate.data)
        return JsonResponse(view_files.state(shop, sources, candidate.data["correction"]["segments"], candidate=found))
    if segment:
        return JsonResponse(view_files.state(shop, sources, [segment.name], segment.anchor_zyx))
    members = list(selectors.segments_of(shop, _number(request.GET, "n")).values_list("name", flat=True))
    return JsonResponse(view_files.state(shop, sources, members))


def _points_state(shop: Workshop, sources: dict[str, str], query: QueryDict) -> dict[str, Any]:
    """Two layers in which points are placed, with those that the form has already."""
    sides = [point_cuts.points_in(query.get(side, "")) for side in ("this_side", "other_side")]
    segment = shop.segments.filter(name=query.get("segment", "")).first()
    first = [*sides[0], *sides[1], *([segment.anchor_zyx] if segment else [])]
    points = dict(zip(view_files.SIDES, sides, strict=True))
    names = [name for name in (query.get("segment", ""),) if name.isdecimal()]
    return view_files.state(shop, sources, names, first[0] if first else None, points=points)


@organiser(*MAY_SEE)
def view_file(request: AuthenticatedRequest, pk: int, name: str) -> FileResponse:
    """A file of the segmentation or of its skeletons."""
    shop = _workshop(request, pk, *MAY_SEE)
    return shown_precomputed(view_files.folder_of(shop), name, SEGMENTATION)


@require_POST
@organiser(MAY_CHANGE)
def label(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """Store a label of the chosen segments, then show what is left of their `batch`, else `next` or the workshop."""
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
    if "batch" not in request.POST:
        return redirect("organise_workshop", pk=pk)
    number = _number(request.POST, "batch")
    if selectors.is_labelled(row, number, request.user):
        number = _number(request.POST, "next")
    return redirect(f"{reverse('organise_workshop_batch', args=[pk])}?n={number}")


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
        "view": _viewer(request, row),
        "previous": max(0, start - MOST_SHOWN) if start else None,
        "next": start + MOST_SHOWN if found.filter(place__gte=start + MOST_SHOWN).exists() else None,
        "candidates": selectors.with_decision(found[start : start + MOST_SHOWN]),
        "verdicts": VERDICTS,
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


@organiser(*MAY_SEE)
def cut(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """A form for the points of a cut, begun from `?candidate=` or the cut `?n=`; and what a worker made of that cut."""
    row = _workshop(request, pk, *MAY_SEE)
    shown = get_object_or_404(row.point_cuts, pk=_number(request.GET, "n")) if "n" in request.GET else None
    candidate = _candidate(row, request.GET)
    if shown:
        form = point_cuts.form_of(point_cuts.correction_of(shown))
    elif candidate:
        form = point_cuts.form_of(candidate_of_json(candidate.data).correction)
    else:
        form = {name: request.GET.get(name, "") for name in point_cuts.FIELDS}
    made = []
    if shown and shown.candidate_id:
        made = selectors.with_decision(selectors.candidates_of(row, MERGER).filter(pk=shown.candidate_id))
    context = {
        "workshop": row,
        "form": form,
        "cut": shown,
        "candidate": made[0] if made else None,
        "cuts": row.point_cuts.select_related("created_by")[:MOST_SHOWN],
        "view": _viewer(request, row),
        "verdicts": VERDICTS,
    }
    return render(request, "organisers/workshop_cut.html", context)


@require_POST
@organiser(MAY_CHANGE)
def request_cut(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """Have a worker part a segment by points."""
    row = _workshop(request, pk, MAY_CHANGE)
    fields = {name: request.POST.get(name, "") for name in point_cuts.FIELDS}
    try:
        query = {"n": str(point_cuts.request_cut(workshop=row, by=request.user, **fields).pk)}
    except services.NotPossible as refusal:
        messages.error(request, str(refusal))
        query = {name: text[: point_cuts.MOST_KEPT] for name, text in fields.items()}
    return redirect(f"{reverse('organise_workshop_cut', args=[pk])}?{urlencode(query)}")


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
