"""From stored node labels to evaluation records and the headline; no voxel is read here."""

import math
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from math import fsum
from typing import Any

import numpy as np
from django.conf import settings

from axonem_eval.report import dense_report, full_report
from axonem_eval.sampling import NodeSample
from axonem_eval.scoring import (
    DEFAULT_RESAMPLES,
    METRIC_VERSION,
    ErlReport,
    Interval,
    OverlapTable,
    dense_scores,
    figures_of,
    no_skeletons,
    node_scores,
    resampled_sums,
    score_nodes,
    variant_named,
)
from axonem_eval.skeletons import SkeletonGraph
from evalserver.benchmarks import dense_truth, selectors
from evalserver.benchmarks.models import GroundTruth, Volume
from evalserver.submissions.models import Evaluation, NodeLabels, Score, Submission, VolumeFile
from evalserver.uploads import local_path

# The ERL by the rule that AxonEM's paper follows, beside that of its code of today.
OF_2021 = "erl_axonem2021_nm"


@dataclass(frozen=True)
class Measured:
    """Score of one file, not stored yet.

    report : None where the ground truth has no skeletons.   figures : those of axonem_eval.scoring.FIGURES that the
    ground truth allows.   details : what axonem_eval.report says, exact; figures of hidden ground truth are coarsened
    where they are shown.
    """

    volume_file: VolumeFile
    ground_truth: GroundTruth
    report: ErlReport | None
    figures: dict[str, float]
    details: dict[str, Any]
    timings: dict[str, float]

    @property
    def volume(self) -> Volume:
        return self.ground_truth.volume


def load_graph(ground_truth: GroundTruth) -> SkeletonGraph:
    """The skeletons, checked against the checksum that was recorded when they were made; none of a dense version."""
    if not ground_truth.bundle:
        return no_skeletons(ground_truth.volume.rule.spec)
    with local_path(ground_truth.bundle) as path:
        graph = SkeletonGraph.load(path)
    if graph.checksum() != ground_truth.checksum:
        raise RuntimeError(f"the bundle of ground truth {ground_truth.pk} has changed since it was registered")
    return graph


def load_sample(labels: NodeLabels) -> NodeSample:
    """The labels at the nodes, from the storage."""
    with local_path(labels.file) as path:
        return NodeSample.load(path)


def load_overlap(labels: NodeLabels) -> OverlapTable | None:
    """The overlap with dense ground truth; None where there is none."""
    if not labels.overlap:
        return None
    with local_path(labels.overlap) as path:
        return OverlapTable.load(path)


def score_labels(labels: NodeLabels, graph: SkeletonGraph | None = None) -> Measured:
    """Score what one read of a file has found, against its ground truth."""
    started = time.perf_counter()
    ground_truth = labels.ground_truth
    volume = ground_truth.volume
    variant, public = volume.variant, volume.ground_truth_public
    overlap = load_overlap(labels)
    dense = None if overlap is None else dense_scores(overlap)
    if overlap is not None:
        dense_truth.note_figures(ground_truth, overlap, variant.dense)
    report = nodes = None
    further: dict[str, float] = {}
    if ground_truth.bundle:
        graph, sample = graph or load_graph(ground_truth), load_sample(labels)
        report, nodes = score_nodes(graph, sample, variant=variant), node_scores(graph, sample, variant)
        details = full_report(graph, sample, variant=variant, dense=dense, public=public)
        if OF_2021 in variant.columns:
            rule = variant_named("axonem2021").at_tolerance(volume.tolerance_nodes)
            further[OF_2021] = score_nodes(graph, sample, variant=rule).erl_nm
    elif dense is not None:
        details = dense_report(dense, variant, volume.rule.spec.voxel_size_nm_zyx, public=public)
    else:
        raise RuntimeError(f"ground truth {ground_truth.pk} has neither skeletons nor dense labels")
    timings = {
        "sample_s": round(labels.sample_seconds, 3),
        "score_s": round(time.perf_counter() - started, 3),
    }
    figures = figures_of(report=report, nodes=nodes, dense=dense) | further
    return Measured(labels.volume_file, ground_truth, report, figures, details, timings)


