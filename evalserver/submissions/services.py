"""Changes of submissions. The status of each changes by `change_status` (`jobs/model.py`) alone."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.core.files import File
from django.db import transaction
from django.utils import timezone

from evalserver.accounts.models import Team, User
from evalserver.benchmarks.models import Phase, Volume
from evalserver.benchmarks.selectors import closed_reason
from evalserver.benchmarks.services import may_take_part
from evalserver.jobs import FAILED, REJECTED, WAITING, change_status, send
from evalserver.submissions import quota
from evalserver.submissions.metadata import relation_complaint
from evalserver.submissions.models import Submission, VolumeFile
from evalserver.uploads import display_name, file_sha256
from evalserver.uploads.services import take
from evalserver.uploads.store import UploadedBefore


class NotAccepted(Exception):
    """This submission cannot be accepted now. The message is for the participant."""


NO_TEAM = "You belong to no team: make one on the page “Teams”."


def refuse_reason(*, team: Team, phase: Phase) -> str | None:
    """Why a submission would not be accepted now; None when it would."""
    if closed := closed_reason(phase):
        return closed
    if not may_take_part(benchmark=phase.benchmark, team=team):
        return f"The organisers have not approved {team.name} yet; ask for it on the benchmark's page."
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
    about : links, facts, marks, and the entry that this one replaces or is another run of, by the name of the field
        (see `metadata.ABOUT`).
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
    if complaint := relation_complaint(submission):
        raise NotAccepted(complaint)
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
    for volume, file in files.items():
        if wrong := volume.rule.name_complaint(display_name(file.name or "")):
            return f"{volume.name}: {wrong}."
    empty = [volume.name for volume, file in files.items() if not file.size]
    return f"The file for {', '.join(empty)} is empty. Choose the file of your segmentation." if empty else None


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
    """Take an entry off the leaderboard; its team can publish it again."""
    return _set(submission, published_at=None, publish_when_scored=False)


def withdraw_submission(submission: Submission) -> bool:
    """Take a scored submission out of the competition for good; its record stays with the team."""
    return _set(submission, withdrawn_at=timezone.now(), published_at=None, filters={"withdrawn_at": None})


def hide_submission(submission: Submission) -> bool:
    """Hide it from everybody but its team and the organisers; also in a frozen ranking. False if it was hidden."""
    return Submission.objects.filter(pk=submission.pk, hidden_at=None).update(hidden_at=timezone.now()) == 1


def show_submission(submission: Submission) -> bool:
    """Show again what an organiser hid. False where it was not hidden."""
    return Submission.objects.filter(pk=submission.pk, hidden_at__isnull=False).update(hidden_at=None) == 1


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
        sources=[WAITING],
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
        target=WAITING,
        attempts=0,
        incident_id="",
        complaints=[],
    )
    if moved:
        send(submission)
    return moved
