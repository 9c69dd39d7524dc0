"""The app of the workshop."""

from django.apps import AppConfig


class WorkshopConfig(AppConfig):
    """Where ground truth is made."""

    name = "evalserver.workshop"
    verbose_name = "Ground-truth workshop"

    def ready(self) -> None:
        from evalserver.jobs import JobKind, register_job
        from evalserver.workshop.models import Finalisation, PointCut, Workshop

        register_job(JobKind(Workshop, named_by=("volume",)))
        register_job(JobKind(Finalisation, named_by=("workshop__volume",)))
        register_job(JobKind(PointCut, named_by=("workshop__volume",)))
