"""Dashboard, requests to take part, submissions, queue, audit log and export."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from evalserver.accounts.requests import AuthenticatedRequest
from evalserver.benchmarks import services as benchmark_services
from evalserver.benchmarks.models import Benchmark, Participation
from evalserver.benchmarks.roles import benchmarks_with
from evalserver.jobs.health import NotStopped, queue_health, stop
from evalserver.organisers import selectors
from evalserver.organisers.access import note, organiser
from evalserver.site import opened
from evalserver.submissions import services
from evalserver.submissions.evaluation.diagnosis import request_diagnoses
from evalserver.submissions.evaluation.error_pictures import request_pictures
from evalserver.submissions.evaluation.leftovers import last_summary
from evalserver.submissions.evaluation.rescore import queue_rescore
from evalserver.submissions.models import Submission
from evalserver.submissions.results import export_job

PAGE_SIZE = 50


@organiser(any_role=True)
def dashboard(request: AuthenticatedRequest) -> HttpResponse:
    """What waits for the organiser."""
    return render(request, "organisers/dashboard.html", selectors.overview(request.user))


def _page(request: AuthenticatedRequest, rows: QuerySet[Any]) -> Any:
    return Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))


READ_REQUESTS = ("benchmarks.view_participation", "benchmarks.change_participation")
READ_SUBMISSIONS = ("submissions.view_submission", "submissions.change_submission")


@organiser(*READ_REQUESTS)
def requests(request: AuthenticatedRequest) -> HttpResponse:
    """Teams that ask to take part."""
    rows = Participation.objects.filter(benchmark__in=benchmarks_with(request.user, *READ_REQUESTS))
    rows = rows.select_related("team", "benchmark", "decided_by")
    waiting = Participation.Status.REQUESTED
    context = {
        "waiting": rows.filter(status=waiting).order_by("requested_at"),
        "page": _page(request, rows.exclude(status=waiting).order_by("-decided_at")),
        "changes": set(benchmarks_with(request.user, "benchmarks.change_participation")),
    }
    return render(request, "organisers/requests.html", context)


ANSWERS = {"approve": Participation.Status.APPROVED, "decline": Participation.Status.DECLINED}


@require_POST
@organiser("benchmarks.change_participation")
def answer(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """Approve or decline a request to take part; the team is mailed."""
    mine = Participation.objects.filter(benchmark__in=benchmarks_with(request.user, "benchmarks.change_participation"))
    row = get_object_or_404(mine.select_related("team", "benchmark"), pk=pk)
    status = ANSWERS.get(request.POST.get("answer", ""))
    if status is None:
        raise Http404
    if benchmark_services.decide_participation(participation=row, status=status, by=request.user):
        note(request.user, row, status.value)
        messages.success(request, f"{row.team}: {status.value}. Its members are told by mail.")
    return redirect("organise_requests")


@organiser(*READ_SUBMISSIONS)
def submissions(request: AuthenticatedRequest) -> HttpResponse:
    """Submissions of all teams, with a search."""
    asked = {name: request.GET.get(name, "") for name in ("q", "status", "benchmark")}
    mine = benchmarks_with(request.user, *READ_SUBMISSIONS)
    rows = selectors.submissions(mine, text=asked["q"], status=asked["status"], benchmark=asked["benchmark"])
    context = {
        "page": _page(request, rows),
        "asked": asked,
        "statuses": selectors.STATUSES,
        "benchmarks": mine,
        "changes": set(benchmarks_with(request.user, "submissions.change_submission")),
        "actions": [(name, words) for name, (words, _) in ACTIONS.items()],
        "here": request.get_full_path(),
    }
    return render(request, "organisers/submissions.html", context)


def _diagnose(row: Submission) -> bool:
    return row.status == Submission.DONE_STATUS and request_diagnoses(row) + request_pictures(row) > 0


# What a button says, and the change, False where it is not possible or was made before.
ACTIONS = {
    "hide": ("Hide from everybody but its team", services.hide_submission),
    "show": ("Show again", services.show_submission),
    "again": ("Evaluate again (failed or rejected; does not count)", services.retry_submission),
    "rescore": ("Re-score", queue_rescore),
    "diagnose": ("Diagnose", _diagnose),
}


@require_POST
@organiser("submissions.change_submission")
def change_submissions(request: AuthenticatedRequest) -> HttpResponse:
    """Carry out one action on the submissions that are ticked."""
    words, change = ACTIONS.get(request.POST.get("action", ""), ("", None))
    if change is None:
        raise Http404
    mine = benchmarks_with(request.user, "submissions.change_submission")
    chosen = list(Submission.objects.filter(phase__benchmark__in=mine, code__in=request.POST.getlist("code")))
    done = [row for row in chosen if change(row)]
    for row in done:
        note(request.user, row, words)
    if not chosen:
        messages.error(request, "Tick the submissions first.")
    else:
        say = messages.success if len(done) == len(chosen) else messages.warning
        say(request, f"{words}: {len(done)} of {len(chosen)}.")
    return redirect(f"{request.path.removesuffix('change/')}?{request.POST.get('state', '')}")


@organiser()
def queue(request: AuthenticatedRequest) -> HttpResponse:
    """Workers, waiting, running and failed jobs; `?part=state` is the part that the page fetches again."""
    template = "organisers/_queue.html" if request.GET.get("part") == "state" else "organisers/queue.html"
    health = queue_health(request.user)
    context = {"health": health, "leftovers": last_summary(), "leftover_days": settings.LEFTOVER_DAYS}
    return render(request, template, context)


@require_POST
@organiser()
def stop_job(request: AuthenticatedRequest) -> HttpResponse:
    """End one job that waits or runs; `stop` looks whether this organiser may."""
    try:
        job = stop(request.POST.get("job", ""), by=request.user)
    except NotStopped as reason:
        messages.error(request, str(reason))
    else:
        messages.success(request, f"{job} is stopped. Its worker is free within a few seconds.")
    return redirect("organise_queue")


@organiser("admin.view_logentry")
def audit_log(request: AuthenticatedRequest) -> HttpResponse:
    """Who changed what."""
    text = request.GET.get("q", "")
    return render(
        request, "organisers/audit_log.html", {"page": _page(request, selectors.audit_log(text)), "text": text}
    )


@require_POST
@organiser("benchmarks.change_benchmark")
def request_export(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    """Have a worker write the archive of a benchmark."""
    benchmark = get_object_or_404(Benchmark, slug=slug)
    export_job.request_export(benchmark, request.user)
    note(request.user, benchmark, "export asked for")
    return redirect(reverse("organise_benchmark", args=[slug]) + "#export")


@organiser("benchmarks.change_benchmark")
def export_state(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    """The part of a benchmark's page that waits for its archive."""
    benchmark = get_object_or_404(Benchmark, slug=slug)
    context = {"benchmark": benchmark, "export": export_job.newest_export(benchmark)}
    return render(request, "organisers/_export.html", context)


@organiser("benchmarks.change_benchmark")
def export(request: AuthenticatedRequest, slug: str) -> FileResponse:
    """The archive of a benchmark, with exact scores on hidden ground truth."""
    benchmark = get_object_or_404(Benchmark, slug=slug)
    row = export_job.newest_export(benchmark)
    if row is None or not row.file:
        raise Http404
    file = opened(row.file.name)
    note(request.user, benchmark, "exported")
    return FileResponse(file, as_attachment=True, filename=f"{slug}-{row.created_at:%Y-%m-%d}.zip")
