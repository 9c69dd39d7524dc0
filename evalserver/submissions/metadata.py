"""What people say of an entry beside its files: names, links, facts. Scores never change with it."""

from typing import Any

from django.db.models import QuerySet

from evalserver.jobs import FAILED, REJECTED
from evalserver.submissions.marks import MARK_FIELDS
from evalserver.submissions.models import Submission

# What its team may change at any time.
EDITABLE = (
    *("method_name", "description", "paper_url", "code_url", "model_url"),
    *("training_data", "compute", *MARK_FIELDS, "supersedes"),
)


# What a new entry may say beside name and description, which every form asks first.
ABOUT = (*EDITABLE[2:], "run_of")


class BadSuccession(ValueError):
    """An entry cannot replace that one; the message is for the participant."""


def describe_submission(submission: Submission, values: dict[str, Any]) -> None:
    """Write some of the EDITABLE fields; values are a valid form's. Raises BadSuccession."""
    unknown = set(values) - set(EDITABLE)
    if unknown:
        raise ValueError(f"not editable: {', '.join(sorted(unknown))}")
    earlier = values.get("supersedes")
    if "supersedes" in values and earlier != submission.supersedes and submission.phase.is_frozen:
        raise BadSuccession("The ranking is frozen, so you cannot change which entry this one replaces.")
    if earlier and not may_be_superseded_by(submission).filter(pk=earlier.pk).exists():
        raise BadSuccession(f"{earlier.code} is no earlier scored entry of your team in this phase.")
    if values:
        Submission.objects.filter(pk=submission.pk).update(**values)


def mark_reference(submission: Submission, *, command: str, provenance: dict[str, Any] | None) -> None:
    """Make it a reference entry: organisers alone do that. command : what makes the entry again."""
    Submission.objects.filter(pk=submission.pk).update(
        is_reference=True, reproduce_command=command, provenance=provenance
    )


def may_be_superseded_by(submission: Submission) -> QuerySet[Submission]:
    """Scored entries of the same team in the same phase, earlier than this one; all, while it is not stored yet."""
    scored = Submission.objects.filter(
        team=submission.team_id, phase=submission.phase_id, status=Submission.DONE_STATUS
    )
    return scored.filter(created_at__lt=submission.created_at) if submission.created_at else scored


def may_have_run(submission: Submission) -> QuerySet[Submission]:
    """Entries of the same team in the same phase that it may be another run of: no run themselves, and not ended badly.

    They need not be scored yet, so that all runs can be submitted at once.
    """
    entries = Submission.objects.filter(team=submission.team_id, phase=submission.phase_id, run_of=None)
    return entries.filter(withdrawn_at=None).exclude(status__in=(REJECTED, FAILED))


def relation_complaint(submission: Submission) -> str:
    """Why a new submission cannot stand to other entries as it says; empty where it can."""
    earlier, entry = submission.supersedes, submission.run_of
    if earlier and entry:
        return "A run belongs to its entry and cannot replace another one. Let the entry itself replace it."
    if earlier and not may_be_superseded_by(submission).filter(pk=earlier.pk).exists():
        return f"{earlier.code} is no earlier scored entry of {submission.team.name} in this phase."
    if entry and not may_have_run(submission).filter(pk=entry.pk).exists():
        return (
            f"{entry.code} is no entry of {submission.team.name} in this phase that takes another run. Name the first "
            "run of the entry; it must not be rejected, failed or withdrawn."
        )
    return ""
