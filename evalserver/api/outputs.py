"""From rows to the API's answers."""

from typing import Any, cast

from django.urls import reverse

from evalserver.api.schemas.account import TeamOut, UploadOut
from evalserver.api.schemas.common import ComplaintOut
from evalserver.api.schemas.results import (
    DiagnosisOut,
    DiagnosisStatus,
    EdgesOut,
    EvaluationOut,
    EvaluationsOut,
    HeadlineOut,
)
from evalserver.api.schemas.submissions import FileOut, SubmissionOut
from evalserver.jobs import WAITING
from evalserver.submissions import selectors
from evalserver.submissions.marks import MARK_FIELDS
from evalserver.submissions.models import Submission, VolumeFile
from evalserver.submissions.results import downloads
from evalserver.submissions.results.result_page import VolumeResult
from evalserver.submissions.results.selectors import Result, result_of
from evalserver.uploads.models import Upload

ABOUT = ("paper_url", "code_url", "model_url", "training_data", "compute", *MARK_FIELDS)


def submission_out(submission: Submission, reader: Any, *, may_manage: bool = True) -> SubmissionOut:
    """reader : who asks. may_manage : the reader is of its team, and sees files and reasons too."""
    around = selectors.versions_around(submission, reader) | selectors.runs_around(submission, reader)
    return SubmissionOut(
        code=submission.code,
        method=submission.method_name,
        description=submission.description,
        **{name: getattr(submission, name) for name in ABOUT},
        supersedes=around["superseded"].code if around["superseded"] else None,
        superseded_by=[newer.code for newer in around["successors"]],
        run_of=around["entry"].code if around["entry"] else None,
        runs=[run.code for run in around["runs"]],
        is_reference=submission.is_reference,
        reproduce_command=submission.reproduce_command,
        benchmark=submission.phase.benchmark.slug,
        phase=submission.phase.slug,
        team=TeamOut(id=submission.team_id, name=submission.team.name),
        status=submission.status,
        stage=submission.stage,
        percent=submission.percent,
        seconds_left=submission.seconds_left,
        waiting_before=selectors.waiting_before(submission) if submission.status == WAITING else None,
        complaints=[ComplaintOut(**row) for row in submission.complaints] if may_manage else [],
        incident_id=submission.incident_id if may_manage else "",
        visibility=visibility(submission),
        created_at=submission.created_at,
        finished_at=submission.finished_at,
        published_at=submission.published_at,
        withdrawn_at=submission.withdrawn_at,
        headline=headline_out(result_of(submission, reports=False)) if not submission.is_active else None,
        files=_files_out(submission) if may_manage else None,
        page=reverse("submission", args=[submission.code]),
    )


def visibility(submission: Submission) -> str:
    """hidden (by an organiser), withdrawn, published or private."""
    if submission.hidden_at:
        return "hidden"
    if submission.withdrawn_at:
        return "withdrawn"
    return "published" if submission.published_at else "private"


def _files_out(submission: Submission) -> list[FileOut]:
    return [
        FileOut(
            volume=f.volume.slug,
            name=f.original_name,
            size_bytes=f.size_bytes,
            sha256=f.sha256,
            warnings=f.warnings,
            is_node_table=f.is_node_table,
        )
        for f in selectors.files_of(submission)
    ]


def headline_out(result: Result | None) -> HeadlineOut | None:
    """The numbers that rank; None without a result."""
    if result is None:
        return None
    return HeadlineOut(
        mean_erl_nm=result.headline.mean_erl_nm,
        mean_normalized_erl=result.headline.mean_normalized_erl,
        headline=result.headline.ranked,
        lower_is_better=result.headline.rule.lower_is_better,
        metric_version=result.score.metric_version,
        is_current=result.is_current,
    )


def evaluations_out(submission: Submission) -> EvaluationsOut:
    """The result of each volume, as the caller may see it."""
    result = result_of(submission)
    return EvaluationsOut(
        submission=submission.code,
        headline=headline_out(result),
        evaluations=[evaluation_out(volume) for volume in result.volumes] if result else [],
    )


def diagnosis_out(submission: Submission, volume_file: VolumeFile, user: Any) -> DiagnosisOut:
    """A diagnosis; places only where the caller may see them."""
    diagnosis = volume_file.diagnosis
    places = selectors.may_see_places(user, submission, volume_file.volume)
    return DiagnosisOut(
        volume=volume_file.volume.slug,
        status=cast(DiagnosisStatus, diagnosis.status),
        stage=diagnosis.stage,
        percent=diagnosis.percent,
        complaints=[c["message"] for c in diagnosis.complaints],
        report=downloads.diagnosis_json(diagnosis, places=places) if diagnosis.report else None,
    )


def evaluation_out(result: VolumeResult) -> EvaluationOut:
    """Names the figures one by one: what a later report holds beyond them is not shown by accident."""
    evaluation, score, report = result.evaluation, result.score, result.report
    edges = report.get("edges_nm")
    return EvaluationOut(
        volume=result.volume.slug,
        erl_nm=score.erl_nm,
        gt_erl_nm=score.gt_erl_nm,
        normalized_erl=score.normalized_erl,
        figures={name: value for name, value in score.figures.items() if name not in ("erl_nm", "normalized_erl")},
        withheld=score.withheld,
        tolerance_nodes=evaluation.tolerance_nodes,
        tolerance_um=report.get("tolerance_um"),
        voxel_size_nm=result.volume.voxel_size_nm_zyx,
        edges_nm=EdgesOut(**{k: edges[k] for k in EdgesOut.model_fields}) if edges else None,
        mergers=report.get("mergers"),
        skeletons=report.get("skeletons"),
        no_merge_mask=report.get("no_merge_mask"),
        rounded_to=report.get("rounded_to"),
        follows_volume=report.get("follows_volume"),
        metric_version=evaluation.metric_version,
        scoring_variant=evaluation.scoring_variant,
        ground_truth_checksum=evaluation.ground_truth_checksum,
        code_version=evaluation.code_version,
        created_at=evaluation.created_at,
    )


def upload_out(upload: Upload) -> UploadOut:
    """A resumable upload and how much of it has arrived."""
    return UploadOut(
        code=upload.code,
        tus_url=reverse("tus_upload", args=[upload.code]),
        file_name=upload.file_name,
        size_bytes=upload.size_bytes,
        offset=upload.offset,
        percent=upload.percent if upload.state == "checking" else upload.percent_received,
        state=upload.state,
        declared_sha256=upload.declared_sha256,
        sha256=upload.sha256,
        benchmark=upload.benchmark_slug,
        volume=upload.volume_slug,
        complaints=[ComplaintOut(code=c["code"], message=c["message"]) for c in upload.complaints],
        used_by=upload.used_by,
        created_at=upload.created_at,
        expires_at=upload.expires_at,
    )
