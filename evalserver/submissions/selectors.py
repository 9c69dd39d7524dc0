"""Queries: which submissions a reader may see."""

from typing import Any

from django.db.models import F, Q, QuerySet

from axonem_eval.scoring import METRIC_VERSION
from evalserver.accounts.models import User
from evalserver.benchmarks.models import Volume
from evalserver.benchmarks.roles import benchmarks_with, everywhere, may
from evalserver.jobs import REJECTED, WAITING
from evalserver.submissions.models import Evaluation, Submission, VolumeFile, shown_to_all

READING = ("submissions.view_submission", "submissions.change_submission")


def may_read_all(user: Any) -> bool:
    """Whether a user reads every team's private submissions: superusers, and staff with the permission.

    Who may change submissions may view them, as in Django's administration.
    """
    return everywhere(user, *READING)


def may_read_of(user: Any, benchmark_id: int) -> bool:
    """The same for the submissions to one benchmark: also who has a role there."""
    return may(user, benchmark_id, *READING)


def visible_submissions(user: Any) -> QuerySet[Submission]:
    """Listed submissions are public unless their ranking is under embargo; the others are for team and organisers."""
    if may_read_all(user):
        return Submission.objects.all()
    if not user.is_authenticated:
        return Submission.objects.filter(shown_to_all())
    organised = Q(phase__benchmark__in=benchmarks_with(user, *READING))
    return Submission.objects.filter(shown_to_all() | Q(team__members=user) | organised).distinct()


def public_entries() -> QuerySet[Submission]:
    """What everybody sees, organisers or not: listed entries of visible benchmarks whose ranking is not hidden."""
    return Submission.objects.filter(shown_to_all(), phase__benchmark__is_visible=True)


def may_manage(user: Any, submission: Submission) -> bool:
    """Whether the user may change the submission: any member of its team."""
    return user.is_authenticated and submission.team.members.filter(pk=user.pk).exists()


def may_see_places(user: Any, submission: Submission, volume: Volume) -> bool:
    """Whether a reader sees the places of likely errors in a segmentation, and not only their number."""
    return bool(volume.ground_truth_public or may_read_of(user, volume.benchmark_id) or may_manage(user, submission))


def team_submissions(user: User) -> QuerySet[Submission]:
    """All submissions of the user's teams."""
    return Submission.objects.filter(team__members=user).select_related("team", "phase__benchmark")


def versions_around(submission: Submission, user: Any) -> dict[str, Any]:
    """What this one replaces and what replaces it, as far as the reader may see them."""
    visible = visible_submissions(user).filter(status=Submission.DONE_STATUS)
    return {
        "superseded": visible.filter(pk=submission.supersedes_id).first() if submission.supersedes_id else None,
        "successors": list(visible.filter(supersedes=submission)),
    }


def runs_around(submission: Submission, user: Any) -> dict[str, Any]:
    """The entry that this one is a run of, and its own further runs, as far as the reader may see them."""
    visible = visible_submissions(user).filter(status=Submission.DONE_STATUS)
    return {
        "entry": visible.filter(pk=submission.run_of_id).first() if submission.run_of_id else None,
        "runs": list(visible.filter(run_of=submission).order_by("created_at", "pk")),
    }


def same_files(submission: Submission) -> Submission | None:
    """The first other entry of the phase with the same files byte for byte, of those that its team may see."""
    rows = Submission.objects.filter(shown_to_all() | Q(team=submission.team), phase=submission.phase)
    rows = rows.exclude(pk=submission.pk).exclude(status=REJECTED)
    for volume_id, sha256 in submission.files.values_list("volume_id", "sha256"):
        rows = rows.filter(files__volume_id=volume_id, files__sha256=sha256)
    return rows.order_by("created_at", "pk").first()


def waiting_before(submission: Submission) -> int:
    """How many submissions wait for a worker in front of this one."""
    return Submission.objects.filter(status=WAITING, queued_at__lt=submission.queued_at).count()


def current_evaluations() -> QuerySet[Evaluation]:
    """Evaluations by the metric, tolerance and rule of today; of whichever ground truth."""
    return Evaluation.objects.filter(
        metric_version=METRIC_VERSION,
        tolerance_nodes=F("volume_file__volume__tolerance_nodes"),
        scoring_variant=F("volume_file__volume__benchmark__scoring_variant"),
    )


def files_of(submission: Submission) -> QuerySet[VolumeFile]:
    """The files of a submission, with their volumes."""
    return submission.files.select_related("volume")
