"""The job that turns an organiser's labels or bundle into hidden ground truth; a worker runs it."""

import logging
import shutil
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from django.conf import settings
from django.core.files import File
from django.db import transaction

from axonem_eval.errors import Complaint, InputError
from axonem_eval.sandbox import import_confined
from axonem_eval.skeletons import (
    ImportOptions,
    SkeletonGraph,
    doubled_edges,
    doubled_ids,
    place_on_grid,
)
from axonem_eval.spec import VolumeSpec, format_triple
from axonem_eval.submission_rule import FileRule
from axonem_eval.volumes import LabelVolume, ReadOptions, for_each_chunk
from evalserver.benchmarks.axons import draw_axons
from evalserver.benchmarks.dense_truth import register_dense
from evalserver.benchmarks.models import GroundTruth, Volume
from evalserver.benchmarks.organiser_files import open_truth
from evalserver.benchmarks.preview import make_preview, store_preview
from evalserver.benchmarks.skeleton_workers import WorkerMapper
from evalserver.jobs import Lease, Rejection, run_job, under_own_name
from evalserver.uploads import local_path

logger = logging.getLogger("evalserver.benchmarks")

# Share of a registration's time that each stage takes, from measurements on cortex: (words, from %, to %).
STAGES = {
    "read": ("Reading and downsampling labels", 0, 15),
    "skeletonize": ("Skeletonizing", 15, 95),
    "place": ("Placing nodes", 95, 99),
}


def register_ground_truth(ground_truth_id: int) -> None:
    """Make the skeletons of a version and store them, unless another worker does or did."""
    run_job(GroundTruth, ground_truth_id, _register)


def _register(lease: Lease) -> None:
    ground_truth = GroundTruth.objects.select_related("volume__benchmark").get(pk=lease.pk)
    try:
        dense = register_dense(lease, ground_truth)
        graph = build_skeletons(lease, ground_truth)
    except InputError as error:
        stored, own = ground_truth.source_file.name or "", ground_truth.source_name
        raise Rejection(
            [{"code": c.code, "message": under_own_name(c.message, stored, own)} for c in error.complaints]
        ) from error
    lease.progress("Storing the ground truth", 99)
    finish_registration(lease, ground_truth, graph, dense)


def build_skeletons(lease: Lease, ground_truth: GroundTruth) -> SkeletonGraph | None:
    """Skeletons of a version, from its labels or its bundle; None where it has dense labels alone.

    Raises InputError where they do not fit the volume.
    """
    if ground_truth.source_kind == GroundTruth.Source.DENSE:
        return None
    volume, rule = ground_truth.volume, ground_truth.volume.rule
    if ground_truth.no_merge_mask:
        lease.progress("Checking the no-merge mask", 0)
        with (
            local_path(ground_truth.no_merge_mask) as path,
            open_truth(path, rule.spec, mask=True, poll=lease.check) as mask,
        ):
            read_whole(mask, lease)
    drop_outside = volume.variant.cut_to_region
    with local_path(ground_truth.source_file) as path:
        if ground_truth.source_kind == GroundTruth.Source.BUNDLE:
            lease.progress("Reading the bundle", 10)
            graph = SkeletonGraph.load(path).longer_than(volume.min_length_um)
            require_same_spec(graph, rule.spec if graph.shape_zyx == rule.spec.shape_zyx else volume.spec)
        elif ground_truth.source_kind == GroundTruth.Source.SKELETONS:
            lease.progress("Reading the skeletons", 10)
            graph = read_skeletons(lease, ground_truth, path, drop_outside=drop_outside)
        else:
            stored = FileRule(ground_truth.file_axes, ground_truth.dataset)
            with open_truth(path, volume.spec, stored, poll=lease.check) as labels:
                graph = skeletonize(lease, ground_truth, labels, stored)
    return place_on_grid(graph, rule, drop_outside=drop_outside)


def read_skeletons(lease: Lease, ground_truth: GroundTruth, path: Path, *, drop_outside: bool) -> SkeletonGraph:
    """Skeletons of another program or benchmark, in the image."""
    volume = ground_truth.volume
    return import_confined(
        path,
        volume.spec,
        ImportOptions(ground_truth.unit, ground_truth.axes),
        drop_outside=drop_outside and path.suffix != ".swc",
        min_length_um=volume.min_length_um,
        poll=lease.check,
    )


