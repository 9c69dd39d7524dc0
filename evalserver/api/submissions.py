"""Submissions: what the pages can do, for programs."""

import json
from typing import Literal

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Router, Status

from evalserver.accounts.models import Team, User
from evalserver.accounts.requests import AuthenticatedRequest
from evalserver.api.auth import PUBLIC_SECURITY, public, reader, submitter
from evalserver.api.outputs import ABOUT, diagnosis_out, evaluation_out, evaluations_out, submission_out
from evalserver.api.problems import Problem
from evalserver.api.schemas.common import PROBLEMS, PageNumber, ProblemOut, Slug
from evalserver.api.schemas.results import DiagnosisOut, EvaluationsOut
from evalserver.api.schemas.submissions import ReferenceIn, SubmissionEdit, SubmissionIn, SubmissionOut, SubmissionPage
from evalserver.benchmarks.models import Phase, Volume
from evalserver.benchmarks.selectors import phase_or_404, visible_benchmark_or_404
from evalserver.csv_text import csv_file, csv_text
from evalserver.submissions import metadata, selectors, services
from evalserver.submissions.models import Submission
from evalserver.submissions.results.selectors import result_of
from evalserver.uploads.models import Upload
from evalserver.uploads.store import UploadedBefore

router = Router(tags=["submissions"])

PAGE_SIZE = 50
StatusName = Literal["uploaded", "running", "scored", "rejected", "failed"]
ACTIONS = {
    "publish": services.publish_submission,
    "unpublish": services.unpublish_submission,
    "withdraw": services.withdraw_submission,
    "cancel": services.cancel_submission,
}
ActionName = Literal["publish", "unpublish", "withdraw", "cancel"]


@router.get("", auth=reader, response={200: SubmissionPage, PROBLEMS: ProblemOut})
def list_submissions(
    request: AuthenticatedRequest,
    benchmark: Slug | None = None,
    status: StatusName | None = None,
    page: PageNumber = 1,
) -> SubmissionPage:
    """Your teams' submissions, newest first."""
    rows = selectors.team_submissions(request.user)
    if benchmark:
        rows = rows.filter(phase__benchmark__slug=benchmark)
    if status:
        rows = rows.filter(status=status)
    found = Paginator(rows, PAGE_SIZE).get_page(page)
    return SubmissionPage(
        count=found.paginator.count,
        page=found.number,
        pages=found.paginator.num_pages,
        items=[submission_out(row, request.user) for row in found],
    )


@router.post("", auth=submitter, response={201: SubmissionOut, PROBLEMS: ProblemOut})
def create_submission(request: AuthenticatedRequest, data: SubmissionIn) -> "Status[SubmissionOut]":
    """Submit finished uploads, one for each volume of the phase. A worker evaluates them."""
    benchmark = visible_benchmark_or_404(request, data.benchmark)
    phase = phase_or_404(benchmark, data.phase)
    team = _team(request.user, data.team)
    uploads = _ready_uploads(request.user, phase, data.files)
    files = {volume: UploadedBefore(upload) for volume, upload in uploads.items()}
    try:
        submission = services.create_submission(
            team=team,
            user=request.user,
            phase=phase,
            method_name=data.method.strip(),
            description=data.description,
            publish=data.publish,
            about={
                **{name: getattr(data, name) for name in ABOUT},
                "supersedes": _entry_of(team, data.supersedes),
                "run_of": _entry_of(team, data.run_of),
            },
            files=files,
        )
    except services.NotAccepted as refusal:
        # The same request, sent before, may have ended meanwhile: then its submission is the answer.
        _ready_uploads(request.user, phase, data.files)
        raise Problem(409, "not_accepted", str(refusal)) from None
    finally:
        for file in files.values():
            file.close()
    return Status(201, submission_out(submission, request.user))


@router.get(
    "/{slug:code}",
    auth=public,
    response={200: SubmissionOut, PROBLEMS: ProblemOut},
    openapi_extra=PUBLIC_SECURITY,
)
def get_submission(request: HttpRequest, code: str) -> SubmissionOut:
    """A published submission, or one of your teams' with its progress and the reasons for a rejection."""
    submission = _visible(request, code)
    return submission_out(submission, request.user, may_manage=_is_ours(request, submission))


@router.patch("/{slug:code}", auth=submitter, response={200: SubmissionOut, PROBLEMS: ProblemOut})
def edit_submission(request: AuthenticatedRequest, code: str, data: SubmissionEdit) -> SubmissionOut:
    """Rename a submission of your team or change its description. A field that is left out does not change."""
    submission = _managed(request, code)
    changes = data.dict(exclude_none=True)
    if "method" in changes:
        changes["method_name"] = changes.pop("method").strip()
    if "supersedes" in changes:
        changes["supersedes"] = _entry_of(submission.team, changes["supersedes"])
    try:
        metadata.describe_submission(submission, changes)
    except metadata.BadSuccession as refusal:
        raise Problem(409, "not_accepted", str(refusal)) from None
    return submission_out(_managed(request, code), request.user)


@router.get(
    "/{slug:code}/evaluations",
    auth=public,
    response={200: EvaluationsOut, PROBLEMS: ProblemOut},
    openapi_extra=PUBLIC_SECURITY,
)
def get_evaluations(request: HttpRequest, code: str) -> EvaluationsOut:
    """The result per volume, under the current ruler or else the latest one."""
    return evaluations_out(_visible(request, code))


