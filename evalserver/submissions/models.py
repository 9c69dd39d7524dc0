"""What participants hand in, and what it scored."""

import math
import secrets
from typing import Any

from django.core.validators import URLValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from axonem_eval.scoring import AXONEM
from axonem_eval.submission_rule import NODE_TABLE
from evalserver.accounts.models import Team, User
from evalserver.benchmarks.models import GroundTruth, Phase, Volume
from evalserver.jobs import FAILED, REJECTED, RUNNING, WAITING, Job, under_own_name
from evalserver.submissions.marks import EXTRA_DATA, FIXED_BY_HAND, MADE_GROUND_TRUTH, MARK_FIELDS, Mark, marks_of

# Django finds an app's models here.
from evalserver.submissions.worker_models import ErrorPictures as ErrorPictures
from evalserver.submissions.worker_models import Export as Export
from evalserver.uploads import label_suffix

# Without look-alikes (0 o, 1 l i): people read codes out loud.
CODE_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
# Longest ERL that can be stored, in nm: a kilometre. PostgreSQL sorts NaN above every number,
# so an upper bound also keeps out what is not finite.
MAX_ERL_NM = 1e12


WEB_URL = URLValidator(schemes=["http", "https"])
# What is public: scored and published, and neither withdrawn by its team nor hidden by an organiser.
LISTED = Q(status="scored", published_at__isnull=False, withdrawn_at__isnull=True, hidden_at__isnull=True)


class FiniteFloatField(models.FloatField):  # type: ignore[type-arg]  # no subscript when it runs
    """A number or nothing. SQLite would store NaN as NULL, which means that there is no figure."""

    def get_prep_value(self, value: Any) -> Any:
        found = super().get_prep_value(value)
        if isinstance(found, float) and not math.isfinite(found):
            raise ValueError(f"{self.name} is {found}; expected a finite number")
        return found

    def deconstruct(self) -> Any:
        name, _, args, options = super().deconstruct()
        return name, "django.db.models.FloatField", args, options  # the column is the same


def shown_to_all() -> Q:
    """Condition of the submissions that everybody sees now.

    They are listed, in a benchmark that is visible, in a phase whose ranking is under no embargo.
    """
    until = "phase__ranking_hidden_until"
    return (
        LISTED
        & Q(phase__benchmark__is_visible=True)
        & (Q(**{f"{until}__isnull": True}) | Q(**{f"{until}__lte": timezone.now()}))
    )


def mark_field(mark: Mark) -> "models.BooleanField[bool, bool]":
    """The field of a mark."""
    return models.BooleanField(mark.label, default=False, help_text=f"{mark.words[0].upper()}{mark.words[1:]}.")


def new_code() -> str:
    """Unguessable name of a submission in URLs: 12 characters, 59 bits."""
    return "".join(secrets.choice(CODE_ALPHABET) for _ in range(12))


class Submission(Job):
    """One method's segmentations of a phase's volumes."""

    DONE_STATUS = "scored"
    TASK = "evalserver.submissions.tasks.evaluate_submission_task"
    STATUSES = (WAITING, RUNNING, DONE_STATUS, REJECTED, FAILED)

    code = models.CharField(max_length=16, unique=True, default=new_code, editable=False)
    phase = models.ForeignKey(Phase, on_delete=models.PROTECT, related_name="submissions")
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="submissions")
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="submissions")
    method_name = models.CharField("method", max_length=120)
    description = models.TextField(blank=True, max_length=10_000, help_text="Markdown")
    paper_url = models.URLField("paper", blank=True, validators=[WEB_URL])
    code_url = models.URLField("code", blank=True, validators=[WEB_URL])
    model_url = models.URLField("trained model", blank=True, validators=[WEB_URL])
    training_data = models.CharField(
        max_length=500, blank=True, help_text="Name all of it, also what is not the benchmark's own"
    )
    compute = models.CharField(
        max_length=500, blank=True, help_text="Hardware and time for training and for inference, parameters"
    )
    supersedes = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="superseded_by",
        help_text="An earlier entry of the team, which this one replaces; both keep their results",
    )
    run_of = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="runs",
        verbose_name="another run of",
        help_text="The entry that this is a further run of, with another training seed, say. It never changes",
    )
    extra_training_data = mark_field(EXTRA_DATA)
    manual_fixup = mark_field(FIXED_BY_HAND)
    made_ground_truth = mark_field(MADE_GROUND_TRUTH)
    is_reference = models.BooleanField(
        "reference entry", default=False, help_text="Made by the organisers with published code; anybody can repeat it"
    )
    reproduce_command = models.CharField(max_length=500, blank=True, help_text="What makes a reference entry again")
    provenance = models.JSONField(null=True, blank=True, help_text="Code, seeds, data checksums, hardware, times")
    publish_when_scored = models.BooleanField(default=False)
    published_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True, help_text="By the team")
    hidden_at = models.DateTimeField(null=True, blank=True, help_text="By an organiser")
    mailed_status = models.CharField(
        max_length=10, blank=True, editable=False, help_text="End state that its maker was last told of"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        indexes = [
            models.Index(fields=["phase", "published_at"]),
            # The leaderboard asks at each request which entries are listed: from the index alone. A partial index
            # would not do, since SQLite cannot match its condition with a status that is a parameter.
            models.Index(
                fields=["phase", "status", "withdrawn_at", "hidden_at", "published_at", "id", "supersedes"],
                name="submission_listed_supersedes",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=(WAITING, RUNNING, "scored", REJECTED, FAILED)),
                name="submission_status_is_one_of_five",
            )
        ]

    def __str__(self) -> str:
        return f"{self.method_name} ({self.code})"

    @property
    def marks(self) -> tuple[Mark, ...]:
        return marks_of(getattr(self, field) for field in MARK_FIELDS)

    @property
    def is_listed(self) -> bool:
        """Whether it is public: published, and neither withdrawn nor hidden."""
        return bool(self.published_at) and not self.withdrawn_at and not self.hidden_at


