"""What workers make of results: pictures for readers, archives for organisers. Part of `models`."""

from django.db import models

from evalserver.jobs import Job


class ErrorPictures(Job):
    """Close-ups of the worst errors of an evaluation on public ground truth, in the EM that the organisers stored.

    pictures : how many are stored, for the first of the report's errors; 0 where they may not be shown.
    """

    DONE_STATUS = "ready"
    TASK = "evalserver.submissions.tasks.draw_errors_task"

    evaluation = models.OneToOneField("submissions.Evaluation", on_delete=models.CASCADE, related_name="error_pictures")
    pictures = models.PositiveSmallIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "pictures of errors"

    def __str__(self) -> str:
        return f"pictures of the errors of {self.evaluation.volume_file}"


def export_path(export: "Export", filename: str) -> str:
    """Where the storage keeps an archive."""
    return f"exports/{export.pk}.zip"


class Export(Job):
    """An archive of a benchmark for organisers; the newest one is kept. It holds exact scores on hidden volumes."""

    DONE_STATUS = "ready"
    TASK = "evalserver.submissions.tasks.export_task"

    benchmark = models.ForeignKey("benchmarks.Benchmark", on_delete=models.CASCADE, related_name="exports")
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    file = models.FileField(upload_to=export_path, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return f"export of {self.benchmark}"