@router.get(
    "/{slug:code}/diagnoses",
    auth=public,
    response={200: list[DiagnosisOut], PROBLEMS: ProblemOut},
    openapi_extra=PUBLIC_SECURITY,
)
def get_diagnoses(request: HttpRequest, code: str) -> list[DiagnosisOut]:
    """The diagnosis per volume, without ground truth. It is computed after the score; see `status`."""
    submission = _visible(request, code)
    files = selectors.files_of(submission).filter(diagnosis__isnull=False).select_related("diagnosis")
    return [diagnosis_out(submission, row, request.user) for row in files]


CSV_COLUMNS = (
    *("submission", "volume", "erl_nm", "gt_erl_nm", "normalized_erl", "correct_nm", "omitted_nm", "split_nm"),
    *("merged_nm", "total_nm", "mergers", "skeletons", "tolerance_nodes", "scoring_variant"),
    *("metric_version", "ground_truth_checksum", "withheld"),
)


@router.get(
    "/{slug:code}/evaluations.csv",
    auth=public,
    response={PROBLEMS: ProblemOut},
    openapi_extra={
        **PUBLIC_SECURITY,
        "responses": {200: {"description": "OK", "content": {"text/csv": {"schema": {"type": "string"}}}}},
    },
)
def get_evaluations_csv(request: HttpRequest, code: str) -> HttpResponse:
    """The result as CSV, one line per volume."""
    submission = _visible(request, code)
    result = result_of(submission)
    rows = []
    for volume in result.volumes if result else []:
        row = evaluation_out(volume).dict()
        row |= {f"{name}_nm": value for name, value in (row.pop("edges_nm") or {}).items()}
        row["submission"] = submission.code
        rows.append([row.get(name) for name in CSV_COLUMNS])
    return csv_file(csv_text(CSV_COLUMNS, rows), submission.code)


@router.post("/{slug:code}/reference", auth=submitter, response={200: SubmissionOut, PROBLEMS: ProblemOut})
def make_reference(request: AuthenticatedRequest, code: str, data: ReferenceIn) -> SubmissionOut:
    """Mark an entry as a reference that anybody can reproduce. Only organisers can do this."""
    submission = _managed(request, code)
    if not request.user.is_staff:
        raise Problem(403, "forbidden", "Only organisers can make reference entries.")
    if "\\u0000" in json.dumps(data.provenance):
        raise Problem(422, "invalid", "provenance holds a NUL character.")
    metadata.mark_reference(submission, command=data.command.strip(), provenance=data.provenance)
    return submission_out(_managed(request, code), request.user)


# Last, because every word would fit its address.
@router.post("/{slug:code}/{action}", auth=submitter, response={200: SubmissionOut, PROBLEMS: ProblemOut})
def act_on_submission(request: AuthenticatedRequest, code: str, action: ActionName) -> SubmissionOut:
    """Publish, take off the leaderboard (unpublish), withdraw for good, or cancel before a worker begins."""
    submission = _managed(request, code)
    if not ACTIONS[action](submission):
        current = _managed(request, code)
        raise Problem(
            409, "not_possible", f"The submission is {current.status}; {action} is not possible now.",
            {"status": current.status},
        )  # fmt: skip
    return submission_out(_managed(request, code), request.user)


def _visible(request: HttpRequest, code: str) -> Submission:
    rows = selectors.visible_submissions(request.user).select_related("team", "phase__benchmark")
    return get_object_or_404(rows, code=code)


def _is_ours(request: HttpRequest, submission: Submission) -> bool:
    reads = selectors.may_read_of(request.user, submission.phase.benchmark_id)
    return reads or selectors.may_manage(request.user, submission)


def _managed(request: HttpRequest, code: str) -> Submission:
    """A submission of one of the asker's teams; others do not exist for this purpose."""
    submission = get_object_or_404(Submission.objects.select_related("team", "phase__benchmark"), code=code)
    if not selectors.may_manage(request.user, submission):
        raise Http404
    return submission


def _team(user: User, pk: int | None) -> Team:
    teams = list(Team.objects.filter(members=user).order_by("-is_personal", "pk"))
    if pk is not None:
        teams = [team for team in teams if team.pk == pk]
        if not teams:
            raise Problem(404, "not_found", f"You belong to no team of the id {pk}. GET me lists yours.")
    if not teams:
        raise Problem(409, "not_accepted", services.NO_TEAM)
    return teams[0]


def _entry_of(team: Team, code: str) -> Submission | None:
    """The entry of the team that a newer one replaces or is a run of; the services look whether it may."""
    if not code:
        return None
    found = Submission.objects.filter(team=team, code=code).first()
    if found is None:
        raise Problem(404, "not_found", f"{team.name} has no submission {code}.")
    return found


def _ready_uploads(user: User, phase: Phase, codes: dict[str, str]) -> dict[Volume, Upload]:
    """The named uploads by volume. Raises Problem with what is wrong about each."""
    volumes = {volume.slug: volume for volume in phase.volumes.all()}
    unknown = sorted(set(codes) - set(volumes))
    if unknown:
        raise Problem(
            404, "unknown_volume", f"This phase has no volume {', '.join(unknown)}; it has {', '.join(volumes)}."
        )
    if len(set(codes.values())) != len(codes):
        raise Problem(409, "not_accepted", "One upload is named for two volumes.")
    found = {row.code: row for row in Upload.objects.filter(user=user, code__in=codes.values())}
    states = {slug: found[code].state if code in found else "missing" for slug, code in codes.items()}
    if any(state != Upload.DONE_STATUS for state in states.values()):
        used_by = {slug: found[code].used_by for slug, code in codes.items() if code in found and found[code].used_by}
        words = ", ".join(f"{slug}: {state}" for slug, state in sorted(states.items()))
        raise Problem(
            409, "upload_not_ready", f"Every upload must be ready ({words}).", {"states": states, "used_by": used_by}
        )
    return {volumes[slug]: found[code] for slug, code in codes.items()}
