"""The job that draws the worst errors of an evaluation: EM, the segments there, and the node of the axon.

Only for public ground truth: a picture shows where a node lies. The upload is read in a confined child.
"""

from typing import Any

import numpy as np
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from axonem_eval.errors import InputError
from axonem_eval.report import Window, close_up_picture, webp
from axonem_eval.sandbox import sample_confined
from axonem_eval.spec import format_triple
from evalserver.benchmarks.models import TrainingFile
from evalserver.benchmarks.organiser_files import open_image
from evalserver.benchmarks.selectors import stored_image
from evalserver.jobs import FAILED, REJECTED, WAITING, Lease, Rejection, change_status, run_job, send
from evalserver.submissions.evaluation import view_files
from evalserver.submissions.models import ErrorPictures, Evaluation, Submission
from evalserver.submissions.selectors import current_evaluations
from evalserver.uploads import local_path

WORST_SHOWN = 10


def request_pictures(submission: Submission) -> int:
    """Queue the pictures of each current evaluation that may have some and has none; how many were queued."""
    current = current_evaluations().filter(
        volume_file__submission=submission,
        volume_file__volume__ground_truth_public=True,
        ground_truth__is_current=True,
    )
    queued = 0
    for evaluation in current.select_related("volume_file__volume"):
        file = evaluation.volume_file
        if file.is_node_table or not worst_errors(evaluation) or stored_image(file.volume) is None:
            continue
        job, made = ErrorPictures.objects.get_or_create(
            evaluation=evaluation, defaults={"stage": "Waiting for a worker"}
        )
        sources = [FAILED, REJECTED] if job.pictures else [FAILED, REJECTED, ErrorPictures.DONE_STATUS]
        if made or change_status(ErrorPictures, job.pk, sources=sources, target=WAITING, attempts=0, complaints=[]):
            send(job)
            queued += 1
    return queued


def worst_errors(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The errors that a result page lists, the worst first."""
    return list(evaluation.report.get("top_errors", []))[:WORST_SHOWN]


def picture_name(evaluation: Evaluation, number: int) -> str:
    """Where the picture of an error is stored; number : from 1, as the page counts."""
    return f"{view_files.folder_of(evaluation.volume_file)}-errors/{evaluation.pk}-{number}.webp"


def draw_errors(pictures_id: int) -> None:
    """Draw to an end state, unless another worker does or did."""
    run_job(ErrorPictures, pictures_id, _draw)


def _draw(lease: Lease) -> None:
    job = ErrorPictures.objects.select_related("evaluation__volume_file__volume__benchmark").get(pk=lease.pk)
    evaluation, volume = job.evaluation, job.evaluation.volume_file.volume
    image, errors = stored_image(volume), worst_errors(evaluation)
    if not volume.ground_truth_public or image is None or not errors:
        lease.finish(ErrorPictures.DONE_STATUS, percent=100, complaints=[], pictures=0)
        return
    windows = [Window.around((e["z_voxel"], e["y_voxel"], e["x_voxel"]), volume.spec) for e in errors]
    labels = _labels(lease, evaluation, windows)
    sections = _sections(lease, image, evaluation, windows)
    lease.progress("Drawing", 90)
    for number, (error, window) in enumerate(zip(errors, windows, strict=True)):
        segments = [int(error[name]) for name in ("segment", "other_segment")]
        picture = close_up_picture(window, sections[number], labels[number], segments)
        name = picture_name(evaluation, number + 1)
        default_storage.delete(name)
        default_storage.save(name, ContentFile(webp(picture)))
    lease.finish(ErrorPictures.DONE_STATUS, percent=100, complaints=[], pictures=len(errors))


def _labels(lease: Lease, evaluation: Evaluation, windows: list[Window]) -> list[np.ndarray[Any, Any]]:
    """The segment at each pixel of each window."""
    points = [window.points_zyx() for window in windows]

    def on_progress(stage: str, done: int, total: int) -> None:
        lease.progress("Reading the segments around the worst errors", 85 * done / max(1, total))

    volume = evaluation.volume_file.volume
    with local_path(evaluation.volume_file.file) as path:
        try:
            sample = sample_confined(
                path, volume.spec, np.concatenate(points), rule=volume.rule.file, on_progress=on_progress,
                poll=lease.check,
            )  # fmt: skip
        except InputError as error:
            raise Rejection([evaluation.volume_file.complaint(c.code, c.message) for c in error.complaints]) from error
    return np.split(sample.node_segment, np.cumsum([len(rows) for rows in points])[:-1])


def _sections(
    lease: Lease, image: TrainingFile, evaluation: Evaluation, windows: list[Window]
) -> list[np.ndarray[Any, Any]]:
    """The grey values of each window, from the organisers' EM."""
    volume = evaluation.volume_file.volume
    with local_path(image.file) as path:
        try:
            with open_image(path, poll=lease.check) as em:
                if em.shape_zyx != volume.shape_zyx or em.dtype != np.uint8:
                    raise InputError.of(
                        "wrong_em",
                        f"the EM “{image.title}” has {format_triple(em.shape_zyx)} voxels of {em.dtype}, expected "
                        f"{format_triple(volume.shape_zyx)} of uint8: correct the data file, then ask for pictures "
                        "again",
                    )
                return [em.read(window.box) for window in windows]
        except InputError as error:
            raise Rejection([{"code": c.code, "message": c.message} for c in error.complaints]) from error
