"""What is measured: benchmarks, their volumes, the phases that score them, and the hidden ground truth."""

from dataclasses import replace

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.fields.files import FieldFile
from django.utils import timezone

from axonem_eval.errors import InputError
from axonem_eval.scoring import AXONEM, VARIANTS, Expression, HeadlineRule, ScoringVariant, variant_named
from axonem_eval.spec import VolumeSpec
from axonem_eval.submission_rule import Axes, SubmissionRule

# Django finds an app's models here.
from evalserver.benchmarks.data_models import ImageView as ImageView
from evalserver.benchmarks.data_models import News as News
from evalserver.benchmarks.data_models import Picture as Picture
from evalserver.benchmarks.data_models import TrainingFile as TrainingFile
from evalserver.benchmarks.data_models import picture_path as picture_path
from evalserver.benchmarks.data_models import training_file_path as training_file_path
from evalserver.benchmarks.ground_truth_files import ground_truth_path as ground_truth_path
from evalserver.benchmarks.participation_models import Participation as Participation
from evalserver.benchmarks.preview_models import AxonsShown as AxonsShown
from evalserver.benchmarks.preview_models import GroundTruthPreview as GroundTruthPreview
from evalserver.benchmarks.published_models import PublishedEntry as PublishedEntry
from evalserver.benchmarks.published_models import PublishedScore as PublishedScore
from evalserver.benchmarks.role_models import Role as Role
from evalserver.jobs import Job


def scoring_variants() -> list[tuple[str, str]]:
    """Rules that the server can rank by."""
    return [(name, name) for name in VARIANTS]


class Benchmark(models.Model):
    """A set of volumes with rules. Its phases say which volumes a submission covers, and when."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=100)
    summary = models.CharField(max_length=300, help_text="One sentence, for the list of benchmarks")
    description = models.TextField(blank=True)
    rules = models.TextField(blank=True)
    citation = models.TextField(blank=True)
    bibtex = models.TextField("BibTeX", blank=True)
    doi = models.CharField("DOI", max_length=100, blank=True, help_text="10.1007/978-3-030-87193-2_18, say")
    terms = models.TextField("terms of the data", blank=True, help_text="Licence, and what users of the data agree to")
    contact = models.CharField(max_length=200, blank=True, help_text="Who answers questions: a name and an address")
    url = models.URLField("web page", blank=True)
    requires_approval = models.BooleanField(
        default=False, help_text="A team must ask, and an organiser approve, before it can submit"
    )
    is_visible = models.BooleanField(default=True, help_text="Only organisers see a benchmark that is not visible")
    position = models.PositiveSmallIntegerField(default=100, help_text="Small numbers come first in the list")
    scoring_variant = models.CharField(
        max_length=32,
        default=AXONEM.name,
        choices=scoring_variants,
        help_text="The rule that scores and ranks (docs/metric.md). After a change entries must be scored again",
    )
    headline_expression = models.CharField(
        "headline",
        max_length=300,
        blank=True,
        default="",
        db_default="",
        help_text="Ranks by this expression over figures in place of the rule's own: (normalized_erl + 1 - arand) / 2",
    )
    headline_label = models.CharField(
        "name of the headline",
        max_length=40,
        blank=True,
        default="",
        db_default="",
        help_text="What tables call it; empty: score",
    )
    headline_lower_is_better = models.BooleanField(
        "lower is better", default=False, db_default=False, help_text="Direction of the headline above"
    )

    further_columns = models.CharField(max_length=200, blank=True, help_text="More figures to show (docs/metric.md)")
    phases_are_tracks = models.BooleanField(default=False, help_text="All phases are the columns of one leaderboard")

    class Meta:
        ordering = ["position", "name"]

    def __str__(self) -> str:
        return self.name

    @property
    def variant(self) -> ScoringVariant:
        """The rule that scores and ranks; each volume has its own tolerance."""
        variant = variant_named(self.scoring_variant).with_columns(self.further_column_names)
        own = self.own_headline
        return variant if own is None else replace(variant, headline=own)

    @property
    def further_column_names(self) -> list[str]:
        """Names of the figures that are shown besides those of the rule."""
        return self.further_columns.replace(",", " ").split()

    @property
    def own_headline(self) -> HeadlineRule | None:
        """What ranks in place of the rule's headline. Raises InputError for an expression that is not readable."""
        if not self.headline_expression:
            return None
        return HeadlineRule(
            name="score",
            label=self.headline_label or "score",
            expression=Expression(self.headline_expression),
            lower_is_better=self.headline_lower_is_better,
        )

    @property
    def default_phase(self) -> "Phase | None":
        """The phase that a page shows when none is asked for: the last one that has begun."""
        phases = list(self.phases.all())
        begun = [phase for phase in phases if phase.opens_at <= timezone.now()]
        return (begun or phases)[-1] if phases else None