def skeletonize(lease: Lease, ground_truth: GroundTruth, labels: LabelVolume, stored: FileRule) -> SkeletonGraph:
    """In processes of this worker, or as tasks for many. A worker that takes over goes on where the other died."""
    # kimimaro is GPL and slow to import: only the process that skeletonizes loads it.
    from axonem_eval.skeletonize import SkeletonOptions, skeletonize_labels

    volume = ground_truth.volume
    work_dir = Path(settings.SCRATCH_DIR) / f"skeletons-{ground_truth.pk}"
    try:
        graph = skeletonize_labels(
            labels,
            volume.voxel_size_nm_zyx,
            SkeletonOptions(
                label_ids=volume.axon_ids,
                ends_inside_voxels=volume.ends_inside_voxels,
                min_length_um=volume.min_length_um,
                target_voxel_nm=volume.target_voxel_nm,
            ),
            reading=ReadOptions(stored),
            processes=settings.SKELETONIZE_PROCESSES,
            work_dir=work_dir,
            executor=WorkerMapper(lease.check) if settings.SKELETONIZE_QUEUE else None,
            on_progress=partial(_report, lease),
        )
    except InputError:
        # Rejected: nobody goes on from here. After any other error the next attempt does.
        shutil.rmtree(work_dir, ignore_errors=True)
        raise
    shutil.rmtree(work_dir, ignore_errors=True)
    return graph


def _report(lease: Lease, stage: str, done: int, total: int) -> None:
    words, start, end = STAGES.get(stage, (stage.capitalize(), 0, 99))
    lease.progress(f"{words}: {done:,} of {total:,}", start + (end - start) * done / max(1, total))


def read_whole(mask: LabelVolume, lease: Lease) -> None:
    """Decode every chunk once. Raises InputError where one is damaged: each evaluation would meet it."""

    def on_progress(done: int, total: int) -> None:
        lease.progress(f"Reading the no-merge mask: {done:,} of {total:,}", 10 * done / max(1, total))

    for_each_chunk(mask, range(mask.n_chunks), lambda *_: None, on_progress=on_progress)


def require_same_spec(graph: SkeletonGraph, spec: VolumeSpec) -> None:
    """Raise InputError where a bundle was made for another shape or voxel size, or cannot be scored as it is."""
    complaints = [*doubled_ids(graph), *doubled_edges(graph)]
    if tuple(graph.shape_zyx) != spec.shape_zyx:
        complaints.append(
            Complaint(
                "wrong_shape",
                f"the bundle is for {format_triple(graph.shape_zyx)} voxels, the volume has "
                f"{format_triple(spec.shape_zyx)} (z,y,x)",
            )
        )
    pairs = zip(graph.voxel_size_nm_zyx, spec.voxel_size_nm_zyx, strict=True)
    if any(abs(a - b) > 1e-3 * b for a, b in pairs):
        complaints.append(
            Complaint(
                "wrong_voxel_size",
                f"the bundle is for voxels of {format_triple(graph.voxel_size_nm_zyx)} nm, the volume has "
                f"{format_triple(spec.voxel_size_nm_zyx)} nm (z,y,x)",
            )
        )
    if graph.n_edges == 0:
        complaints.append(Complaint("no_skeletons", "no skeleton is as long as the volume's shortest axon"))
    if complaints:
        raise InputError(complaints)


def finish_registration(
    lease: Lease, ground_truth: GroundTruth, graph: SkeletonGraph | None, dense: dict[str, Any]
) -> None:
    """Store the bundle and mark the version ready.

    dense : the columns that ``register_dense`` gave.
    The first version of a volume becomes current at once: nothing is ranked yet. A later one waits for an organiser, so
    that no ranking changes by itself.
    """
    volume = ground_truth.volume
    columns = {"checksum": dense.get("dense_checksum", ""), **dense}
    preview = None
    if graph is not None:
        bundle = _store_bundle(ground_truth, graph)
        preview = _preview(graph, bundle)
        columns |= {
            "bundle": bundle,
            "checksum": graph.checksum(),
            "skeletons": graph.n_skeletons,
            "nodes": graph.n_nodes,
            "gt_erl_nm": graph.gt_erl_nm,
            "mean_node_spacing_nm": graph.mean_node_spacing_nm,
        }
    with transaction.atomic():
        # Lock the volume first: two versions that end at once must not both become current.
        Volume.objects.select_for_update().get(pk=volume.pk)
        lease.finish(
            GroundTruth.DONE_STATUS,
            percent=100,
            complaints=[],
            is_current=not volume.ground_truths.filter(is_current=True).exists(),
            **columns,
        )
        if preview:
            store_preview(ground_truth, preview)


def _store_bundle(ground_truth: GroundTruth, graph: SkeletonGraph) -> str:
    """Name of the stored file."""
    folder = f"groundtruth/{ground_truth.volume.benchmark.slug}/{ground_truth.volume.slug}"
    with NamedTemporaryFile(dir=settings.SCRATCH_DIR, suffix=".npz") as scratch:
        graph.save(scratch.name)
        with open(scratch.name, "rb") as file:
            return ground_truth.bundle.storage.save(f"{folder}/v{ground_truth.version}.npz", File(file))


def _preview(graph: SkeletonGraph, bundle: str) -> dict[str, Any] | None:
    """None where it cannot be made: hours of skeletonizing must not be lost over a picture."""
    try:
        return {**make_preview(graph), "axons": draw_axons(graph, bundle)}
    except Exception:
        logger.exception("no preview")
        return None
