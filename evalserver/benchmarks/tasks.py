from celery import shared_task

from evalserver.benchmarks import registration


@shared_task
def register_ground_truth_task(ground_truth_id: int) -> None:
    registration.register_ground_truth(ground_truth_id)
