from celery import shared_task

from evalserver.submissions import services
from evalserver.submissions.evaluation import comparison, diagnosis, job, notifications


@shared_task
def evaluate_submission_task(submission_id: int) -> None:
    job.evaluate_submission(submission_id)


@shared_task
def rescore_submission_task(submission_id: int) -> None:
    services.rescore_submission(submission_id)


@shared_task
def mail_result_task(submission_id: int) -> None:
    notifications.mail_result(submission_id)


@shared_task
def diagnose_task(diagnosis_id: int) -> None:
    diagnosis.diagnose(diagnosis_id)


@shared_task
def compare_task(comparison_id: int) -> None:
    comparison.compare(comparison_id)


@shared_task
def requeue_stale_task() -> None:
    services.requeue_stale()
