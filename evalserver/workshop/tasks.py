"""Tasks of the workshop."""

from celery import shared_task

from evalserver.workshop import job


@shared_task
def prepare_workshop_task(workshop_id: int) -> None:
    job.prepare(workshop_id)


@shared_task
def finalise_workshop_task(finalisation_id: int) -> None:
    job.finalise(finalisation_id)
