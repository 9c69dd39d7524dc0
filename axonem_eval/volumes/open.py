"""Open a label file of any format: what the file holds, not its name, chooses the reader.

A new format adds a branch to ``_open_file`` or ``_open_store``; CONTRIBUTING.md lists the other steps.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from axonem_eval.errors import InputError
from axonem_eval.file_kinds import begins_zip
from axonem_eval.submission_rule import Axes
from axonem_eval.volumes.background_ids import WithoutIds
from axonem_eval.volumes.hdf5.open import open_hdf5
from axonem_eval.volumes.label_volume import LabelVolume
from axonem_eval.volumes.precomputed_volume import is_precomputed, open_precomputed
from axonem_eval.volumes.reversed_axes import ReversedAxes
from axonem_eval.volumes.store import list_store
from axonem_eval.volumes.tiff_volume import open_tiff, open_tiff_folder
from axonem_eval.volumes.zarr_volume import is_zarr, open_zarr

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def split_dataset(path: str | Path) -> tuple[Path, str | None]:
    """``file.h5:volumes/labels`` -> (file.h5, volumes/labels); a colon that belongs to the name is kept.

    A folder without a name of its own, such as ``.``, is told by its full path: complaints name it.
    """
    text = str(path)
    if Path(text).name in ("", ".."):
        return Path(text).resolve(), None
    if os.path.exists(text) or ":" not in text:
        return Path(text), None
    file, _, dataset = text.rpartition(":")
    return (Path(file), dataset) if file else (Path(text), None)


def open_labels(
    path: str | Path,
    dataset: str | None = None,
    *,
    mask: bool = False,
    background_ids: Sequence[int] = (),
    axes: Axes = "zyx",
) -> LabelVolume:
    """Open a label volume of any format we read; ``path`` may carry a dataset, ``file.h5:main``.

    HDF5; Zarr v2 and v3 and Neuroglancer precomputed (a folder or a .zip); TIFF (a file of pages, or a folder or .zip
    of files). The content decides, not the name.
    mask : the file holds a mask, not labels: booleans are read too, and all chunks may be missing.
    background_ids : labels that are read as 0.
    axes : order of the axes of an array that does not name them; what is returned has z,y,x.
    Raises InputError, saying what the file is and what was expected.
    """
    file, named = split_dataset(path)
    dataset = dataset or named
    if not file.exists():
        raise InputError.of("no_file", f"{file}: no such file")
    try:
        volume = _open_store(file, dataset, mask, axes) if file.is_dir() else _open_file(file, dataset, mask, axes)
    except PermissionError as error:
        raise InputError.of("unreadable", f"{file.name}: {error.strerror}; make it readable (chmod +r)") from None
    if dataset and volume.info.format.startswith(("TIFF", "Neuroglancer")) and dataset != volume.info.dataset:
        volume.close()
        raise InputError.of(
            "no_dataset",
            f"{file.name}: {volume.info.format} is read as {volume.info.dataset!r}, and {dataset!r} cannot be chosen; "
            f"give {file.name} without it",
        )
    if axes == "xyz" and volume.has_plain_axes:
        volume = ReversedAxes(volume)
    if background_ids:
        return WithoutIds(volume, background_ids)
    return volume


def _open_file(file: Path, dataset: str | None, mask: bool, axes: Axes) -> LabelVolume:
    if file.stat().st_size == 0:
        raise InputError.of("empty_file", f"{file.name}: the file is empty (0 bytes); upload it again")
    with open(file, "rb") as opened:
        magic = opened.read(4)
    if begins_zip(magic):
        return _open_store(file, dataset, mask, axes)
    if magic in _TIFF:
        return open_tiff(file, mask=mask)
    return open_hdf5(file, dataset, mask=mask, axes=axes)


def _open_store(path: Path, dataset: str | None, mask: bool, axes: Axes) -> LabelVolume:
    """A folder or zip archive, by what lies in it."""
    store = list_store(path)
    try:
        if is_zarr(store):
            return open_zarr(store, dataset, mask=mask, axes=axes)
        if is_precomputed(store):
            return open_precomputed(store, mask=mask)
        if pages := store.pages():
            return open_tiff_folder(store, pages, mask=mask)
        raise store.unknown()
    except BaseException:
        store.close()
        raise
