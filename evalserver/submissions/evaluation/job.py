"""The job that evaluates a submission: check and sample each file in a confined process, then score.

A stored sample is not read again. So a worker that takes over continues where the other died.
"""

import hmac
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from django.conf import settings
from django.core.files import File
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now

from axonem_eval.errors import Complaint, GroundTruthError, InputError, of_ground_truth
from axonem_eval.progress import StageProgress
from axonem_eval.sampling import NodeSample
from axonem_eval.sandbox import Limits, counting_seconds, node_table_confined, sample_confined
from axonem_eval.scoring import MAX_PAIRS, OverlapCounter, OverlapTable
from axonem_eval.skeletons import SkeletonGraph
from axonem_eval.volumes import LabelInfo, Labels, LabelVolume, open_labels
from evalserver.benchmarks.models import GroundTruth, Phase
from evalserver.benchmarks.selectors import current_ground_truths, node_table_refusal
from evalserver.jobs import REJECTED, Lease, Rejection, run_job, stop_job
from evalserver.submissions.evaluation import diagnosis, error_pictures, exchanged, notifications, scoring
from evalserver.submissions.models import NodeLabels, Submission, VolumeFile
from evalserver.submissions.selectors import same_files
from evalserver.uploads import local_path


def evaluate_submission(submission_id: int) -> None:
    """Run an evaluation to an end state, unless another worker does or did."""
    run_job(Submission, submission_id, _evaluate)


@transaction.atomic
def stop_submission(submission: Submission) -> bool:
    """End an evaluation that waits or runs; False when it had ended.

    Its slot stays taken, and `retry_submission` sends it again. One that was being re-scored is scored as before.
    """
    target = Submission.DONE_STATUS if submission.scores.exists() else REJECTED
    return stop_job(Submission, submission.pk, target=target)


def _evaluate(lease: Lease) -> None:
    submission = Submission.objects.select_related("phase").get(pk=lease.pk)
    files = list(submission.files.select_related("volume"))
    ground_truths = current_ground_truths(submission.phase)
    stored = scoring.stored_labels(submission, ground_truths)
    measured: list[scoring.Measured] = []
    refused: dict[VolumeFile, Sequence[Complaint]] = {}
    for number, volume_file in enumerate(files):
        ground_truth = ground_truths[volume_file.volume_id]
        graph = scoring.load_graph(ground_truth)
        report = partial(_report, lease, volume_file.volume.name, number, len(files))
        try:
            labels = stored.get(volume_file.pk) or sample_file(
                volume_file, ground_truth, graph, on_progress=report, poll=lease.check
            )
        except GroundTruthError as error:
            # An incident: who sent the file can neither repair it nor may read of it.
            error.add_note(f"It is ground truth {ground_truth.pk}: {ground_truth}.")
            raise
        except InputError as error:
            refused[volume_file] = error.complaints
            continue
        if not refused:
            measured.append(scoring.score_labels(labels, graph))
    if refused:
        raise Rejection(exchanged.with_exchange_complaints(refused, lease.check))
    measured = exchanged.with_exchanges(measured, lease.check)
    lease.progress("Storing the result", 99)
    with transaction.atomic():
        # Locked, so that a ranking which is frozen at this moment takes the entry before or not at all.
        phase = Phase.objects.select_for_update().get(pk=submission.phase_id)
        publish = submission.publish_when_scored and not phase.is_frozen
        published_at = Coalesce(F("published_at"), Now()) if publish else F("published_at")
        lease.finish(Submission.DONE_STATUS, percent=100, complaints=[], published_at=published_at)
        scoring.record(submission, measured)
        notifications.queue_mail(lease.pk)
        error_pictures.request_pictures(submission)
        diagnosis.request_diagnoses(submission)


def sample_file(
    volume_file: VolumeFile,
    ground_truth: GroundTruth,
    graph: SkeletonGraph,
    *,
    on_progress: StageProgress | None = None,
    poll: Callable[[], None] | None = None,
) -> NodeLabels:
    """Look up the labels at the nodes in a segmentation that a confined child decodes, and store them.

    In the same pass its voxels are counted against dense ground truth, where there is some.

    poll : called every second; an error that it raises ends the child and is raised here.
    """
    started = time.perf_counter()
    overlap: OverlapTable | None = None
    with local_path(volume_file.file) as path:
        if volume_file.is_node_table:
            sample = read_node_table(path, ground_truth, graph, poll)
        else:
            sample, overlap = read_volume(path, volume_file, ground_truth, graph, on_progress=on_progress, poll=poll)
    stored = {"file": _store(volume_file, f"nodes-v{ground_truth.version}", sample.save)}
    rule = scoring.rule_of_counts(ground_truth)
    if overlap is not None:
        # The rule is part of the name: a file that another rule has counted stays for whoever reads it now.
        stored["overlap"] = _store(volume_file, f"overlap-v{ground_truth.version}-{rule[:8]}", overlap.save)
    labels, _ = NodeLabels.objects.update_or_create(
        volume_file=volume_file,
        ground_truth=ground_truth,
        defaults={**stored, "dense_rule": rule, "sample_seconds": time.perf_counter() - started},
    )
    return labels


