"""One workshop: its segments and likely errors, and every label and decision that people gave."""

import secrets
from pathlib import Path

from django.db import models
from django.db.models import Q

from evalserver.jobs import RUNNING, WAITING, Job
from evalserver.uploads import label_suffix

# What is stored of a workshop beside its source.
SKELETONS, VIEW = "skeletons.npz", "view"


def source_path(workshop: "Workshop", filename: str) -> str:
    """Where the storage keeps the labels: under a name of our own, which tells nothing."""
    return f"workshop/{workshop.volume.benchmark.slug}/{secrets.token_hex(8)}{label_suffix(filename)}"


class Workshop(Job):
    """A segmentation of a volume on its way to ground truth; a worker measures it first."""

    DONE_STATUS = "ready"
    TASK = "evalserver.workshop.tasks.prepare_workshop_task"

    volume = models.ForeignKey("benchmarks.Volume", on_delete=models.PROTECT, related_name="workshops")
    source_file = models.FileField(upload_to=source_path)
    source_name = models.CharField(max_length=100, editable=False)
    dataset = models.CharField(max_length=200, blank=True)
    view_files = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, editable=False)

    class Meta:
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return f"workshop {self.pk} of {self.volume.name}"

    def beside(self, what: str) -> str:
        """Where the storage keeps SKELETONS or VIEW: with the source, as the benchmark may have another address now."""
        return f"{Path(self.source_file.name or '').parent}/{self.pk}-{what}"

    @property
    def stored_names(self) -> set[str]:
        """All that the storage keeps of it."""
        return {self.source_file.name or "", self.beside(SKELETONS), self.beside(VIEW)}


class Segment(models.Model):
    """A segment to identify. name : its id in decimal; databases have no unsigned 64-bit numbers.

    batch : None for a segment that is too short by itself, and is asked about only where it is joined to others.
    """

    workshop = models.ForeignKey(Workshop, on_delete=models.CASCADE, related_name="segments")
    name = models.CharField(max_length=20)
    batch = models.PositiveIntegerField(null=True)
    position = models.PositiveIntegerField()
    length_um = models.FloatField()
    width_nm = models.FloatField()
    volume_um3 = models.FloatField()
    anchor_zyx = models.JSONField()
    picture = models.BinaryField(default=bytes)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["workshop", "name"], name="segment_of_workshop_unique")]
        indexes = [models.Index(fields=["workshop", "batch"], name="segment_by_batch")]

    def __str__(self) -> str:
        return f"segment {self.name}"


class Label(models.Model):
    """What somebody says a segment is. Rows are only ever added: the latest of each annotator counts."""

    segment = models.ForeignKey(Segment, on_delete=models.CASCADE, related_name="labels")
    annotator = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    label = models.CharField(max_length=10)
    settles = models.BooleanField(default=False)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["at", "pk"]

    def __str__(self) -> str:
        return f"{self.segment}: {self.label}"


class Candidate(models.Model):
    """A likely error. place : from 0, the most likely first of its kind."""

    workshop = models.ForeignKey(Workshop, on_delete=models.CASCADE, related_name="candidates")
    kind = models.CharField(max_length=10)
    name = models.CharField(max_length=120)
    place = models.PositiveIntegerField()
    score = models.FloatField()
    data = models.JSONField()
    picture = models.BinaryField(default=bytes)

    class Meta:
        ordering = ["kind", "place"]
        constraints = [models.UniqueConstraint(fields=["workshop", "name"], name="candidate_of_workshop_unique")]

    def __str__(self) -> str:
        return self.name


class Decision(models.Model):
    """A verdict on a candidate. number : 1, 2, ... of the candidate. Rows are only ever added.

    Who decides says which number they saw last; of two who saw the same, the database refuses the second.
    """

    candidate = models.ForeignKey(Candidate, on_delete=models.CASCADE, related_name="decisions")
    number = models.PositiveIntegerField()
    verdict = models.CharField(max_length=10)
    author = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["candidate", "number"]
        constraints = [models.UniqueConstraint(fields=["candidate", "number"], name="decision_number_unique")]

    def __str__(self) -> str:
        return f"{self.candidate}: {self.verdict}"


class Finalisation(Job):
    """Makes a hidden version of the volume's ground truth of a workshop."""

    DONE_STATUS = "done"
    TASK = "evalserver.workshop.tasks.finalise_workshop_task"

    workshop = models.ForeignKey(Workshop, on_delete=models.CASCADE, related_name="finalisations")
    ground_truth = models.OneToOneField("benchmarks.GroundTruth", null=True, on_delete=models.PROTECT, related_name="+")
    sheet = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, editable=False)

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["workshop"], condition=Q(status__in=(WAITING, RUNNING)), name="one_finalisation_at_a_time"
            )
        ]

    def __str__(self) -> str:
        return f"finalisation of {self.workshop}"


class PointCut(Job):
    """Points that somebody placed in two axons of a segment; a worker parts it, and makes a candidate of the cut."""

    DONE_STATUS = "done"
    TASK = "evalserver.workshop.tasks.point_cut_task"

    workshop = models.ForeignKey(Workshop, on_delete=models.CASCADE, related_name="point_cuts")
    segment = models.CharField(max_length=20)
    this_side = models.JSONField()
    other_side = models.JSONField()
    side_um3 = models.JSONField(default=list)
    candidate = models.ForeignKey(Candidate, null=True, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, editable=False)

    class Meta:
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return f"cut of segment {self.segment} of {self.workshop}"
