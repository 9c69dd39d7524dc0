"""Whether files of one submission were handed in for one another's volumes: seen by the check, or only by the score.

What it tells of hidden ground truth is told by figures as they are shown, of an entry that the team could submit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from axonem_eval.errors import Complaint, InputError
from axonem_eval.sampling import NodeSample
from axonem_eval.sandbox import open_confined, sample_confined
from axonem_eval.scoring import ErlReport, score_nodes
from axonem_eval.volumes import exchanged_complaint, exchanged_files
from evalserver.benchmarks.disclosure_rule import Disclosure
from evalserver.benchmarks.models import GroundTruth
from evalserver.submissions.evaluation.scoring import Measured, load_graph
from evalserver.submissions.models import Evaluation, VolumeFile
from evalserver.uploads import local_path

# Key of a stored report: the volume (its slug) whose axons the file follows, which it does not on its own.
FOLLOWS = "follows_volume"
# Share of the ground truth's ERL below which a file is no usual segmentation of its volume.
HOPELESS = 0.1

Poll = Callable[[], None]


def with_exchange_complaints(refused: Mapping[VolumeFile, Sequence[Complaint]], poll: Poll) -> list[dict[str, str]]:
    """The complaints about all refused files; in place of those about one that fits another's volume, which it fits."""

    def fits(file: VolumeFile, other: VolumeFile) -> bool:
        rule = other.volume.rule
        try:
            with local_path(file.file) as path, open_confined(path, rule.spec, rule=rule.file, poll=poll):
                return True
        except InputError:
            return False

    told = dict(refused)
    for file, other in exchanged_files(refused, fits).items():
        told[file] = [exchanged_complaint(file.file.name or "", file.volume.name, other.volume.name)]
    return [file.complaint(c.code, c.message) for file, complaints in told.items() for c in complaints]


def with_exchanges(measured: Sequence[Measured], poll: Poll) -> list[Measured]:
    """The same, and in the details of files with a hopeless score the volume that they follow better, where one does.

    Each such file is read once more, at the nodes of all volumes of its shape that score as badly: exchanged files do.
    """
    hopeless = [m for m in measured if not m.volume_file.is_node_table and _is_hopeless(m)]
    return _noted(measured, {m.volume_file.pk: _followed(m, _alike(m, hopeless), poll) for m in hopeless})


def with_exchanges_of_before(measured: Sequence[Measured]) -> list[Measured]:
    """The same from earlier scores of the files, where they are hopeless still: nothing is read."""
    hopeless = [m.volume_file.pk for m in measured if _is_hopeless(m)]
    earlier = Evaluation.objects.filter(volume_file__in=hopeless).order_by("pk")
    rows = earlier.values_list("volume_file_id", f"report__{FOLLOWS}")
    return _noted(measured, {pk: slug for pk, slug in rows if slug})


def _noted(measured: Sequence[Measured], found: Mapping[int, str]) -> list[Measured]:
    return [
        replace(m, details={**m.details, FOLLOWS: slug}) if (slug := found.get(m.volume_file.pk)) else m
        for m in measured
    ]


def _is_hopeless(measured: Measured) -> bool:
    share = _shown_share(measured.ground_truth, measured.report)
    return share is not None and share < HOPELESS


def _alike(measured: Measured, others: Sequence[Measured]) -> list[GroundTruth]:
    """Ground truth of the other volumes of the same shape, whose files are stored alike."""
    rule = measured.volume.rule
    others = [m for m in others if m is not measured and m.volume.rule.file == rule.file]
    return [m.ground_truth for m in others if m.volume.rule.spec.shape_zyx == rule.spec.shape_zyx]


def _followed(measured: Measured, ground_truths: Sequence[GroundTruth], poll: Poll) -> str:
    """Slug of the volume on which a file reaches what it does not on its own, and most; empty if there is none."""
    if not ground_truths:
        return ""
    graphs = [load_graph(ground_truth) for ground_truth in ground_truths]
    rule = measured.volume.rule
    nodes = np.concatenate([graph.node_voxel_zyx for graph in graphs])
    try:
        with local_path(measured.volume_file.file) as path:
            segment = sample_confined(path, rule.spec, nodes, rule=rule.file, poll=poll).node_segment
    except (InputError, FileNotFoundError):
        return ""  # the score stands, from labels that were read before: a hint is not worth an entry
    parts = np.split(segment, np.cumsum([graph.n_nodes for graph in graphs])[:-1])
    shares: dict[str, float] = {}
    for ground_truth, graph, part in zip(ground_truths, graphs, parts, strict=True):
        # Without the no-merge mask: it is the axons that tell one tissue from another.
        report = score_nodes(graph, NodeSample.of_labels(part), variant=ground_truth.volume.variant)
        shares[ground_truth.volume.slug] = _shown_share(ground_truth, report) or 0.0
    best = max(shares, key=lambda slug: shares[slug])
    return best if shares[best] >= HOPELESS else ""


def _shown_share(ground_truth: GroundTruth, report: ErlReport | None) -> float | None:
    """Share of the ground truth's ERL as a reader is told it; None where there is none, or it is withheld."""
    if report is None or not report.gt_erl_nm:
        return None
    rule = Disclosure.of(ground_truth.volume, ground_truth)
    edges: dict[str, Any] = report.edges_nm
    if rule.labels_too_little(edges["total"] - edges["omitted"]):
        return None
    return float(rule.normalized(report.erl_nm, report.gt_erl_nm))
