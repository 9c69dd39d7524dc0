"""EM for the viewer: a worker writes each stored EM volume as precomputed, one file a chunk; a request reads one."""

from pathlib import Path
from tempfile import TemporaryDirectory

from django.conf import settings
from django.db import transaction

from axonem_eval.errors import InputError
from axonem_eval.volumes import write_precomputed_image
from evalserver.benchmarks.models import ImageView, TrainingFile
from evalserver.benchmarks.organiser_files import open_image
from evalserver.jobs import Lease, Rejection, run_job
from evalserver.uploads import IMAGE, local_path, store_precomputed


def folder_of(data_file: TrainingFile) -> str:
    """Where the files of a data file lie: by its content, so that those of a file that was replaced are not served.

    Beside the file itself, which stays where it is when the benchmark gets another address.
    """
    return f"{Path(data_file.file.name or '').parent}/{data_file.pk}-{data_file.sha256[:16]}-view"


def make_image_view(image_view_id: int) -> None:
    """Write and store the files, unless another worker does or did."""
    run_job(ImageView, image_view_id, _make)


def _make(lease: Lease) -> None:
    row = ImageView.objects.select_related("data_file__benchmark", "data_file__volume").get(pk=lease.pk).data_file
    stored = 0
    if row.file and row.content == TrainingFile.Content.IMAGE:
        with TemporaryDirectory(dir=settings.SCRATCH_DIR) as folder, local_path(row.file) as path:
            try:
                stored = _store(lease, row, path, Path(folder))
            except InputError as error:
                raise Rejection([{"code": c.code, "message": c.message} for c in error.complaints]) from error
    with transaction.atomic():
        # Another file in its place has another job, and this one's lease is lost.
        lease.finish(ImageView.DONE_STATUS, percent=100, complaints=[])
        TrainingFile.objects.filter(pk=row.pk).update(view_files=stored)


def _store(lease: Lease, row: TrainingFile, path: Path, folder: Path) -> int:
    """Write and store what the viewer shows; how many files. Raises InputError where it cannot be shown."""

    def on_progress(done: int, total: int) -> None:
        lease.progress("Writing the EM for the viewer", 90 * done / max(1, total))

    with open_image(path, poll=lease.check) as volume:
        voxels = volume.shape_zyx[0] * volume.shape_zyx[1] * volume.shape_zyx[2]
        size = volume.info.voxel_size_nm_zyx or (row.volume.voxel_size_nm_zyx if row.volume else None)
        if size is None:
            raise InputError.of(
                "no_voxel_size", "the file states no voxel size: choose the volume that it is the EM of"
            )
        if voxels > settings.VIEWER_MAX_VOXELS:
            most = settings.VIEWER_MAX_VOXELS / 1e6
            raise InputError.of(
                "too_large",
                f"the EM has {voxels / 1e6:,.0f} Mvoxel; the viewer shows at most {most:,.0f} (VIEWER_MAX_MVOXELS)",
            )
        write_precomputed_image(volume, folder, size, on_progress=on_progress)
    lease.progress("Storing the EM for the viewer", 92)
    return store_precomputed(folder_of(row), folder, IMAGE)
