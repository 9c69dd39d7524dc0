"""What people say of an entry beside its files: names, links, facts. Scores never change with it."""

from typing import Any

from django.db.models import QuerySet

from evalserver.submissions.models import Submission

# What its team may change at any time.
EDITABLE = (
    *("method_name", "description", "paper_url", "code_url", "model_url"),
    *("training_data", "compute", "supersedes"),
)


# The same but for name and description, which every form asks first.
ABOUT = EDITABLE[2:]


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
