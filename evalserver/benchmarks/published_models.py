"""Results taken from papers, which boards show beside the ranking."""

from django.core.validators import MinValueValidator
from django.db import models


class PublishedEntry(models.Model):
    """A result taken from a paper: shown beside the ranking, never ranked, since we did not score it."""

    benchmark = models.ForeignKey("benchmarks.Benchmark", on_delete=models.CASCADE, related_name="published_entries")
    method = models.CharField(max_length=150)
    source = models.CharField(max_length=200, help_text="Authors, title, year")
    url = models.URLField(blank=True)
    is_ground_truth = models.BooleanField(default=False)
    note = models.CharField(max_length=200, blank=True)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "pk"]
        verbose_name_plural = "published entries"
        constraints = [models.UniqueConstraint(fields=["benchmark", "method", "source"], name="published_entry_unique")]

    def __str__(self) -> str:
        return self.method


class PublishedScore(models.Model):
    """Figures of a published entry on one volume, as printed: ERL in um, as a share of the ground truth's, others.

    figures : by the names of axonem_eval.scoring.FIGURES, those but the ERL.
    """

    entry = models.ForeignKey(PublishedEntry, on_delete=models.CASCADE, related_name="scores")
    volume = models.ForeignKey("benchmarks.Volume", on_delete=models.CASCADE, related_name="published_scores")
    erl_um = models.FloatField("ERL (um)", null=True, blank=True, validators=[MinValueValidator(0)])
    percent = models.FloatField("% of ground truth", null=True, blank=True)
    figures = models.JSONField(
        null=True, blank=True, help_text='Other figures, by the names of docs/metric.md: {"arand": 0.031}'
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["entry", "volume"], name="one_published_score_per_volume")]

    def __str__(self) -> str:
        return f"{self.entry} on {self.volume}: {self.erl_um} um, {self.percent}%"

    @property
    def has_erl(self) -> bool:
        return self.erl_um is not None or self.percent is not None
