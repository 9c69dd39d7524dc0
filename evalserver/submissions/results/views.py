"""Pages of submissions: the team's list, one submission, its description, its downloads."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.gzip import gzip_page

from evalserver.accounts.requests import AuthenticatedRequest
from evalserver.csv_text import csv_file
from evalserver.jobs import WAITING
from evalserver.site import opened, shown_file, site_url
from evalserver.submissions import metadata, selectors
from evalserver.submissions.edit_form import MetadataForm
from evalserver.submissions.evaluation.error_pictures import picture_name
from evalserver.submissions.models import Diagnosis, Submission
from evalserver.submissions.results import downloads
from evalserver.submissions.results.result_page import VolumeResult
from evalserver.submissions.results.selectors import Result, result_of, runs_table, with_headlines
from evalserver.uploads.selectors import uploads_of

TABLES = ("axons", "errors")


@login_required
def my_submissions(request: AuthenticatedRequest) -> HttpResponse:
    """Submissions and uploads of the visitor's teams."""
    context = {
        "submissions": with_headlines(selectors.team_submissions(request.user)[:200]),
        "uploads": uploads_of(request.user),
    }
    return render(request, "submissions/list.html", context)


def _detail_context(request: HttpRequest, code: str) -> dict[str, Any]:
    submission = get_object_or_404(
        selectors.visible_submissions(request.user).select_related("team", "phase__benchmark"), code=code
    )
    return {
        "submission": submission,
        "benchmark": submission.phase.benchmark,
        "result": result_of(submission) if not submission.is_active else None,
        "waiting": selectors.waiting_before(submission) if submission.status == WAITING else 0,
        "files": selectors.files_of(submission),
        "may_manage": selectors.may_manage(request.user, submission),
        "is_public": selectors.public_entries().filter(pk=submission.pk).exists(),
        "site": site_url(""),
        "reads_all": selectors.may_read_of(request.user, submission.phase.benchmark_id),
        **selectors.versions_around(submission, request.user),
        "runs_table": runs_table(submission, request.user) if not submission.is_active else None,
    }


@gzip_page  # a hundred kB, most of it plots
def detail(request: HttpRequest, code: str) -> HttpResponse:
    """The page of a result."""
    return render(request, "submissions/detail.html", _detail_context(request, code))


def progress(request: HttpRequest, code: str) -> HttpResponse:
    """The part of the detail page that changes while a submission is evaluated."""
    return render(request, "submissions/_progress.html", _detail_context(request, code))


@login_required
def edit(request: AuthenticatedRequest, code: str) -> HttpResponse:
    """Change what a submission says of itself; its result stays."""
    submission = get_object_or_404(Submission.objects.select_related("team", "phase__benchmark"), code=code)
    if not selectors.may_manage(request.user, submission):
        raise Http404
    form = MetadataForm(request.POST or None, instance=submission)
    if request.method == "POST" and form.is_valid():
        metadata.describe_submission(submission, form.cleaned_data)
        messages.success(request, "Saved. The result has not changed.")
        return redirect("submission", code=code)
    context = {"submission": submission, "form": form}
    return render(request, "submissions/edit.html", context, status=422 if form.errors else 200)


def _visible_result(request: HttpRequest, code: str) -> tuple[Submission, Result]:
    rows = selectors.visible_submissions(request.user).filter(status=Submission.DONE_STATUS)
    submission = get_object_or_404(rows.select_related("team", "phase__benchmark"), code=code)
    result = result_of(submission)
    if result is None:
        raise Http404
    return submission, result


def volume_result(request: HttpRequest, code: str, volume: str) -> tuple[Submission, VolumeResult]:
    """One volume of a result that the reader may see; 404 for all others."""
    submission, result = _visible_result(request, code)
    found = next((v for v in result.volumes if v.volume.slug == volume), None)
    if found is None:
        raise Http404
    return submission, found


def _diagnosed(request: HttpRequest, code: str, volume: str) -> tuple[Submission, VolumeResult, Diagnosis]:
    submission, found = volume_result(request, code, volume)
    if found.diagnosis is None:
        raise Http404
    return submission, found, found.diagnosis


def result_json(request: HttpRequest, code: str) -> HttpResponse:
    """The result as JSON."""
    return JsonResponse(downloads.result_json(*_visible_result(request, code)))


def result_csv(request: HttpRequest, code: str) -> HttpResponse:
    """The result as a table."""
    return csv_file(downloads.result_csv(downloads.result_json(*_visible_result(request, code))), code)


def volume_table(request: HttpRequest, code: str, volume: str, table: str) -> HttpResponse:
    """Per-axon figures or error positions, where the ground truth is public."""
    if table not in TABLES:
        raise Http404
    _, found = volume_result(request, code, volume)
    try:
        return csv_file(downloads.volume_table(found.evaluation, table), f"{code}-{volume}-{table}")
    except downloads.NotOffered as reason:
        return HttpResponse(f"{reason}\n", status=reason.status, content_type="text/plain; charset=utf-8")


def worst_errors(request: HttpRequest, code: str, volume: str) -> HttpResponse:
    """The part of the result page that waits for the pictures of the worst errors."""
    submission, found = volume_result(request, code, volume)
    return render(request, "submissions/_worst_errors.html", {"submission": submission, "volume": found})


def error_picture(request: HttpRequest, code: str, volume: str, number: int) -> FileResponse:
    """Picture of one of the worst errors, from 1, where the ground truth is public."""
    _, found = volume_result(request, code, volume)
    if not 1 <= number <= found.n_pictures:
        raise Http404
    return shown_file(picture_name(found.evaluation, number), "image/webp")


def diagnosis(request: HttpRequest, code: str, volume: str) -> HttpResponse:
    """The part of the result page that waits for the diagnosis."""
    submission, found, job = _diagnosed(request, code, volume)
    context = {
        "submission": submission,
        "volume": found,
        "diagnosis": job,
        "may_manage": selectors.may_manage(request.user, submission),
        "reads_all": selectors.may_read_of(request.user, submission.phase.benchmark_id),
    }
    return render(request, "submissions/_diagnosis.html", context)


def diagnosis_json(request: HttpRequest, code: str, volume: str) -> HttpResponse:
    """The diagnosis of a volume; places only for those who may see them."""
    submission, found, job = _diagnosed(request, code, volume)
    places = selectors.may_see_places(request.user, submission, found.volume)
    return JsonResponse(downloads.diagnosis_json(job, places=places))


def diagnosis_skeletons(request: HttpRequest, code: str, volume: str) -> FileResponse:
    """The segmentation's own skeletons, for its team."""
    submission, _, job = _diagnosed(request, code, volume)
    if not job.skeletons or not (
        selectors.may_read_of(request.user, submission.phase.benchmark_id)
        or selectors.may_manage(request.user, submission)
    ):
        raise Http404
    return FileResponse(opened(job.skeletons.name), as_attachment=True, filename=f"{code}-{volume}-skeletons.npz")
