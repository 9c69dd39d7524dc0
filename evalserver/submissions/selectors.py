"""Queries: which submissions a reader may see."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Prefetch, Q, QuerySet

from axonem_eval.erl import METRIC_VERSION
from evalserver.accounts.models import User
from evalserver.benchmarks.models import Volume
from evalserver.jobs import UPLOADED
from evalserver.submissions import scoring
from evalserver.submissions.models import Evaluation, Score, Submission, VolumeFile, shown_to_all
from evalserver.submissions.result_page import VolumeResult, shown_report


def visible_submissions(user: Any) -> QuerySet[Submission]:
    """Listed submissions are public unless their ranking is under embargo; the others are for team and organisers."""
    if user.is_staff:
        return Submission.objects.all()
    if not user.is_authenticated:
        return Submission.objects.filter(shown_to_all())
    return Submission.objects.filter(shown_to_all() | Q(team__members=user)).distinct()


def may_manage(user: Any, submission: Submission) -> bool:
    return user.is_authenticated and submission.team.members.filter(pk=user.pk).exists()


def may_see_places(user: Any, submission: Submission, volume: Volume) -> bool:
    """Whether a reader sees the places of likely errors in a segmentation, and not only their number."""
    return bool(volume.ground_truth_public or user.is_staff or may_manage(user, submission))


def team_submissions(user: User) -> QuerySet[Submission]:
    """All submissions of the user's teams, newest first."""
    return with_headlines(Submission.objects.filter(team__members=user))


def with_headlines(submissions: QuerySet[Submission]) -> QuerySet[Submission]:
    """With team, benchmark and latest headline of each, as a list of them shows."""
    latest = Prefetch("scores", queryset=Score.objects.order_by("-created_at"), to_attr="latest_scores")
    return submissions.select_related("team", "phase__benchmark").prefetch_related(latest)


@dataclass(frozen=True)
class Result:
    """A submission's scores under one ruler. is_current : whether the leaderboard uses that ruler now."""

    score: Score
    evaluations: list[Evaluation]
    is_current: bool

    @property
    def volumes(self) -> list[VolumeResult]:
        """The evaluations as their readers may see them."""
        return [VolumeResult(evaluation, shown_report(evaluation)) for evaluation in self.evaluations]


def result_of(submission: Submission) -> Result | None:
    """Scores under the current metric, ground truth and tolerance, or else the last ones there are."""
    current = scoring.current_ruler(submission.phase)
    scores = list(submission.scores.order_by("-created_at"))
    if not scores:
        return None
    score = next((s for s in scores if s.ruler == current), scores[0])
    is_current = score.ruler == current
    evaluations = Evaluation.objects.filter(
        volume_file__submission=submission, metric_version=score.metric_version
    ).select_related("volume_file__volume__benchmark", "ground_truth")
    if is_current:
        assert score.metric_version == METRIC_VERSION
        evaluations = evaluations.filter(ground_truth__is_current=True)
    latest: dict[int, Evaluation] = {}
    for evaluation in evaluations.order_by("created_at"):
        tolerance = evaluation.volume_file.volume.tolerance_nodes
        if not is_current or evaluation.tolerance_nodes == tolerance:
            latest[evaluation.volume_file_id] = evaluation
    ordered = sorted(latest.values(), key=lambda e: (e.volume_file.volume.position, e.pk))
    return Result(score, ordered, is_current)


def versions_around(submission: Submission, user: Any) -> dict[str, Any]:
    """The entry that this one replaces, and those that replace it, as far as the reader may see them."""
    visible = visible_submissions(user).filter(status=Submission.DONE_STATUS)
    return {
        "superseded": visible.filter(pk=submission.supersedes_id).first() if submission.supersedes_id else None,
        "successors": list(visible.filter(supersedes=submission).order_by("-created_at")),
    }


def waiting_before(submission: Submission) -> int:
    """How many submissions wait for a worker in front of this one."""
    return Submission.objects.filter(status=UPLOADED, queued_at__lt=submission.queued_at).count()


def files_of(submission: Submission) -> QuerySet[VolumeFile]:
    return submission.files.select_related("volume").order_by("volume__position", "pk")
