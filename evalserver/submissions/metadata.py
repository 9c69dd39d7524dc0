"""What people say of an entry beside its files: names, links, facts. Scores never change with it."""

from typing import Any

from django.db.models import QuerySet

from evalserver.submissions.models import Submission

# What its team may change at any time.
EDITABLE = (
    *("method_name", "description", "paper_url", "code_url", "model_url"),
    *("training_data", "compute", "supersedes"),
)


def describe_submission(submission: Submission, values: dict[str, Any]) -> None:
    """Write some of the EDITABLE fields; values are a valid form's."""
    unknown = set(values) - set(EDITABLE)
    if unknown:
        raise ValueError(f"not editable: {', '.join(sorted(unknown))}")
    Submission.objects.filter(pk=submission.pk).update(**values)


def mark_reference(submission: Submission, *, command: str, provenance: dict[str, Any] | None) -> None:
    """Make it a reference entry: organisers alone do that. command : what makes the entry again."""
    Submission.objects.filter(pk=submission.pk).update(
        is_reference=True, reproduce_command=command, provenance=provenance
    )


def may_be_superseded_by(submission: Submission) -> QuerySet[Submission]:
    """Earlier scored entries of the same team in the same phase."""
    earlier = Submission.objects.filter(
        team=submission.team_id,
        phase=submission.phase_id,
        status=Submission.DONE_STATUS,
        created_at__lt=submission.created_at,
    )
    return earlier.order_by("-created_at")
