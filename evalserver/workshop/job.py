"""What workers do for a workshop: measure the segmentation, and make ground truth of the finished one."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from django.conf import settings
from django.core.files import File
from django.db import transaction

from axonem_eval.errors import InputError
from axonem_eval.skeletonize import LabelVoxels
from axonem_eval.skeletons import SkeletonGraph
from axonem_eval.submission_rule import FileRule
from axonem_eval.volumes import LabelVolume, open_labels
from axonem_eval.workshop import (
    BUNDLE,
    KINDS,
    MASK,
    SPLIT,
    Source,
    candidate_json,
    measure_segments,
    place_of,
    prepare_workshop,
)
from axonem_eval.workshop import (
    Workshop as LibraryWorkshop,
)
from axonem_eval.workshop import (
    finalise as finalise_volume,
)
from evalserver.benchmarks.models import GroundTruth
from evalserver.benchmarks.organiser_files import write_own_copy
from evalserver.benchmarks.services import register_ground_truth
from evalserver.jobs import Lease, run_job
from evalserver.uploads import local_path, store_as
from evalserver.workshop import view_files
from evalserver.workshop.models import SKELETONS, Candidate, Finalisation, Segment, Workshop
from evalserver.workshop.pictures import candidate_picture, segment_picture
from evalserver.workshop.selectors import decisions_of, labels_of
from evalserver.workshop.services import rejection

STAGES = {
    "copy": (0, 5),
    "read": (5, 10),
    "skeletonize": (10, 60),
    "place": (60, 65),
    "contacts": (65, 70),
    "draw segments": (70, 80),
    "draw candidates": (80, 93),
    "prepare the viewer": (93, 99),
}
# Of each kind so many candidates get a picture: nobody looks at more before the list is made anew.
MOST_DRAWN = 500


def prepare(workshop_id: int) -> None:
    """Measure a segmentation, unless another worker does or did."""
    run_job(Workshop, workshop_id, _prepare)


def _prepare(lease: Lease) -> None:
    row = Workshop.objects.select_related("volume__benchmark").get(pk=lease.pk)
    folder = Path(settings.SCRATCH_DIR) / f"workshop-{row.pk}"
    labels = folder.with_suffix(".h5")
    try:
        if not labels.exists():
            _copy_labels(row, labels, lease, partial(_report, lease, "copy"))
        shop = (
            LibraryWorkshop.open(folder)
            if (folder / "workshop.json").exists()  # a worker died after it was written
            else prepare_workshop(
                folder,
                labels,
                row.volume.voxel_size_nm_zyx,
                processes=settings.SKELETONIZE_PROCESSES,
                on_progress=partial(_report, lease),
            )
        )
    except InputError as error:
        _remove_work(folder, labels)
        raise rejection(error, row) from error
    segments = _segments(lease, row, shop)
    with open_labels(labels) as volume:
        candidates = _candidates(lease, row, shop, volume)
        stored = _store_view(lease, row, shop, volume) if view_files.is_shown(row) else 0
    store_as(row.beside(SKELETONS), folder / "skeletons.npz")
    with transaction.atomic():
        lease.finish(Workshop.DONE_STATUS, percent=100, complaints=[], view_files=stored)
        Segment.objects.bulk_create(segments, batch_size=500)
        Candidate.objects.bulk_create(candidates, batch_size=500)
    _remove_work(folder, labels)


def _copy_labels(row: Workshop, own: Path, lease: Lease, on_progress: Callable[[int, int], None] | None = None) -> None:
    """Into a file of our own: only a confined process opens the organisers'. Raises InputError where it does not fit
    the volume."""
    with local_path(row.source_file) as path:
        stored = FileRule(dataset=row.dataset)
        write_own_copy(path, own, row.volume.spec, stored, poll=lease.check, on_progress=on_progress)


def _remove_work(folder: Path, labels: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    labels.unlink(missing_ok=True)


def _report(lease: Lease, stage: str, done: int, total: int) -> None:
    start, end = STAGES.get(stage, (0, 99))
    lease.progress(f"{stage.capitalize()}: {done:,} of {total:,}", start + (end - start) * done / max(1, total))


def _segments(lease: Lease, row: Workshop, shop: LibraryWorkshop) -> list[Segment]:
    """Those of the batches in their order, then the short ones that a candidate would join."""
    joined = {name for found in shop.candidates if found.correction.kind == SPLIT for name in found.correction.segments}
    measured = measure_segments(shop.skeletons, min_length_um=0.0)
    place = {name: i for i, name in enumerate(measured.segment.tolist())}
    order = shop.batches.order
    batch_of = dict(zip(shop.segments.segment[order].tolist(), shop.batches.batch[order].tolist(), strict=True))
    names = [*batch_of, *sorted((joined & place.keys()) - batch_of.keys())]
    found, voxels = [], LabelVoxels(shop.folder / "work")
    for position, name in enumerate(names):
        i = place[name]
        found.append(
            Segment(
                workshop=row,
                name=str(name),
                batch=batch_of.get(name),
                position=position,
                length_um=float(measured.length_nm[i]) / 1000.0,
                width_nm=float(measured.width_nm[i]),
                volume_um3=float(measured.volume_um3[i]),
                anchor_zyx=measured.anchor_zyx[i].tolist(),
                picture=segment_picture(voxels.of(name), voxels.voxel_nm_zyx),
            )
        )
        _report(lease, "draw segments", position + 1, len(names))
    return found


def _candidates(lease: Lease, row: Workshop, shop: LibraryWorkshop, volume: LabelVolume) -> list[Candidate]:
    rows, place = [], dict.fromkeys(KINDS, 0)
    for found in shop.candidates:
        kind = found.correction.kind
        name = found.correction.name
        rows.append(
            Candidate(
                workshop=row,
                kind=kind,
                name=name,
                place=place[kind],
                score=found.score,
                data=candidate_json(found),
            )
        )
        place[kind] += 1
    # Place after place in the volume, so that neighbours find their chunks decoded.
    chunk = [
        [v // n for v, n in zip(place_of(c.correction), volume.chunk_shape_zyx, strict=True)] for c in shop.candidates
    ]
    for done, i in enumerate(sorted(range(len(rows)), key=lambda i: chunk[i]), start=1):
        if rows[i].place < MOST_DRAWN:
            rows[i].picture = candidate_picture(volume, shop.candidates[i], row.volume.voxel_size_nm_zyx)
        _report(lease, "draw candidates", done, len(rows))
    return rows


def _store_view(lease: Lease, row: Workshop, shop: LibraryWorkshop, volume: LabelVolume) -> int:
    folder = shop.folder / "view"
    shutil.rmtree(folder, ignore_errors=True)  # what a worker that died may have left
    return view_files.store_view(row, volume, shop.skeletons, folder, partial(_report, lease, "prepare the viewer"))


def finalise(finalisation_id: int) -> None:
    """Make ground truth of a workshop, unless another worker does or did."""
    run_job(Finalisation, finalisation_id, _finalise)


def _finalise(lease: Lease) -> None:
    row = Finalisation.objects.select_related("workshop__volume__benchmark", "created_by").get(pk=lease.pk)
    shop = row.workshop
    with TemporaryDirectory(dir=settings.SCRATCH_DIR) as scratch:
        folder = Path(scratch)
        own = folder / "labels.h5"
        measured = SkeletonGraph.load(_stored(shop.beside(SKELETONS), folder))
        try:
            _copy_labels(shop, own, lease)
            made = finalise_volume(
                Source(own, shop.volume.voxel_size_nm_zyx),
                measured,
                labels_of(shop),
                decisions_of(shop),
                folder,
                processes=settings.SKELETONIZE_PROCESSES,
                on_progress=lambda stage, done, total: lease.progress(f"{stage}: {done:,} of {total:,}", 50),
            )
        except InputError as error:
            raise rejection(error, shop) from error
        with (
            open(folder / BUNDLE, "rb") as bundle,
            open(folder / MASK, "rb") as mask,
            transaction.atomic(),
        ):
            # First: where another worker has the job by now, nothing of this one stays.
            lease.finish(Finalisation.DONE_STATUS, percent=100, complaints=[], sheet=made.sheet)
            ground_truth = register_ground_truth(
                volume=shop.volume,
                source_file=File(bundle, name=BUNDLE),
                source_kind=GroundTruth.Source.BUNDLE,
                no_merge_mask=File(mask, name=MASK),
                created_by=row.created_by,
            )
            Finalisation.objects.filter(pk=row.pk).update(ground_truth=ground_truth)


def _stored(name: str, folder: Path) -> Path:
    from django.core.files.storage import default_storage

    copy = folder / "measured.npz"
    with default_storage.open(name) as stored, copy.open("wb") as file:
        shutil.copyfileobj(stored, file)
    return copy
