"""Files of voxels that organisers upload: a confined process reads them, as it reads those of participants."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from axonem_eval.errors import Complaint, InputError
from axonem_eval.sandbox import Contents, Limits, open_confined
from axonem_eval.spec import VolumeSpec
from axonem_eval.submission_rule import ANY_FILE, FileRule
from axonem_eval.volumes import LabelVolume, write_hdf5

MISFITS = frozenset({"no_voxels", "swapped_axes", "wrong_shape", "wrong_voxel_size", "wrong_offset"})


@contextmanager
def open_truth(
    path: str | Path,
    spec: VolumeSpec,
    stored: FileRule = ANY_FILE,
    *,
    mask: bool = False,
    poll: Callable[[], None] | None = None,
) -> Iterator[LabelVolume]:
    """Labels of ground truth, or a no-merge mask. Open for as long as a job may run: skeletons take hours.

    Raises InputError where the file is not of the volume's shape, states another voxel size, or cannot be read.
    """
    contents = Contents.MASK if mask else Contents.TRUTH
    limits = Limits(
        wall_seconds=settings.MAX_RUN_SECONDS,
        cpu_seconds=settings.MAX_RUN_SECONDS,
        our_seconds=settings.MAX_RUN_SECONDS,
    )
    try:
        with open_confined(path, spec, contents=contents, rule=stored, limits=limits, poll=poll) as labels:
            yield labels
    except InputError as error:
        raise InputError(_told(complaint, mask=mask) for complaint in error.complaints) from error


def _told(complaint: Complaint, *, mask: bool) -> Complaint:
    if complaint.code not in MISFITS:
        return complaint
    what = "the no-merge mask" if mask else "the labels"
    message = f"{what}: {complaint.message}; or correct the volume's own shape or voxel size"
    return Complaint(complaint.code, message)


@contextmanager
def open_image(path: str | Path, *, poll: Callable[[], None] | None = None) -> Iterator[LabelVolume]:
    """EM of any shape, for a viewer or for pictures. Raises InputError where the file cannot be read."""
    limits = Limits(our_seconds=settings.VIEWER_MAX_VOXELS / 1e6)
    with open_confined(path, None, contents=Contents.IMAGE, limits=limits, poll=poll) as image:
        yield image


def write_own_copy(
    path: str | Path,
    own: Path,
    spec: VolumeSpec,
    stored: FileRule,
    *,
    poll: Callable[[], None] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write labels into an HDF5 file of our own, which libraries of this process may open; a whole file or none.

    For what reads them again and again, at many places. Raises InputError as ``open_truth`` does.
    """
    draft = own.with_name(f".{own.name}.part")
    try:
        with open_truth(path, spec, stored, poll=poll) as labels:
            write_hdf5(labels, draft, spec.voxel_size_nm_zyx, on_progress=on_progress)
        draft.replace(own)
    finally:
        draft.unlink(missing_ok=True)
