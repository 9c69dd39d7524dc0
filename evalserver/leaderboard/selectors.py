"""What the leaderboard shows. Five queries for a page, however many entries there are."""

from dataclasses import dataclass
from datetime import datetime

from django.core.paginator import Page, Paginator
from django.db.models import F, QuerySet, Window
from django.db.models.functions import Rank

from axonem_eval.erl import METRIC_VERSION
from evalserver.benchmarks.models import Benchmark, GroundTruth, Phase, PublishedEntry, Volume
from evalserver.submissions import scoring
from evalserver.submissions.models import Evaluation, Score, Submission

PAGE_SIZE = 100


@dataclass(frozen=True)
class VolumeScore:
    """ERL on one volume. percent : of the ground truth's own ERL."""

    erl_um: float
    percent: float | None


@dataclass(frozen=True)
class Row:
    """One ranked entry. scores : in the order of the table's volumes."""

    rank: int
    submission: Submission
    mean_erl_um: float
    mean_percent: float
    scores: list[VolumeScore | None]
    scored_at: datetime


@dataclass(frozen=True)
class PublishedRow:
    """One result from a paper; never ranked."""

    entry: PublishedEntry
    mean_erl_um: float | None
    mean_percent: float | None
    scores: list[VolumeScore | None]


@dataclass(frozen=True)
class Column:
    """One volume of the table, with the ground truth that its scores were measured on."""

    volume: Volume
    ground_truth: GroundTruth | None

    @property
    def tolerance_um(self) -> float | None:
        spacing = self.ground_truth.mean_node_spacing_nm if self.ground_truth else None
        return spacing * self.volume.tolerance_nodes / 1000 if spacing else None


@dataclass(frozen=True)
class Leaderboard:
    """One page of the ranking of a phase under one ruler."""

    phase: Phase
    columns: list[Column]
    rows: list[Row]
    published: list[PublishedRow]
    page: Page
    metric_version: str
    ruler: str | None


def ranked_scores(phase: Phase, ruler: str) -> QuerySet[Score]:
    """Listed scores under one ruler, best first; equal scores share a rank (1, 2, 2, 4), the earlier one first."""
    return (
        Score.objects.filter(
            ruler=ruler,
            submission__phase=phase,
            submission__status=Submission.DONE_STATUS,
            submission__published_at__isnull=False,
            submission__withdrawn_at__isnull=True,
            submission__hidden_at__isnull=True,
        )
        .annotate(rank=Window(Rank(), order_by=F("mean_erl_nm").desc()))
        .select_related("submission__team")
        .order_by("rank", "submission__created_at", "pk")
    )


def leaderboard(benchmark: Benchmark, phase: Phase, page_number: str | int = 1) -> Leaderboard:
    """One page of a phase's table."""
    ground_truths = scoring.current_ground_truths(phase)
    columns = [Column(volume, ground_truths.get(volume.pk)) for volume in phase.volumes.order_by("position", "pk")]
    complete = bool(columns) and all(column.ground_truth for column in columns)
    ruler = scoring.ruler_of(ground_truths.values()) if complete else None
    scores = ranked_scores(phase, ruler) if ruler else Score.objects.none()
    page = Paginator(scores, PAGE_SIZE).get_page(page_number)
    return Leaderboard(
        phase=phase,
        columns=columns,
        rows=_rows(list(page.object_list), columns),
        published=_published(benchmark, columns) if page.number == 1 else [],
        page=page,
        metric_version=METRIC_VERSION,
        ruler=ruler,
    )


def _rows(scores: list[Score], columns: list[Column]) -> list[Row]:
    evaluations: dict[tuple[int, int], VolumeScore] = {}
    found = Evaluation.objects.filter(
        volume_file__submission__in=[score.submission_id for score in scores],
        ground_truth__in=[column.ground_truth for column in columns if column.ground_truth],
        metric_version=METRIC_VERSION,
        tolerance_nodes=F("volume_file__volume__tolerance_nodes"),
    ).values_list("volume_file__submission_id", "volume_file__volume_id", "erl_nm", "normalized_erl")
    for submission_id, volume_id, erl_nm, normalized in found:
        evaluations[submission_id, volume_id] = VolumeScore(erl_nm / 1000, normalized * 100)
    return [
        Row(
            rank=score.rank,
            submission=score.submission,
            mean_erl_um=score.mean_erl_nm / 1000,
            mean_percent=score.mean_normalized_erl * 100,
            scores=[evaluations.get((score.submission_id, column.volume.pk)) for column in columns],
            scored_at=score.created_at,
        )
        for score in scores
    ]


def _published(benchmark: Benchmark, columns: list[Column]) -> list[PublishedRow]:
    """Published entries, the ceiling first, then best first; those without a mean come last."""
    rows = []
    for entry in benchmark.published_entries.prefetch_related("scores"):
        by_volume = {s.volume_id: VolumeScore(s.erl_um, s.percent) for s in entry.scores.all()}
        scores = [by_volume.get(column.volume.pk) for column in columns]
        known = [score for score in scores if score is not None]
        if not known:
            continue
        complete = len(known) == len(columns)
        percents = [score.percent for score in known if score.percent is not None]
        rows.append(
            PublishedRow(
                entry=entry,
                mean_erl_um=sum(score.erl_um for score in known) / len(known) if complete else None,
                mean_percent=sum(percents) / len(percents) if complete and len(percents) == len(known) else None,
                scores=scores,
            )
        )
    return sorted(rows, key=lambda row: (not row.entry.is_ground_truth, -(row.mean_erl_um or 0.0)))
