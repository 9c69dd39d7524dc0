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
    job.evaluate_submission(submission_id)


@shared_task
def rescore_submission_task(submission_id: int) -> None:
    rescore.rescore_submission(submission_id)


@shared_task
def mail_result_task(submission_id: int) -> None:
    mail.mail_result(submission_id)


@shared_task
def diagnose_task(diagnosis_id: int) -> None:
    diagnosis.diagnose(diagnosis_id)


@shared_task
def draw_errors_task(pictures_id: int) -> None:
    error_pictures.draw_errors(pictures_id)


@shared_task
def compare_task(comparison_id: int) -> None:
    comparison.compare(comparison_id)


@shared_task
def export_task(export_id: int) -> None:
    export_job.make_export(export_id)


@shared_task
def remove_leftovers_task() -> None:
    leftovers.remove_leftovers()


@shared_task
def requeue_stale_task() -> None:
    reconciler.requeue_stale()