def volume_file_path(volume_file: "VolumeFile", filename: str) -> str:
    """Where a segmentation is stored; of the participant's name only a known suffix is kept."""
    return f"submissions/{volume_file.submission.code}/{volume_file.volume.slug}{label_suffix(filename)}"


class VolumeFile(models.Model):
    """The segmentation of one volume."""

    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="files")
    volume = models.ForeignKey(Volume, on_delete=models.PROTECT, related_name="files")
    file = models.FileField(upload_to=volume_file_path)
    original_name = models.CharField(max_length=100)
    size_bytes = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    # What may be wrong with it though it could be scored; for its team.
    warnings = models.JSONField(default=list, editable=False)

    class Meta:
        ordering = ["volume__position", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["submission", "volume"], name="one_file_per_volume_and_submission")
        ]

    def __str__(self) -> str:
        return f"{self.original_name} for {self.volume}"

    @property
    def is_node_table(self) -> bool:
        """Whether it holds the labels at the nodes alone, not the volume."""
        return str(self.file.name).endswith(NODE_TABLE)

    def for_its_team(self, message: str) -> str:
        """A message as the team reads it: with its own file's name in place of the one that we store it under."""
        return under_own_name(message, self.file.name or "", self.original_name)

    def complaint(self, code: str, message: str) -> dict[str, str]:
        return {"volume": self.volume.name, "code": code, "message": self.for_its_team(message)}


class NodeLabels(models.Model):
    """What one read of a segmentation has found: all that a new score needs.

    file : its labels at the ground truth's nodes.   overlap : its overlap with dense ground truth, voxel by voxel, and
    dense_rule : which voxels were counted (`benchmarks.dense_truth.rule_key`); both empty where there is none.
    """

    volume_file = models.ForeignKey(VolumeFile, on_delete=models.CASCADE, related_name="node_labels")
    ground_truth = models.ForeignKey(GroundTruth, on_delete=models.PROTECT, related_name="+")
    file = models.FileField()
    overlap = models.FileField(blank=True, default="", db_default="")
    dense_rule = models.CharField(max_length=64, blank=True, default="", db_default="")
    sample_seconds = models.FloatField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "node labels"
        constraints = [
            models.UniqueConstraint(fields=["volume_file", "ground_truth"], name="one_sample_per_ground_truth")
        ]

    def __str__(self) -> str:
        return f"labels of {self.volume_file} at {self.ground_truth}"


class Diagnosis(Job):
    """What a segmentation's own skeletons tell, without ground truth. Made after the score, which it never touches.

    report : axonem_eval.diagnosis.diagnosis_json.
    view_files : stored files that the viewer shows (see `evaluation.view_files`); 0 where there are none.
    """

    DONE_STATUS = "ready"
    TASK = "evalserver.submissions.tasks.diagnose_task"

    volume_file = models.OneToOneField(VolumeFile, on_delete=models.CASCADE, related_name="diagnosis")
    report = models.JSONField(null=True, editable=False)
    skeletons = models.FileField(blank=True, editable=False)
    view_files = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "diagnoses"

    def __str__(self) -> str:
        return f"diagnosis of {self.volume_file}"


