"""What is shown of ground truth, to organisers and to readers. Part of `models`."""

from django.db import models

from evalserver.benchmarks.published_models import PublishedScore


class AxonsShown(models.TextChoices):
    """What readers see of the axons of hidden ground truth."""

    NOTHING = "nothing", "nothing"
    LENGTHS = "lengths", "how many axons have which length, rounded"
    PICTURES = "pictures", "that, and pictures of the shortest and longest axons, without their place"


class GroundTruthPreview(models.Model):
    """What organisers see of a version. In a table of its own: pages of the benchmark must not carry its pictures.

    class_counts : axons in each class of length (`preview.LENGTH_EDGES_UM`).
    axons : those with a picture, as `axons.draw_axons` says.
    """

    ground_truth = models.OneToOneField("benchmarks.GroundTruth", on_delete=models.CASCADE, related_name="preview")
    figures = models.JSONField()
    lengths_svg = models.TextField()
    projection_svg = models.TextField()
    # Of these the benchmark's page shows what `axons.shown_axons` lets through.
    class_counts = models.JSONField(default=list)
    axons = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"preview of {self.ground_truth}"

    @property
    def published(self) -> models.QuerySet[PublishedScore]:
        """What papers give as the ground truth's own ERL on this volume, to compare with."""
        rows = PublishedScore.objects.filter(volume=self.ground_truth.volume_id, erl_um__isnull=False)
        return rows.filter(entry__is_ground_truth=True).select_related("entry")
