"""Scored submissions under a new metric, ground truth or tolerance; what was scored before stays."""

from collections import Counter

from celery import current_app
from django.db import transaction

from axonem_eval.scoring import FIGURES
from evalserver.benchmarks.models import Benchmark
from evalserver.benchmarks.selectors import current_ground_truths, current_ruler
from evalserver.jobs import WAITING, change_status, send
from evalserver.submissions.evaluation import error_pictures, exchanged, scoring
from evalserver.submissions.models import Submission
from evalserver.submissions.selectors import current_evaluations

TASK = "evalserver.submissions.tasks.rescore_submission_task"


def rescore_submission(submission_id: int) -> str:
    """Bring a scored submission to the current metric, ground truth and tolerance; earlier records stay.

    Answers in a word: `current` (nothing to do), `rescored` (from stored labels), `queued` (the ground truth
    changed: a worker reads the files again), `skipped` (not scored, or no ground truth).
    """
    submission = Submission.objects.select_related("phase").get(pk=submission_id)
    ruler = current_ruler(submission.phase)
    if submission.status != Submission.DONE_STATUS or ruler is None:
        return "skipped"
    if _is_current(submission, ruler):
        return "current"
    ground_truths = current_ground_truths(submission.phase)
    labels = scoring.stored_labels(submission, ground_truths)
    if len(labels) == submission.files.count():
        measured = exchanged.with_exchanges_of_before([scoring.score_labels(row) for row in labels.values()])
        with transaction.atomic():
            scoring.record(submission, measured)
            error_pictures.request_pictures(submission)
        return "rescored"
    with transaction.atomic():
        moved = change_status(Submission, submission.pk, sources=[Submission.DONE_STATUS], target=WAITING, attempts=0)
        if moved:
            send(submission)
    return "queued" if moved else "skipped"


def _is_current(submission: Submission, ruler: str) -> bool:
    """Whether it has a score under that ruler, and all figures that its benchmark shows as columns."""
    if not submission.scores.filter(ruler=ruler).exists():
        return False
    columns = submission.phase.benchmark.variant.columns
    current = current_ground_truths(submission.phase)
    found = current_evaluations().filter(volume_file__submission=submission, ground_truth__in=current.values())
    return not any(
        name not in (row.figures or {}) and FIGURES[name].needs in row.ground_truth.kinds
        for row in found.select_related("ground_truth")
        for name in columns
    )


def queue_rescore(submission: Submission) -> bool:
    """Have a worker re-score one submission; False where it has no score, or has the current one already."""
    ruler = current_ruler(submission.phase)
    if submission.status != Submission.DONE_STATUS or ruler is None or _is_current(submission, ruler):
        return False
    current_app.send_task(TASK, args=[submission.pk])
    return True


def rescore_benchmark(benchmark: Benchmark) -> Counter[str]:
    """Re-score every scored submission of a benchmark; how many ended in which way."""
    scored = Submission.objects.filter(phase__benchmark=benchmark, status=Submission.DONE_STATUS)
    return Counter(rescore_submission(pk) for pk in scored.values_list("pk", flat=True))


def queue_rescores(benchmark: Benchmark) -> int:
    """Have workers re-score every scored submission; how many were sent. Sending again does no harm."""
    scored = Submission.objects.filter(phase__benchmark=benchmark, status=Submission.DONE_STATUS)
    pks = list(scored.values_list("pk", flat=True))
    for pk in pks:
        current_app.send_task(TASK, args=[pk])
    return len(pks)
