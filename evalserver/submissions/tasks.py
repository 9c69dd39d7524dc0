"""Tasks of submissions."""

from celery import shared_task

from evalserver.submissions.evaluation import (
    comparison,
    diagnosis,
    error_pictures,
    job,
    leftovers,
    reconciler,
    rescore,
)
from evalserver.submissions.results import export_job, mail


@shared_task
def evaluate_submission_task(submission_id: int) -> None:
    """Check, sample and score."""
    job.evaluate_submission(submission_id)


@shared_task
def rescore_submission_task(submission_id: int) -> None:
    """Score by today's rule and ground truth."""
    rescore.rescore_submission(submission_id)


@shared_task
def mail_result_task(submission_id: int) -> None:
    """Tell the team how an evaluation ended."""
    mail.mail_result(submission_id)


@shared_task
def diagnose_task(diagnosis_id: int) -> None:
    """Look for likely errors without ground truth."""
    diagnosis.diagnose(diagnosis_id)


@shared_task
def draw_errors_task(pictures_id: int) -> None:
    """EM pictures of the worst errors."""
    error_pictures.draw_errors(pictures_id)


@shared_task
def compare_task(comparison_id: int) -> None:
    """Compare two submissions."""
    comparison.compare(comparison_id)


@shared_task
def export_task(export_id: int) -> None:
    """Write the archive of a benchmark."""
    export_job.make_export(export_id)


@shared_task
def remove_leftovers_task() -> None:
    """Remove files that no row names any longer."""
    leftovers.remove_leftovers()


@shared_task
def requeue_stale_task() -> None:
    """Send jobs again whose task or worker is lost."""
    reconciler.requeue_stale()
