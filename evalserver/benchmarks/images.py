"""EM for the viewer: a worker writes each stored EM volume as precomputed, one file a chunk; a request reads one."""

import logging
import re
from pathlib import Path
from tempfile import TemporaryDirectory

from django.conf import settings

from axonem_eval.errors import InputError
from axonem_eval.volumes import open_labels, write_precomputed_image
from evalserver.benchmarks.models import TrainingFile
from evalserver.uploads import local_path, names_in, store_as

logger = logging.getLogger(__name__)
# Names of files in a precomputed image.
NAME = re.compile(r"info|(?:\d{1,9}_){2}\d{1,9}/(?:\d{1,9}-\d{1,9}_){2}\d{1,9}-\d{1,9}")


def folder_of(data_file: TrainingFile) -> str:
    """Where the files of a data file lie: by its content, so that those of a file that was replaced are not served."""
    return f"training/{data_file.benchmark.slug}/{data_file.pk}-{data_file.sha256[:16]}-view"


def make_image_view(data_file_id: int) -> None:
    """Write and store the files; of a file that cannot be shown the reason goes to the log."""
    row = TrainingFile.objects.select_related("benchmark").filter(pk=data_file_id).exclude(file="").first()
    if row is None or row.content != TrainingFile.Content.IMAGE:
        return
    with TemporaryDirectory(dir=settings.SCRATCH_DIR) as folder, local_path(row.file) as path:
        try:
            with open_labels(path) as volume:
                voxels = volume.shape_zyx[0] * volume.shape_zyx[1] * volume.shape_zyx[2]
                size = volume.info.voxel_size_nm_zyx
                if size is None and row.volume:
                    size = row.volume.voxel_size_nm_zyx
                if size is None or voxels > settings.VIEWER_MAX_VOXELS:
                    return
                write_precomputed_image(volume, folder, size)
        except InputError as error:
            logger.warning("no viewer for data file %s: %s", row.pk, error)
            return
        # The info file comes last and says that all are there.
        names = sorted((name for name in names_in(Path(folder)) if NAME.fullmatch(name)), key=lambda n: n == "info")
        for name in names:
            store_as(f"{folder_of(row)}/{name}", Path(folder) / name)
    # Not where the file has been replaced meanwhile: another task makes that ready.
    TrainingFile.objects.filter(pk=row.pk, sha256=row.sha256).update(view_files=len(names))
