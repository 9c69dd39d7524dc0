"""Changes of submissions."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery import current_app
from django.conf import settings
from django.core.files import File
from django.db import transaction
from django.utils import timezone

from evalserver.accounts.models import Team, User
from evalserver.benchmarks.models import Benchmark, GroundTruth, Phase, Volume
from evalserver.benchmarks.services import may_take_part
from evalserver.jobs import FAILED, REJECTED, UPLOADED, Sweep, change_status, no_release, send, stop_job, sweep
from evalserver.submissions import quota
from evalserver.submissions.evaluation import notifications, scoring
from evalserver.submissions.metadata import may_be_superseded_by
from evalserver.submissions.models import Comparison, Diagnosis, Submission, VolumeFile
from evalserver.uploads import display_name, file_sha256
from evalserver.uploads.models import Upload
from evalserver.uploads.services import remove_expired, take
from evalserver.uploads.store import UploadedBefore


class NotAccepted(Exception):
    """This submission cannot be accepted now. The message is for the participant."""


def refuse_reason(*, team: Team, phase: Phase) -> str | None:
    """Why a submission would not be accepted now; None when it would."""
    if phase.is_frozen:
        return f"The ranking of “{phase.name}” is frozen: no more submissions are taken."
    if not phase.is_open:
        return f"The phase “{phase.name}” is not open for submissions."
    if not may_take_part(benchmark=phase.benchmark, team=team):
        return f"The organisers have not approved {team.name} yet; ask for it on the benchmark's page."
    if scoring.current_ruler(phase) is None:
        return "The organisers have not registered the ground truth of every volume yet."
    if quota.slots_left(team=team, phase=phase) == 0:
        total = phase.submissions_total
        if total is not None and quota.slots_taken(team=team, phase=phase) >= total:
            return f"{team.name} has used all {total} submissions of this phase."
        return (
            f"{team.name} has used all {phase.submissions_per_day} submissions of today (UTC). "
            "A new day begins at 00:00 UTC. Rejected and failed submissions do not count, but for those that took too "
            "much time or memory to read."
        )
    return None


def create_submission(
    *,
    team: Team,
    user: User,
    phase: Phase,
    method_name: str,
    files: Mapping[Volume, "File[bytes]"],
    description: str = "",
    publish: bool = False,
    about: Mapping[str, Any] | None = None,
) -> Submission:
    """Store the files, take one of today's slots, and queue the evaluation. Raises NotAccepted.

    files : a form's files, or finished uploads as `UploadedBefore`; one for each volume of the phase.
    about : links, facts and the entry that this one replaces, by the name of the field (see `metadata.ABOUT`).
    """
    reason = refuse_reason(team=team, phase=phase) or _missing_or_empty(phase, files)
    if reason:
        raise NotAccepted(reason)
    submission = Submission(
        team=team,
        created_by=user,
        phase=phase,
        method_name=method_name,
        description=description,
        publish_when_scored=publish,
        stage="Waiting for a worker",
        **(about or {}),
    )
    earlier = submission.supersedes
    if earlier and not may_be_superseded_by(submission).filter(pk=earlier.pk).exists():
        raise NotAccepted(f"{earlier.code} is no earlier scored entry of {team.name} in this phase: it stays.")
    # Files first: storing gigabytes must not hold a transaction open.
    with _stored(submission, files) as volume_files, transaction.atomic():
        submission.save()
        try:
            quota.take_slot(submission)
        except quota.QuotaExceeded:
            raise NotAccepted(
                f"{team.name} has used all {phase.submissions_per_day} submissions of today (UTC)."
            ) from None
        for volume_file in volume_files:
            volume_file.save()
        _take_uploads(submission, files)
        send(submission)
    return submission


def _missing_or_empty(phase: Phase, files: Mapping[Volume, "File[bytes]"]) -> str | None:
    wanted = set(phase.volumes.all())
    if set(files) != wanted:
        names = ", ".join(volume.name for volume in phase.volumes.order_by("position", "pk"))
        return f"A submission has one file for each volume of the phase: {names}."
    empty = [volume.name for volume, file in files.items() if not file.size]
    return f"The file for {', '.join(empty)} is empty." if empty else None


def _take_uploads(submission: Submission, files: Mapping[Volume, "File[bytes]"]) -> None:
    for file in files.values():
        if isinstance(file, UploadedBefore) and not take(file.upload, used_by=submission.code):
            raise NotAccepted(f"Another submission has taken the upload of {file.upload.file_name}.")


@contextmanager
def _stored(submission: Submission, files: Mapping[Volume, "File[bytes]"]) -> Iterator[list[VolumeFile]]:
    """The uploads under names of our own; removed again when the block fails."""
    volume_files: list[VolumeFile] = []
    try:
        for volume, upload in files.items():
            volume_file = VolumeFile(
                submission=submission,
                volume=volume,
                original_name=display_name(upload.name or ""),
                size_bytes=upload.size or 0,
                sha256=file_sha256(upload),
            )
            volume_files.append(volume_file)
            volume_file.file.save(volume_file.original_name, upload, save=False)
        yield volume_files
    except BaseException:
        for volume_file in volume_files:
            if volume_file.file.name:
                volume_file.file.delete(save=False)
        raise


def publish_submission(submission: Submission) -> bool:
    """Put a scored submission on the leaderboard; False when it is not scored or was withdrawn."""
    return _set(submission, published_at=timezone.now(), filters={"published_at": None, "withdrawn_at": None})


def unpublish_submission(submission: Submission) -> bool:
    return _set(submission, published_at=None, publish_when_scored=False)


def withdraw_submission(submission: Submission) -> bool:
    """Take a scored submission out of the competition for good; its record stays with the team."""
    return _set(submission, withdrawn_at=timezone.now(), published_at=None, filters={"withdrawn_at": None})


def _set(submission: Submission, *, filters: dict[str, object] | None = None, **changes: object) -> bool:
    rows = Submission.objects.filter(pk=submission.pk, status=Submission.DONE_STATUS, **(filters or {}))
    rows = rows.exclude(phase__frozen_at__lte=timezone.now())
    return rows.update(**changes) == 1


@transaction.atomic
def cancel_submission(submission: Submission) -> bool:
    """Withdraw a submission that no worker has begun; its slot is given back."""
    cancelled = change_status(
        Submission,
        submission.pk,
        sources=[UPLOADED],
        target=REJECTED,
        complaints=[{"volume": "", "code": "cancelled", "message": "Cancelled by the team before evaluation."}],
    )
    if cancelled:
        quota.give_back(submission.pk)
    return cancelled


@transaction.atomic
def retry_submission(submission: Submission) -> bool:
    """Evaluate a failed or rejected submission again, at no cost to the team."""
    moved = change_status(
        Submission,
        submission.pk,
        sources=[FAILED, REJECTED],
        target=UPLOADED,
        attempts=0,
        incident_id="",
        complaints=[],
    )
    if moved:
        send(submission)
    return moved


@transaction.atomic
def stop_submission(submission: Submission) -> bool:
    """End an evaluation that waits or runs; False when it had ended.

    Its slot stays taken, and `retry_submission` sends it again. One that was being re-scored is scored as before.
    """
    scored_before = submission.scores.exists()
    stopped = stop_job(Submission, submission.pk, target=Submission.DONE_STATUS if scored_before else REJECTED)
    if stopped and not scored_before:
        notifications.queue_mail(submission.pk)
    return stopped


def rescore_submission(submission_id: int) -> str:
    """Bring a scored submission to the current metric, ground truth and tolerance; earlier records stay.

    Answers in a word: `current` (nothing to do), `rescored` (from stored labels), `queued` (the ground truth
    changed: a worker reads the files again), `skipped` (not scored, or no ground truth).
    """
    submission = Submission.objects.select_related("phase").get(pk=submission_id)
    ruler = scoring.current_ruler(submission.phase)
    if submission.status != Submission.DONE_STATUS or ruler is None:
        return "skipped"
    if submission.scores.filter(ruler=ruler).exists():
        return "current"
    ground_truths = scoring.current_ground_truths(submission.phase)
    labels = scoring.stored_labels(submission, ground_truths)
    if len(labels) == submission.files.count():
        measured = [scoring.score_labels(row) for row in labels.values()]
        with transaction.atomic():
            scoring.record(submission, measured)
        return "rescored"
    with transaction.atomic():
        moved = change_status(Submission, submission.pk, sources=[Submission.DONE_STATUS], target=UPLOADED, attempts=0)
        if moved:
            send(submission)
    return "queued" if moved else "skipped"


def rescore_benchmark(benchmark: Benchmark) -> Counter[str]:
    """Re-score every scored submission of a benchmark; how many ended in which way."""
    scored = Submission.objects.filter(phase__benchmark=benchmark, status=Submission.DONE_STATUS)
    return Counter(rescore_submission(pk) for pk in scored.values_list("pk", flat=True))


def queue_rescores(benchmark: Benchmark) -> int:
    """Have workers re-score every scored submission; how many were sent. Sending again does no harm."""
    scored = Submission.objects.filter(phase__benchmark=benchmark, status=Submission.DONE_STATUS)
    pks = list(scored.values_list("pk", flat=True))
    for pk in pks:
        current_app.send_task("evalserver.submissions.tasks.rescore_submission_task", args=[pk])
    return len(pks)


def requeue_stale() -> Sweep:
    """One round of the reconciler over all jobs; also removes what broken-off uploads left behind."""
    remove_abandoned_uploads()
    remove_expired()
    notifications.queue_overdue_mail()
    return sweep(
        [
            (Submission, notifications.end_without_result),
            (GroundTruth, no_release),
            (Upload, no_release),
            (Comparison, no_release),
            (Diagnosis, no_release),
        ]
    )


def remove_abandoned_uploads(older_than_hours: float = 48) -> int:
    """Delete temporary upload files that no request can still be writing."""
    oldest = time.time() - older_than_hours * 3600
    removed = 0
    for path in Path(settings.FILE_UPLOAD_TEMP_DIR).glob("*.upload*"):
        try:
            if path.stat().st_mtime < oldest:
                path.unlink()
                removed += 1
        except FileNotFoundError:
            continue
    return removed
