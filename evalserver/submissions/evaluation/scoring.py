"""From stored node labels to evaluation records and the headline; no voxel is read here."""

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

from axonem_eval.report import full_report
from axonem_eval.sampling import NodeSample
from axonem_eval.scoring import (
    DEFAULT_RESAMPLES,
    METRIC_VERSION,
    ErlReport,
    Interval,
    headline,
    node_scores,
    resampled_sums,
    score_nodes,
)
from axonem_eval.skeletons import SkeletonGraph
from evalserver.benchmarks import selectors
from evalserver.benchmarks.models import GroundTruth
from evalserver.submissions.models import Evaluation, NodeLabels, Score, Submission, VolumeFile
from evalserver.uploads import local_path


@dataclass(frozen=True)
class Measured:
    """Score of one file, not stored yet.

    details : what axonem_eval.report.full_report says, exact; figures of hidden ground truth are coarsened where they
    are
        shown.
    """

    volume_file: VolumeFile
    ground_truth: GroundTruth
    report: ErlReport
    headline: float
    details: dict[str, Any]
    timings: dict[str, float]


def load_graph(ground_truth: GroundTruth) -> SkeletonGraph:
    """The skeletons, checked against the checksum that was recorded when they were made."""
    with local_path(ground_truth.bundle) as path:
        graph = SkeletonGraph.load(path)
    if graph.checksum() != ground_truth.checksum:
        raise RuntimeError(f"the bundle of ground truth {ground_truth.pk} has changed since it was registered")
    return graph


def load_sample(labels: NodeLabels) -> NodeSample:
    with local_path(labels.file) as path:
        return NodeSample.load(path)


def score_labels(labels: NodeLabels, graph: SkeletonGraph | None = None) -> Measured:
    """Score stored node labels against their ground truth."""
    started = time.perf_counter()
    ground_truth = labels.ground_truth
    sample = load_sample(labels)
    volume = ground_truth.volume
    graph = graph or load_graph(ground_truth)
    variant = volume.variant
    report = score_nodes(graph, sample, variant=variant)
    ranked = headline(variant, report=report, nodes=node_scores(graph, sample, variant))
    details = full_report(graph, sample, variant=variant, public=volume.ground_truth_public)
    timings = {
        "sample_s": round(labels.sample_seconds, 3),
        "score_s": round(time.perf_counter() - started, 3),
    }
    return Measured(labels.volume_file, ground_truth, report, ranked.value, details, timings)


def record(submission: Submission, measured: list[Measured]) -> Score:
    """Store evaluations and headline inside the caller's transaction; what is there already stays as it is."""
    for m in measured:
        Evaluation.objects.get_or_create(
            volume_file=m.volume_file,
            metric_version=METRIC_VERSION,
            ground_truth=m.ground_truth,
            tolerance_nodes=m.report.tolerance_nodes,
            scoring_variant=m.report.variant.name,
            defaults={
                "ground_truth_checksum": m.ground_truth.checksum,
                "erl_nm": m.report.erl_nm,
                "gt_erl_nm": m.report.gt_erl_nm,
                "normalized_erl": m.report.normalized_erl,
                "report": m.details,
                "timings": m.timings,
                "code_version": code_version(),
            },
        )
    interval = mean_erl_interval(measured)
    score, _ = Score.objects.get_or_create(
        submission=submission,
        ruler=selectors.ruler_of(m.ground_truth for m in measured),
        defaults={
            "metric_version": METRIC_VERSION,
            "mean_erl_nm": fsum(m.report.erl_nm for m in measured) / len(measured),
            "mean_normalized_erl": fsum(m.report.normalized_erl for m in measured) / len(measured),
            "headline": fsum(m.headline for m in measured) / len(measured),
            "erl_low_nm": interval.low,
            "erl_high_nm": interval.high,
        },
    )
    return score


def mean_erl_interval(measured: list[Measured], *, resamples: int = DEFAULT_RESAMPLES) -> Interval:
    """Bootstrap interval of the headline: each volume draws its own axons, the mean is taken of the volumes' ERL."""
    mean = np.zeros(resamples)
    for number, m in enumerate(sorted(measured, key=lambda m: m.volume_file.volume_id)):
        table = m.report.table
        if table is None:
            raise ValueError("score_nodes made no table of axons")
        length = table.skeleton_length_nm
        squares = length * table.skeleton_erl_nm(m.report.tolerance_nodes)
        # The seeds are those of paired_bootstrap: volumes a step apart.
        drawn = resampled_sums([squares[length > 0], length[length > 0]], resamples=resamples, seed=number)
        mean += drawn[:, 0] / drawn[:, 1] / len(measured)
    return Interval.of(mean)


def stored_labels(submission: Submission, ground_truths: Mapping[int, GroundTruth]) -> dict[int, NodeLabels]:
    """Node labels by volume-file id, where they were sampled at the given ground truth."""
    rows = NodeLabels.objects.filter(
        volume_file__submission=submission, ground_truth__in=ground_truths.values()
    ).select_related("volume_file__volume", "ground_truth__volume__benchmark")
    return {row.volume_file_id: row for row in rows}


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
