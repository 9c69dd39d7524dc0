"""Dense ground truth: read from the organiser's file in a confined process, and stored as a file of our own."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from django.conf import settings
from django.core.files import File

from axonem_eval.sandbox import Limits, counting_seconds, open_confined
from axonem_eval.scoring import DenseRule, OverlapTable, truth_table
from axonem_eval.submission_rule import FileRule
from axonem_eval.volumes import open_labels, write_hdf5
from evalserver.benchmarks.models import GroundTruth
from evalserver.jobs import Lease
from evalserver.uploads import file_sha256, local_path


def rule_key(rule: DenseRule) -> str:
    """Digest of which voxels a rule scores."""
    said = {**asdict(rule), "region": None if rule.region is None else rule.region.to_json()}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class DenseFigures:
    """What decides how finely figures of a dense ground truth are told; none of it is told exactly.

    rule : ``rule_key`` of the rule by which voxels were counted.   voxels : how many are scored.
    largest : voxels of the largest label.   squares : sum of n(i)^2 over labels.   entropy_bits : H(truth).
    """

    rule: str
    voxels: int
    labels: int
    largest: int
    squares: float
    entropy_bits: float

    @classmethod
    def of(cls, table: OverlapTable, rule: DenseRule) -> "DenseFigures":
        """Of any segmentation's overlap with the ground truth."""
        scored = table.truth != 0
        _, label = np.unique(table.truth[scored], return_inverse=True)
        n = np.bincount(label, weights=table.voxels[scored])
        share = n / n.sum()
        return cls(
            rule=rule_key(rule),
            voxels=int(n.sum()),
            labels=len(n),
            largest=int(n.max()),
            squares=float(np.square(n).sum()),
            entropy_bits=float(-(share * np.log2(share)).sum()),
        )


def register_dense(lease: Lease, ground_truth: GroundTruth) -> dict[str, Any]:
    """Read the organiser's dense labels, store them, and count their voxels.

    A confined process decodes the file; this one writes it chunk by chunk. Returns the columns of the version.
    Raises InputError where the labels do not fit the volume or its scoring rule.
    """
    source = ground_truth.dense_source
    if source is None:
        return {}
    file, dataset = source
    volume = ground_truth.volume
    spec = volume.rule.spec
    folder = f"groundtruth/{volume.benchmark.slug}/{volume.slug}"
    with local_path(file) as path, TemporaryDirectory(dir=settings.SCRATCH_DIR) as scratch:
        named = f"{path}:{dataset}" if dataset else path
        own = Path(scratch) / "dense.h5"
        with open_confined(
            named,
            spec,
            rule=FileRule(ground_truth.file_axes if ground_truth.source_kind == GroundTruth.Source.DENSE else "zyx"),
            limits=Limits(our_seconds=2 * counting_seconds(spec)),
            on_progress=partial(_report, lease),
            poll=lease.check,
        ) as labels:
            write_hdf5(labels, own, spec.voxel_size_nm_zyx, on_progress=partial(_report, lease, "write"))
        with open_labels(own) as written:
            table = truth_table(written, volume.variant.dense, on_progress=partial(_report, lease, "count"))
        with open(own, "rb") as content:
            checksum = file_sha256(File(content))
            name = ground_truth.dense.storage.save(f"{folder}/v{ground_truth.version}-dense.h5", File(content))
    figures = DenseFigures.of(table, volume.variant.dense)
    return {"dense": name, "dense_checksum": checksum, "dense_figures": asdict(figures)}


def _report(lease: Lease, stage: str, done: int, total: int) -> None:
    words = {"check": "Checking", "write": "Reading", "count": "Counting the voxels of"}[stage]
    lease.progress(f"{words} the dense labels: {done:,} of {total:,}", 10 * done / max(1, total))


def note_figures(ground_truth: GroundTruth, table: OverlapTable, rule: DenseRule) -> None:
    """Count anew after the rule has changed, from any segmentation's overlap under the new one."""
    if (ground_truth.dense_figures or {}).get("rule") != rule_key(rule):
        figures = asdict(DenseFigures.of(table, rule))
        GroundTruth.objects.filter(pk=ground_truth.pk).update(dense_figures=figures)
