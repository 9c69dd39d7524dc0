"""What a benchmark shows to everybody: data files, pictures, news. Part of `models`."""

import re
import secrets
from pathlib import Path

from django.core.validators import FileExtensionValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from evalserver.jobs import Job


def _clean_suffix(filename: str) -> str:
    suffix = "".join(Path(filename).suffixes[-2:])
    return suffix if re.fullmatch(r"(\.[A-Za-z0-9]{1,8}){0,2}", suffix) else ""


def training_file_path(training_file: "TrainingFile", filename: str) -> str:
    """Where the storage keeps a file of the data section."""
    return f"training/{training_file.benchmark.slug}/{secrets.token_hex(8)}{_clean_suffix(filename)}"


class TrainingFile(models.Model):
    """Data for everybody, for training and for the test: stored here, or a link with a checksum."""

    class Part(models.TextChoices):
        TRAINING = "training", "training"
        TEST = "test", "test"

    class Content(models.TextChoices):
        IMAGE = "image", "EM"
        LABELS = "labels", "labels"
        OTHER = "other", "other"

    benchmark = models.ForeignKey("benchmarks.Benchmark", on_delete=models.CASCADE, related_name="training_files")
    title = models.CharField(max_length=150)
    description = models.CharField(max_length=300, blank=True, help_text="Shape, voxel size, what the labels are")
    part = models.CharField(max_length=10, choices=Part.choices, default=Part.TRAINING)
    content = models.CharField(max_length=10, choices=Content.choices, default=Content.OTHER)
    volume = models.ForeignKey(
        "benchmarks.Volume",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="data_files",
        help_text="The volume that it is the EM of: results then show it in the viewer",
    )
    file = models.FileField(upload_to=training_file_path, blank=True)
    file_name = models.CharField(max_length=100, blank=True, help_text="Name of the download; empty: as uploaded")
    url = models.URLField("or a link", blank=True)
    size_bytes = models.PositiveBigIntegerField("size (bytes)", null=True, blank=True, help_text="Empty: measured")
    sha256 = models.CharField("SHA-256", max_length=64, blank=True, help_text="Empty: computed for a stored file")
    licence = models.CharField(max_length=60, blank=True, help_text="CC BY 4.0, say")
    position = models.PositiveSmallIntegerField(default=0)
    # Stored files that the viewer shows of an EM volume, made by a worker.
    view_files = models.PositiveIntegerField(default=0, editable=False)
    # When a reader asked for the stored file and it was not there.
    gone_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = "data file"
        ordering = ["benchmark", "position", "title"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(file="") ^ ~Q(url=""),
                name="training_file_is_stored_or_linked",
                violation_error_message="Give either a file or a link.",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def opens_in_viewer(self) -> bool:
        """Whether it is stored EM that a worker has made ready."""
        return bool(self.view_files and self.file and self.content == self.Content.IMAGE)


class ImageView(Job):
    """Makes what the viewer shows of a stored EM volume. A file that is replaced gets a new one."""

    DONE_STATUS = "ready"
    TASK = "evalserver.benchmarks.tasks.make_image_view_task"

    data_file = models.OneToOneField(TrainingFile, on_delete=models.CASCADE, related_name="image_view")

    class Meta:
        verbose_name = "EM for the viewer"
        verbose_name_plural = "EM for the viewer"

    def __str__(self) -> str:
        return f"viewer of {self.data_file}"


def picture_path(picture: "Picture", filename: str) -> str:
    """Where the storage keeps a picture."""
    return f"pictures/{picture.benchmark.slug}/{secrets.token_hex(8)}{_clean_suffix(filename)}"


class Picture(models.Model):
    """A picture of a benchmark's tissue. The first one stands on its card."""

    benchmark = models.ForeignKey("benchmarks.Benchmark", on_delete=models.CASCADE, related_name="pictures")
    file = models.FileField(upload_to=picture_path, validators=[FileExtensionValidator(["png", "jpg", "jpeg", "webp"])])
    words = models.CharField(max_length=200, help_text="What it shows; read out to those who do not see it")
    source = models.CharField(max_length=200, blank=True, help_text="Who made it, and from which data")
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["benchmark", "position", "pk"]

    def __str__(self) -> str:
        return self.words


class News(models.Model):
    """A line on the home page."""

    published_at = models.DateTimeField(default=timezone.now, help_text="Shown from then on. Times are UTC.")
    text = models.CharField(max_length=300)
    url = models.URLField("read more at", blank=True)

    class Meta:
        ordering = ["-published_at", "-pk"]
        verbose_name_plural = "news"

    def __str__(self) -> str:
        return self.text
