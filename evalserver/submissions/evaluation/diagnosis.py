"""The job that diagnoses a segmentation by its own skeletons, and makes the files that the viewer shows.

It comes after the score, on workers of its own, because skeletons take far longer than scoring. It never
changes the score.
"""

import shutil
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from django.conf import settings
from django.db import transaction

from axonem_eval.errors import InputError
from axonem_eval.sandbox import Limits, SharedTracing, diagnose_confined
from evalserver.benchmarks.skeleton_workers import WorkerMapper
from evalserver.jobs import FAILED, REJECTED, WAITING, Lease, Rejection, change_status, run_job, send
from evalserver.submissions.evaluation import view_files
from evalserver.submissions.models import Diagnosis, Submission
from evalserver.uploads import local_path, store_as

STAGES = {
    "read": ("Reading the segments", 0, 25),
    "skeletonize": ("Tracing centre lines", 25, 80),
    "place": ("Placing nodes", 80, 90),
    "view": ("Preparing the viewer", 90, 98),
}


def request_diagnoses(submission: Submission) -> int:
    """Queue the diagnosis of each file that has none, whose last one failed, or which lacks the viewer that its volume
    has by now; how many were queued."""
    if not settings.DIAGNOSE:
        return 0
    queued = 0
    for volume_file in submission.files.select_related("volume"):
        if volume_file.is_node_table:
            continue  # without voxels there is nothing to trace
        job, made = Diagnosis.objects.get_or_create(volume_file=volume_file, defaults={"stage": "Waiting for a worker"})
        sources = [FAILED, REJECTED]
        if view_files.is_shown(volume_file.volume) and not job.view_files:
            sources.append(Diagnosis.DONE_STATUS)
        if made or change_status(Diagnosis, job.pk, sources=sources, target=WAITING, attempts=0, complaints=[]):
            send(job)
            queued += 1
    return queued


def diagnose(diagnosis_id: int) -> None:
    """Run a diagnosis to an end state, unless another worker does or did."""
    run_job(Diagnosis, diagnosis_id, _diagnose)


def _diagnose(lease: Lease) -> None:
    volume_file = Diagnosis.objects.select_related("volume_file__volume__benchmark").get(pk=lease.pk).volume_file
    view = view_files.is_shown(volume_file.volume)
    shared = Path(settings.SCRATCH_DIR) / f"diagnosis-{lease.pk}"
    with TemporaryDirectory(dir=settings.SCRATCH_DIR) as folder, local_path(volume_file.file) as path:
        out = Path(folder) / "out"
        try:
            report = diagnose_confined(
                path,
                volume_file.volume.rule.spec,
                out,
                view=view,
                tracing=SharedTracing(shared, WorkerMapper(lease.check)) if settings.SKELETONIZE_QUEUE else None,
                limits=Limits(wall_seconds=settings.MAX_RUN_SECONDS, cpu_seconds=settings.MAX_RUN_SECONDS),
                on_progress=partial(_report, lease),
                rule=volume_file.volume.rule.file,
                poll=lease.check,
            )
        except InputError as error:
            # Nobody goes on from here. After any other error the next attempt does.
            shutil.rmtree(shared, ignore_errors=True)
            raise Rejection([volume_file.complaint(c.code, c.message) for c in error.complaints]) from error
        lease.progress("Storing the result", 98)
        skeletons = store_as(f"{view_files.folder_of(volume_file)}-skeletons.npz", out / "skeletons.npz")
        stored = view_files.store_view(volume_file, out / "view") if view else 0
    with transaction.atomic():
        lease.finish(
            Diagnosis.DONE_STATUS, percent=100, complaints=[], report=report, skeletons=skeletons, view_files=stored
        )
    shutil.rmtree(shared, ignore_errors=True)


def _report(lease: Lease, stage: str, done: int, total: int) -> None:
    words, first, last = STAGES[stage]
    lease.progress(words, first + (last - first) * done / max(1, total))