def record(submission: Submission, measured: list[Measured]) -> Score:
    """Store evaluations and headline inside the caller's transaction; what is there already stays as it is."""
    for m in measured:
        erl = m.report
        evaluation, created = Evaluation.objects.get_or_create(
            volume_file=m.volume_file,
            metric_version=METRIC_VERSION,
            ground_truth=m.ground_truth,
            tolerance_nodes=m.volume.tolerance_nodes,
            scoring_variant=m.volume.benchmark.scoring_variant,
            defaults={
                "ground_truth_checksum": m.ground_truth.checksum,
                "erl_nm": erl.erl_nm if erl else None,
                "gt_erl_nm": erl.gt_erl_nm if erl else None,
                "normalized_erl": erl.normalized_erl if erl else None,
                "figures": m.figures,
                "report": m.details,
                "timings": m.timings,
                "code_version": code_version(),
            },
        )
        before = evaluation.figures or {}
        if not created and m.figures.keys() - before.keys():
            # A column that the benchmark did not have then; what stands there stays.
            Evaluation.objects.filter(pk=evaluation.pk).update(figures={**m.figures, **before})
    reports = [m.report for m in measured if m.report is not None]
    has_erl = len(reports) == len(measured)
    interval = mean_erl_interval(measured) if has_erl else None
    score, _ = Score.objects.get_or_create(
        submission=submission,
        ruler=selectors.ruler_of(m.ground_truth for m in measured),
        defaults={
            "metric_version": METRIC_VERSION,
            "mean_erl_nm": fsum(r.erl_nm for r in reports) / len(reports) if has_erl else None,
            "mean_normalized_erl": fsum(r.normalized_erl for r in reports) / len(reports) if has_erl else None,
            "headline": headline_of(measured),
            "erl_low_nm": interval.low if interval else None,
            "erl_high_nm": interval.high if interval else None,
        },
    )
    return score


def headline_of(measured: list[Measured]) -> float:
    """The number that ranks, over all volumes."""
    rule = measured[0].volume.benchmark.variant.headline
    figures = {name: np.array([m.figures[name] for m in measured]) for name in rule.expression.names}
    value = float(rule.expression.of(figures, [m.volume.slug for m in measured]))
    if not math.isfinite(value):
        raise RuntimeError(f"the headline {rule.expression.text!r} has no value for these figures: {figures}")
    return value


def mean_erl_interval(measured: list[Measured], *, resamples: int = DEFAULT_RESAMPLES) -> Interval:
    """Bootstrap interval of the headline: each volume draws its own axons, the mean is taken of the volumes' ERL."""
    mean = np.zeros(resamples)
    for number, m in enumerate(sorted(measured, key=lambda m: m.volume_file.volume_id)):
        table = m.report.table if m.report is not None else None
        if table is None:
            raise ValueError("score_nodes made no table of axons")
        length = table.skeleton_length_nm
        squares = length * table.skeleton_erl_nm(m.volume.tolerance_nodes)
        # The seeds are those of paired_bootstrap: volumes a step apart.
        drawn = resampled_sums([squares[length > 0], length[length > 0]], resamples=resamples, seed=number)
        mean += drawn[:, 0] / drawn[:, 1] / len(measured)
    return Interval.of(mean)


def stored_labels(submission: Submission, ground_truths: Mapping[int, GroundTruth]) -> dict[int, NodeLabels]:
    """What was read of the files, by volume-file id, where a score by the current rule needs no more."""
    rows = NodeLabels.objects.filter(
        volume_file__submission=submission, ground_truth__in=ground_truths.values()
    ).select_related("volume_file__volume", "ground_truth__volume__benchmark")
    return {row.volume_file_id: row for row in rows if row.dense_rule == rule_of_counts(row.ground_truth)}


def rule_of_counts(ground_truth: GroundTruth) -> str:
    """Which voxels a score counts now; empty where there is no dense ground truth."""
    return dense_truth.rule_key(ground_truth.volume.variant.dense) if ground_truth.dense else ""


@cache
def code_version() -> str:
    """Release and commit of the running code, as far as it can tell."""
    if settings.CODE_VERSION:
        return str(settings.CODE_VERSION)
    release = version("axonem")
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=10"],  # noqa: S607  (git is wherever PATH says)
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return release
    return f"{release}+{commit}"