def _store(volume_file: VolumeFile, name: str, save: Callable[[str], None]) -> str:
    """Store an .npz that ``save`` writes; its name in the storage."""
    target = f"submissions/{volume_file.submission.code}/{volume_file.volume.slug}-{name}.npz"
    with NamedTemporaryFile(dir=settings.SCRATCH_DIR, suffix=".npz") as scratch:
        save(scratch.name)
        with open(scratch.name, "rb") as file:
            return volume_file.file.storage.save(target, File(file))


def read_volume(
    path: Path,
    volume_file: VolumeFile,
    ground_truth: GroundTruth,
    graph: SkeletonGraph,
    **options: Any,
) -> tuple[NodeSample, OverlapTable | None]:
    """The labels at the nodes of a segmentation, and under the no-merge mask; its overlap with dense ground truth.

    options : of ``sample_confined``.
    """
    counted: list[OverlapCounter] = []
    with ExitStack() as files:
        mask = files.enter_context(local_path(ground_truth.no_merge_mask)) if ground_truth.no_merge_mask else None
        sample = sample_confined(
            path,
            graph.spec,
            graph.node_voxel_zyx,
            rule=ground_truth.volume.rule.file,
            no_merge_mask=mask,
            limits=Limits(our_seconds=counting_seconds(graph.spec) if ground_truth.dense else 0.0),
            on_open=partial(_on_open, files, volume_file, ground_truth, counted),
            **options,
        )
    return sample, counted[0].table() if counted else None


def _on_open(
    files: ExitStack,
    volume_file: VolumeFile,
    ground_truth: GroundTruth,
    counted: list[OverlapCounter],
    segmentation: LabelVolume,
) -> Callable[[int, Labels], None] | None:
    """Store what may be wrong with an open file, and give what counts its chunks against dense ground truth.

    counted : gets the counter.
    """
    _keep_warnings(volume_file, segmentation.info)
    if not ground_truth.dense:
        return None
    # A file of our own, which registration wrote.
    path = files.enter_context(local_path(ground_truth.dense))
    rule, most = ground_truth.volume.variant.dense, most_pairs(volume_file.sha256)
    with of_ground_truth():
        truth = files.enter_context(open_labels(path))
        counted.append(OverlapCounter(segmentation, truth, rule, max_pairs=most))
    return counted[0].add


def most_pairs(sha256: str) -> int:
    """Most pairs of labels and segments that are counted: between 0.9 and 1 of MAX_PAIRS, another for each file.

    A limit that is known would tell by a single voxel whether hidden labels make a pair more.
    """
    secret = hmac.digest(settings.SECRET_KEY.encode(), f"most pairs {sha256}".encode(), "sha256")
    return MAX_PAIRS - int.from_bytes(secret[:8]) * (MAX_PAIRS // 10) // 2**64


def read_node_table(
    path: Path, ground_truth: GroundTruth, graph: SkeletonGraph, poll: Callable[[], None] | None
) -> NodeSample:
    """The labels of a table. Raises InputError where this ground truth takes none, or other skeletons' alone."""
    if refusal := node_table_refusal(ground_truth):
        raise InputError.of("no_node_tables", f"{path.name}: {refusal}")
    table = node_table_confined(path, poll=poll)
    return table.sample(graph.n_nodes, graph.nodes_sha256(), path.name)


def _keep_warnings(volume_file: VolumeFile, info: LabelInfo) -> None:
    """Store what may be wrong with a file though it can be scored, such as chunks that are not there."""
    warnings = [volume_file.for_its_team(line) for line in info.warnings]
    if twin := same_files(volume_file.submission):
        warnings.append(f"It is the same file, byte for byte, as that of “{twin.method_name}” ({twin.code}).")
    VolumeFile.objects.filter(pk=volume_file.pk).update(warnings=warnings)


def _report(lease: Lease, volume: str, number: int, files: int, stage: str, done: int, total: int) -> None:
    """Progress over all files: the check is the first tenth of a file's share, sampling the rest."""
    share = done / max(1, total)
    within = 0.1 * share if stage == "check" else 0.1 + 0.9 * share
    words = {"check": "Checking", "sample": "Reading labels of"}.get(stage, stage.capitalize())
    lease.progress(f"{words} {volume}", 98 * (number + within) / files)
