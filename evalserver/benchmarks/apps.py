"""The app of benchmarks."""

from django.apps import AppConfig


class BenchmarksConfig(AppConfig):
    """Benchmarks, their volumes and their ground truth."""

    name = "evalserver.benchmarks"
    verbose_name = "Benchmarks"

    def ready(self) -> None:
        from evalserver.benchmarks.models import GroundTruth, ImageView
        from evalserver.jobs import JobKind, register_job

        register_job(JobKind(GroundTruth, named_by=("volume",)))
        register_job(JobKind(ImageView, named_by=("data_file",)))