def is_list_of_ids(stated: object) -> bool:
    """Whether it is a list of labels: whole numbers from 1 to 2^64 - 1."""
    return isinstance(stated, list) and all(type(i) is int and 0 < i < 2**64 for i in stated)


class Volume(models.Model):
    """One image volume: what a segmentation of it must look like, and how it is scored."""

    benchmark = models.ForeignKey(Benchmark, on_delete=models.CASCADE, related_name="volumes")
    slug = models.SlugField()
    name = models.CharField(max_length=100)
    tissue = models.CharField(max_length=200, blank=True)
    position = models.PositiveSmallIntegerField(default=0)
    shape_z = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    shape_y = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    shape_x = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    voxel_z_nm = models.FloatField("voxel size z (nm)")
    voxel_y_nm = models.FloatField("voxel size y (nm)")
    voxel_x_nm = models.FloatField("voxel size x (nm)")
    tolerance_nodes = models.PositiveIntegerField(
        default=50,
        help_text="T: how many nodes of two skeletons make a segment a merger; the scoring rule says whether T count",
    )
    min_length_um = models.FloatField(
        "shortest axon (um)", default=5.0, help_text="Shorter skeletons are left out of the ground truth"
    )
    target_voxel_nm = models.FloatField(
        "skeletonized at (nm)", default=30.0, help_text="Labels are downsampled to about this voxel size"
    )
    ends_inside_voxels = models.PositiveSmallIntegerField(
        "ends moved inside by (voxels)",
        default=0,
        help_text="Of skeletons made from labels: branches end so many voxels inside; 0 leaves them at the surface",
    )
    axon_ids = models.JSONField(
        "ids of axons", default=list, blank=True, help_text="Labels that become skeletons, as a list; empty: all"
    )
    submission = models.JSONField(
        "submitted file",
        default=dict,
        blank=True,
        help_text="Where a submission differs from the image: factor_zyx, region_nm_zyx, axes, dataset, file_name, "
        "zipped, node_tables (docs: organisers). Ground truth is registered again after its grid has changed",
    )
    ground_truth_public = models.BooleanField(
        default=False, help_text="Public ground truth allows per-axon detail; hidden allows aggregates only"
    )
    axons_shown = models.CharField(
        "shown of hidden axons",
        max_length=10,
        choices=AxonsShown,
        default=AxonsShown.NOTHING,
        help_text="On the benchmark's page. Axons of public ground truth are shown in any case",
    )

    class Meta:
        ordering = ["benchmark", "position", "name"]
        constraints = [
            models.UniqueConstraint(fields=["benchmark", "slug"], name="volume_slug_unique_in_benchmark"),
            models.CheckConstraint(
                condition=Q(voxel_z_nm__gt=0, voxel_y_nm__gt=0, voxel_x_nm__gt=0), name="voxel_size_positive"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def shape_zyx(self) -> tuple[int, int, int]:
        return (self.shape_z, self.shape_y, self.shape_x)

    @property
    def voxel_size_nm_zyx(self) -> tuple[float, float, float]:
        return (self.voxel_z_nm, self.voxel_y_nm, self.voxel_x_nm)

    @property
    def variant(self) -> ScoringVariant:
        """The benchmark's rule at this volume's tolerance."""
        return self.benchmark.variant.at_tolerance(self.tolerance_nodes)

    @property
    def spec(self) -> VolumeSpec:
        """The image."""
        return VolumeSpec(self.shape_zyx, self.voxel_size_nm_zyx)

    @property
    def rule(self) -> SubmissionRule:
        """What a submission must be. Raises InputError where `submission` does not fit the image."""
        rule = SubmissionRule.parse(self.spec, self.submission)
        if rule.node_tables and not self.ground_truth_public:
            raise InputError.of(
                "hidden_nodes",
                f"{self.name}: node_tables needs nodes that everybody knows, and the ground truth is hidden; leave it "
                "out, or set ground_truth_public",
            )
        return rule

    def clean(self) -> None:
        """Raises ValidationError where the file rule does not fit the volume, or an id of an axon is no id."""
        if None in (*self.shape_zyx, *self.voxel_size_nm_zyx):
            return  # a form that lacks them complains of these alone
        try:
            _ = self.rule
        except InputError as error:
            raise ValidationError({"submission": str(error)}) from None
        if not is_list_of_ids(self.axon_ids):
            raise ValidationError({"axon_ids": "Expected a list of ids, such as [3, 4, 42]."})


class Phase(models.Model):
    """A period in which submissions of certain volumes are accepted and ranked together."""

    class Kind(models.TextChoices):
        PRACTICE = "practice", "practice (public ground truth)"
        TEST = "test", "test (hidden ground truth)"

    benchmark = models.ForeignKey(Benchmark, on_delete=models.CASCADE, related_name="phases")
    slug = models.SlugField(default="test")
    name = models.CharField(max_length=100, default="Test")
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.TEST)
    volumes = models.ManyToManyField(Volume, related_name="phases")
    opens_at = models.DateTimeField(default=timezone.now)
    closes_at = models.DateTimeField(null=True, blank=True, help_text="Empty: open without end. Times are UTC.")
    submissions_per_day = models.PositiveSmallIntegerField(
        default=5,
        help_text="Per team and day (UTC). Failed ones do not count, rejected ones only where they cost much.",
    )
    submissions_total = models.PositiveIntegerField(
        "submissions in all", null=True, blank=True, help_text="Per team over the whole phase; empty: no such limit"
    )
    frozen_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="From then on nothing is submitted, published or withdrawn: the ranking stands. Times are UTC.",
    )
    ranking_hidden_until = models.DateTimeField(
        null=True, blank=True, help_text="Embargo: only organisers see the leaderboard before. Times are UTC."
    )

    class Meta:
        ordering = ["benchmark", "opens_at", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["benchmark", "slug"], name="phase_slug_unique_in_benchmark"),
            models.CheckConstraint(
                condition=Q(closes_at__isnull=True) | Q(closes_at__gt=models.F("opens_at")),
                name="phase_closes_after_it_opens",
                violation_error_message="A phase must close after it opens.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.benchmark.name}: {self.name}"

    @property
    def is_open(self) -> bool:
        now = timezone.now()
        return self.opens_at <= now and (self.closes_at is None or now < self.closes_at) and not self.is_frozen

    @property
    def is_frozen(self) -> bool:
        """Whether the ranking is frozen: nothing is submitted, published or withdrawn any more."""
        return self.frozen_at is not None and self.frozen_at <= timezone.now()

    @property
    def is_embargoed(self) -> bool:
        """Whether only organisers see the ranking at present."""
        return self.ranking_hidden_until is not None and timezone.now() < self.ranking_hidden_until


class GroundTruth(Job):
    """One version of a volume's ground truth: skeletons, dense labels, or both.

    Skeletons are made from an organiser's labels or taken from a bundle. Dense labels are scored voxel by voxel.
    Old versions stay, because the evaluations made with them name them.
    dense : the dense labels as the worker has written them; scoring opens this file alone.   dense_figures : of the
    voxels that are scored, see `benchmarks.dense_truth.DenseFigures`.
    """

    DONE_STATUS = "ready"
    TASK = "evalserver.benchmarks.tasks.register_ground_truth_task"

    class Source(models.TextChoices):
        LABELS = "labels", "label volume, skeletonized by a worker"
        BUNDLE = "bundle", "skeleton bundle (.npz)"
        DENSE = "dense", "dense label volume, scored voxel by voxel, without skeletons"
        SKELETONS = "skeletons", "skeletons of another program or benchmark"

    class Unit(models.TextChoices):
        NM = "nm", "nm"
        UM = "um", "um"
        VOXEL = "voxel", "voxels of the image"

    class AxisOrder(models.TextChoices):
        ZYX = "zyx", "z, y, x"
        XYZ = "xyz", "x, y, z"

    volume = models.ForeignKey(Volume, on_delete=models.PROTECT, related_name="ground_truths")
    version = models.PositiveSmallIntegerField(editable=False)
    source_kind = models.CharField(max_length=10, choices=Source.choices)
    source_file = models.FileField(upload_to=ground_truth_path)
    source_name = models.CharField(max_length=100, blank=True, editable=False)
    source_sha256 = models.CharField(max_length=64, blank=True, editable=False)
    dataset = models.CharField(
        max_length=200, blank=True, help_text="Dataset inside the file; empty when it holds a single label volume"
    )
    unit = models.CharField(
        max_length=5, choices=Unit, default=Unit.NM, help_text="Of coordinates, where a file of skeletons states none"
    )
    axes = models.CharField(
        "order of axes",
        max_length=3,
        choices=AxisOrder,
        default=AxisOrder.ZYX,
        help_text="Of labels and coordinates, where the file states none",
    )
    no_merge_mask = models.FileField(
        upload_to=ground_truth_path,
        blank=True,
        help_text="Optional labels of what belongs to no scored axon; a segment covering too much of it is a merger",
    )
    dense_labels = models.FileField(
        "dense labels",
        upload_to=ground_truth_path,
        blank=True,
        default="",
        db_default="",
        help_text="Optional, beside skeletons: a label volume that is scored voxel by voxel (ARAND, VOI, CREMI score)",
    )
    dense_dataset = models.CharField(
        "dataset of the dense labels", max_length=200, blank=True, default="", db_default=""
    )
    bundle = models.FileField(blank=True, editable=False)
    checksum = models.CharField(max_length=64, blank=True, editable=False)
    dense = models.FileField(blank=True, editable=False, default="", db_default="")
    dense_checksum = models.CharField(max_length=64, blank=True, editable=False, default="", db_default="")
    dense_figures = models.JSONField(null=True, editable=False)
    skeletons = models.PositiveIntegerField(null=True, editable=False)
    nodes = models.PositiveIntegerField(null=True, editable=False)
    gt_erl_nm = models.FloatField(null=True, editable=False)
    mean_node_spacing_nm = models.FloatField(null=True, editable=False)
    is_current = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, editable=False)

    class Meta:
        ordering = ["-created_at", "-pk"]
        verbose_name_plural = "ground truth"
        constraints = [
            models.UniqueConstraint(fields=["volume", "version"], name="ground_truth_version_unique"),
            models.UniqueConstraint(
                fields=["volume"], condition=Q(is_current=True), name="one_current_ground_truth_per_volume"
            ),
            models.CheckConstraint(
                condition=Q(is_current=False) | Q(status="ready"), name="current_ground_truth_is_ready"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.volume.name}, version {self.version}"

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of ground truth that it has, by their names in axonem_eval.scoring.FIGURES."""
        return frozenset(kind for kind, file in (("skeletons", self.bundle), ("dense", self.dense)) if file)

    @property
    def dense_source(self) -> tuple[FieldFile, str] | None:
        """The organiser's dense labels and their dataset; None where there are none."""
        if self.source_kind == self.Source.DENSE:
            return self.source_file, self.dataset
        return (self.dense_labels, self.dense_dataset) if self.dense_labels else None

    @property
    def file_axes(self) -> Axes:
        """Order of the axes of the labels in the source file."""
        return "xyz" if self.axes == self.AxisOrder.XYZ else "zyx"