class Evaluation(models.Model):
    """Score of one segmentation under one metric version, rule, ground truth and tolerance. Never changed.

    The ERLs are None where the ground truth has no skeletons.
    figures : all figures of axonem_eval.scoring.FIGURES that the ground truth allows; None in records of the time
        before there were others than the ERL.
    """

    volume_file = models.ForeignKey(VolumeFile, on_delete=models.CASCADE, related_name="evaluations")
    ground_truth = models.ForeignKey(GroundTruth, on_delete=models.PROTECT, related_name="evaluations")
    metric_version = models.CharField(max_length=32)
    tolerance_nodes = models.PositiveIntegerField()
    scoring_variant = models.CharField(max_length=32, default=AXONEM.name)
    ground_truth_checksum = models.CharField(max_length=64)
    erl_nm = FiniteFloatField(null=True)
    gt_erl_nm = FiniteFloatField(null=True)
    normalized_erl = FiniteFloatField(null=True)
    figures = models.JSONField(null=True)
    report = models.JSONField()
    timings = models.JSONField(default=dict)
    code_version = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["volume_file", "metric_version", "ground_truth", "tolerance_nodes", "scoring_variant"],
                name="one_evaluation_per_metric_and_ground_truth",
            ),
            models.CheckConstraint(condition=Q(erl_nm__gte=0, erl_nm__lte=MAX_ERL_NM), name="evaluation_erl_is_finite"),
            models.CheckConstraint(
                condition=Q(normalized_erl__gte=0, normalized_erl__lte=1.000001),
                name="evaluation_normalized_erl_in_range",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.volume_file}: {'no ERL' if self.erl_nm is None else f'{self.erl_nm / 1000:.2f} um'}"


class Score(models.Model):
    """Headline of a submission under one ruler; the leaderboard ranks the rows of a single ruler.

    mean_erl_nm, mean_normalized_erl : None where a volume has no skeletons.
    erl_low_nm, erl_high_nm : 95% interval of the mean ERL, by bootstrap over axons; None in older records.

    ruler : digest of the metric version, of the scoring rule and of each volume's ground truth and tolerance, so that
        results that were not measured alike cannot meet in one ranking.
    """

    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="scores")
    ruler = models.CharField(max_length=64)
    metric_version = models.CharField(max_length=32)
    mean_erl_nm = FiniteFloatField(null=True)
    mean_normalized_erl = FiniteFloatField(null=True)
    headline = FiniteFloatField(null=True, help_text="What ranks, over all volumes; empty: the mean ERL in nm")
    erl_low_nm = FiniteFloatField(null=True)
    erl_high_nm = FiniteFloatField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index(fields=["ruler", "-mean_erl_nm"]),
            models.Index(fields=["ruler", "id"], name="score_newest_of_ruler"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["submission", "ruler"], name="one_score_per_ruler"),
            models.CheckConstraint(
                condition=Q(mean_erl_nm__gte=0, mean_erl_nm__lte=MAX_ERL_NM), name="score_is_finite"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.submission}: {self.headline if self.mean_erl_nm is None else self.mean_erl_nm:.4g}"


class Comparison(Job):
    """Paired bootstrap of two entries under one ruler, A minus B; computed once, by a worker."""

    DONE_STATUS = "ready"
    TASK = "evalserver.submissions.tasks.compare_task"

    a = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="+")
    b = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="+")
    ruler = models.CharField(max_length=64)
    result = models.JSONField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["a", "b", "ruler"], name="one_comparison_per_pair_and_ruler"),
            models.CheckConstraint(condition=~Q(a=models.F("b")), name="comparison_is_of_two"),
        ]

    def __str__(self) -> str:
        return f"{self.a} against {self.b}"


class QuotaSlot(models.Model):
    """A reservation of one of a team's submissions of a day; the constraint makes each slot singular."""

    phase = models.ForeignKey(Phase, on_delete=models.CASCADE, related_name="quota_slots")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="quota_slots")
    day = models.DateField(help_text="UTC")
    number = models.PositiveSmallIntegerField()
    submission = models.OneToOneField(Submission, on_delete=models.CASCADE, related_name="quota_slot")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["phase", "team", "day", "number"], name="quota_slot_is_taken_once")
        ]

    def __str__(self) -> str:
        return f"{self.team}, {self.day}, {self.number}"
