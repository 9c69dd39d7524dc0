"""Queries: the results of submissions, as their readers may see them."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from django.db.models import Q

from evalserver.benchmarks.disclosure_rule import NOTED, PICTURES
from evalserver.benchmarks.selectors import current_ruler
from evalserver.submissions.models import Evaluation, Score, Submission
from evalserver.submissions.results import disclosure, headline
from evalserver.submissions.results.headline import Headline, number_in_words, value_in_words
from evalserver.submissions.results.result_page import VolumeResult
from evalserver.submissions.results.runs import half_interval
from evalserver.submissions.selectors import visible_submissions


@dataclass(frozen=True)
class Result:
    """A submission's scores under one ruler. is_current : whether the leaderboard uses that ruler now.

    What readers are shown are `headline` and `volumes`; score and evaluations hold exact figures.
    """

    score: Score
    evaluations: list[Evaluation]
    is_current: bool

    @cached_property
    def headline(self) -> Headline:
        """The mean as its readers may see it."""
        return headline.headline(self.score, self.evaluations)

    @cached_property
    def volumes(self) -> list[VolumeResult]:
        """The evaluations as their readers may see them."""
        return [VolumeResult.of(evaluation) for evaluation in self.evaluations]


def result_of(submission: Submission, *, reports: bool = True) -> Result | None:
    """Scores under the current metric, ground truth and tolerance, or else the last ones there are."""
    return results_of([submission], reports=reports).get(submission.pk)


def results_of(submissions: Iterable[Submission], *, reports: bool = True) -> dict[int, Result]:
    """By submission id, of those that have a score. Without `reports`, the volumes' reports are not read."""
    rows = list(submissions)
    phases = {row.pk: row.phase_id for row in rows}
    rulers = {phase.pk: current_ruler(phase) for phase in {row.phase for row in rows}}
    scores: dict[int, list[Score]] = defaultdict(list)
    for score in Score.objects.filter(submission__in=rows).order_by("-created_at", "-pk"):
        scores[score.submission_id].append(score)
    found = Evaluation.objects.filter(volume_file__submission__in=scores).select_related(
        "volume_file__volume__benchmark", f"ground_truth__{NOTED}"
    )
    found = found.defer(*(f"ground_truth__{name}" for name in PICTURES))
    if not reports:
        found = found.defer("report", "timings").annotate(**disclosure.LABELLED)
    evaluations: dict[int, list[Evaluation]] = defaultdict(list)
    for evaluation in found.reverse():  # oldest first
        evaluations[evaluation.volume_file.submission_id].append(evaluation)
    results = {pk: _result(scores[pk], evaluations[pk], rulers[phase]) for pk, phase in phases.items() if scores[pk]}
    # Without evaluations there is nothing that says how finely a mean may be told.
    return {pk: result for pk, result in results.items() if result.evaluations}


def _result(scores: list[Score], evaluations: list[Evaluation], current: str | None) -> Result:
    """scores : newest first.   evaluations : oldest first."""
    score = next((s for s in scores if s.ruler == current), scores[0])
    is_current = score.ruler == current
    latest: dict[int, Evaluation] = {}
    for evaluation in evaluations:
        volume = evaluation.volume_file.volume
        rule = volume.tolerance_nodes, volume.benchmark.scoring_variant
        fits = evaluation.ground_truth.is_current and (evaluation.tolerance_nodes, evaluation.scoring_variant) == rule
        if evaluation.metric_version == score.metric_version and (fits or not is_current):
            latest[evaluation.volume_file_id] = evaluation
    ordered = sorted(latest.values(), key=lambda e: (e.volume_file.volume.position, e.pk))
    return Result(score, ordered, is_current)


def with_headlines(submissions: Iterable[Submission]) -> list[Submission]:
    """Each with its `headline` as a list of submissions shows it; None where there is no score."""
    rows = list(submissions)
    results = results_of(rows, reports=False)
    for row in rows:
        result = results.get(row.pk)
        row.headline = result.headline if result else None  # type: ignore[attr-defined]
    return rows


@dataclass(frozen=True)
class RunsTable:
    """An entry's runs that a reader may see, each with its headline.

    mean, half : of those that are published, as the leaderboard ranks them, and half of its 95% interval, in words;
        both empty where fewer than two are.
    """

    entry: Submission
    runs: list[tuple[Submission, Headline]]
    mean: str = ""
    half: str = ""


def runs_table(submission: Submission, user: Any) -> RunsTable | None:
    """Of the entry that this is a run of; None where the reader sees fewer than two runs that are measured alike."""
    entry = submission.run_of or submission
    seen = visible_submissions(user).filter(Q(pk=entry.pk) | Q(run_of=entry), status=Submission.DONE_STATUS)
    rows = list(seen.select_related("team", "phase__benchmark").order_by("created_at", "pk"))
    if len(rows) < 2:
        return None
    results = results_of(rows, reports=False)
    runs = [(row, results[row.pk].headline) for row in rows if row.pk in results and results[row.pk].is_current]
    ranked = [shown.ranked for row, shown in runs if row.is_listed and shown.ranked is not None]
    half = half_interval(np.array(ranked))
    if half is None:
        return RunsTable(entry, runs) if len(runs) > 1 else None
    rule = runs[0][1].rule
    return RunsTable(entry, runs, value_in_words(rule, sum(ranked) / len(ranked)), number_in_words(rule, half))
