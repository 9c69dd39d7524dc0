"""Tasks of uploads."""

from celery import shared_task

from evalserver.uploads import services


@shared_task
def check_upload_task(upload_id: int) -> None:
    """Checksum of a finished upload."""
    services.check_upload(upload_id)
