"""The app of uploads."""

from django.apps import AppConfig


class UploadsConfig(AppConfig):
    """Resumable uploads."""

    name = "evalserver.uploads"
    verbose_name = "Uploads"

    def ready(self) -> None:
        from evalserver.jobs import JobKind, register_job
        from evalserver.uploads.models import Upload

        register_job(JobKind(Upload))
