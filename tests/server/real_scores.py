"""Submissions that are scored for real from labels in memory: no file is opened, no worker is needed."""

from typing import Any

import numpy as np
from django.core.files.base import ContentFile
from django.utils import timezone

from axonem_eval.sampling import NodeSample
from evalserver.benchmarks.models import Phase
from evalserver.benchmarks.selectors import current_ground_truths
from evalserver.submissions import services
from evalserver.submissions.evaluation import scoring
from evalserver.submissions.models import NodeLabels, Submission
from tests.factories import (
    make_submission,
    make_user,
    tiny_graph,
    tiny_labels,
    upload,
)


def split_axons(at: int = 40, count: int = 2) -> np.ndarray:
    """The true labels, the first axons cut in two at x."""
    labels = tiny_labels()
    for label in range(1, count + 1):
        labels[:, :, at:][labels[:, :, at:] == label] = 100 + label
    return labels


def merged_axons() -> np.ndarray:
    """The true labels, axons 1 and 2 as one."""
    labels = tiny_labels()
    labels[labels == 2] = 1
    return labels


def score_for_real(phase: Phase, labels: np.ndarray | None = None, **fields: Any) -> Submission:
    """A published submission with node labels, evaluations and headline as a worker leaves them."""
    labels = tiny_labels() if labels is None else labels
    submission = make_submission(phase, **{"status": "scored", "published_at": timezone.now(), **fields})
    ground_truths = current_ground_truths(phase)
    graph = tiny_graph()
    sample = NodeSample.of_labels(labels[tuple(graph.node_voxel_zyx.T)])
    measured = []
    for file in submission.files.select_related("volume"):
        row = NodeLabels(volume_file=file, ground_truth=ground_truths[file.volume_id], sample_seconds=0.0)
        row.file.save(f"{submission.code}-{file.volume.slug}.npz", ContentFile(b""), save=False)
        sample.save(row.file.path)
        row.save()
        measured.append(scoring.score_labels(row))
    scoring.record(submission, measured)
    return submission


def submit(phase, files=None, **fields):
    """A submission through the service that the form calls; `files` by slug of the volume."""
    user = fields.pop("user", None) or make_user()
    volumes = {volume.slug: volume for volume in phase.volumes.all()}
    uploads = {volume: (files or {}).get(slug) or upload() for slug, volume in volumes.items()}
    return services.create_submission(
        team=user.teams.get(), user=user, phase=phase, files=uploads, **{"method_name": "m", "publish": True, **fields}
    )
