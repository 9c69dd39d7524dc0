"""Tasks of the workshop."""

from celery import shared_task

from evalserver.workshop import job, point_cuts


@shared_task
def prepare_workshop_task(workshop_id: int) -> None:
    """Measure a segmentation."""
    job.prepare(workshop_id)


@shared_task
def finalise_workshop_task(finalisation_id: int) -> None:
    """Write the ground truth."""
    job.finalise(finalisation_id)


@shared_task
def point_cut_task(cut_id: int) -> None:
    """Part a segment by points."""
    point_cuts.part(cut_id)
