"""Boards of tiny volumes under any scoring variant, and dense ground truth that is registered without a worker."""

import numpy as np
from django.core.files.uploadedfile import SimpleUploadedFile

from evalserver.benchmarks import registration, services
from evalserver.benchmarks.models import Benchmark, GroundTruth
from tests.factories import h5_bytes, make_benchmark, tiny_labels


def dense_labels() -> np.ndarray:
    """Labels of every voxel: the three axons of `tiny_labels`, and what lies between them in four parts."""
    labels = tiny_labels()
    between = labels == 0
    labels[:, :32, :48][between[:, :32, :48]] = 11
    labels[:, 32:, :48][between[:, 32:, :48]] = 12
    labels[:, :32, 48:][between[:, :32, 48:]] = 13
    labels[:, 32:, 48:][between[:, 32:, 48:]] = 14
    return labels


def board_of(variant: str, *, public: bool = False, volumes: tuple[str, ...] = ("a",)):
    phase = make_benchmark(volumes, ready=False)
    Benchmark.objects.filter(pk=phase.benchmark_id).update(scoring_variant=variant)
    phase.volumes.update(ground_truth_public=public)
    phase.refresh_from_db()
    return phase


def register(volume, kind: str = "dense", labels: np.ndarray | None = None, **more) -> GroundTruth:
    labels = dense_labels() if labels is None else labels
    row = services.register_ground_truth(
        volume=volume, source_file=SimpleUploadedFile("cremi.h5", h5_bytes(labels)), source_kind=kind, **more
    )
    registration.register_ground_truth(row.pk)
    row.refresh_from_db()
    return row
