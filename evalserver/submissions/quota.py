"""A team's number of submissions, a day and in all, as reservation rows that a unique constraint keeps apart."""

from datetime import UTC, date, datetime

from django.db import IntegrityError, transaction

from evalserver.accounts.models import Team
from evalserver.benchmarks.models import Phase
from evalserver.jobs import REJECTED, is_costly
from evalserver.submissions.models import QuotaSlot, Submission


class QuotaExceeded(Exception):
    """All slots of the day are taken."""


def today() -> date:
    """The day that the limit counts: it begins at midnight UTC."""
    return datetime.now(UTC).date()


def slots_left(*, team: Team, phase: Phase) -> int:
    """How many submissions the team may still send today."""
    today_taken = QuotaSlot.objects.filter(team=team, phase=phase, day=today()).count()
    left = phase.submissions_per_day - today_taken
    if phase.submissions_total is not None:
        left = min(left, phase.submissions_total - slots_taken(team=team, phase=phase))
    return max(0, left)


def slots_taken(*, team: Team, phase: Phase) -> int:
    """Slots that the team holds over the whole phase."""
    return QuotaSlot.objects.filter(team=team, phase=phase).count()


def take_slot(submission: Submission) -> QuotaSlot:
    """Reserve one of today's slots, inside the transaction that makes the submission.

    Raises QuotaExceeded when none is free. Parallel posts race for the same slot numbers, and the
    database lets one of them have each.
    """
    phase, team, day = submission.phase, submission.team, today()
    if phase.submissions_total is not None:
        # No slot number stands for the limit over all days, so posts of one team queue up here.
        Team.objects.select_for_update().get(pk=team.pk)
        if slots_taken(team=team, phase=phase) >= phase.submissions_total:
            raise QuotaExceeded
    taken = set(QuotaSlot.objects.filter(team=team, phase=phase, day=day).values_list("number", flat=True))
    for number in range(phase.submissions_per_day):
        if number in taken:
            continue
        try:
            with transaction.atomic():
                return QuotaSlot.objects.create(phase=phase, team=team, day=day, number=number, submission=submission)
        except IntegrityError:
            continue
    raise QuotaExceeded


def give_back(submission_id: int) -> None:
    """Free the slot of a submission that did not end in a score, unless its rejection kept a worker busy."""
    reasons = Submission.objects.filter(pk=submission_id, status=REJECTED).values_list("complaints", flat=True).first()
    if not is_costly(reasons or []):
        QuotaSlot.objects.filter(submission_id=submission_id).delete()
