"""Open the one label dataset of an HDF5 file and choose how to read it.

Hdf5Chunks      chunks whose filters this package undoes, by any number of threads
Hdf5Slabs       huge chunks, and contiguous data, in slabs of them
Hdf5ByLibrary   anything else, by the HDF5 library, one thread at a time
"""

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  registers blosc, zstd, lz4 and others with HDF5

from axonem_eval.errors import InputError, guarded
from axonem_eval.file_kinds import CREATE_DATASET, kind_of_file
from axonem_eval.submission_rule import Axes
from axonem_eval.volumes.axis_names import axis_names, require_order
from axonem_eval.volumes.bounds import require_few_chunks, require_small_chunk
from axonem_eval.volumes.hdf5.chunks import Hdf5Chunks
from axonem_eval.volumes.hdf5.dataset import Hdf5ByLibrary, Hdf5Dataset, OpenDataset, first_line
from axonem_eval.volumes.hdf5.filters import FILTER_NAMES, FilterPipeline
from axonem_eval.volumes.hdf5.index import StoredChunks, written_chunks
from axonem_eval.volumes.hdf5.own import own_member, require_own_data
from axonem_eval.volumes.hdf5.slabs import Hdf5Slabs, streamable
from axonem_eval.volumes.select_array import MAX_OBJECTS, Candidate, choose
from axonem_eval.volumes.stated import Stated, stated_by_attributes

# A chunk above this is read in slabs.
WHOLE_CHUNK_BYTES = 64 << 20


def open_hdf5(path: Path, dataset: str | None = None, *, mask: bool = False, axes: Axes = "zyx") -> Hdf5Dataset:
    """Open the one label dataset of an HDF5 file, or the named one; a mask may be of booleans.

    axes : the order that is asked for. A dataset that names its axes may have z,y,x or that order.
    Raises InputError: not HDF5, truncated, no or several candidates, links that leave the file, not integer,
    not three-dimensional, axes in another order.
    """
    if not h5py.is_hdf5(path):
        kind = kind_of_file(path)
        raise InputError.of(
            "not_hdf5",
            f"{path.name}: not a label volume, {kind}"
            if kind
            else f"{path.name}: not an HDF5 file, nor TIFF or a zip archive (it begins with {_first_bytes(path)}). "
            f"Expected HDF5 with one integer dataset (z, y, x); write it with h5py, e.g. {CREATE_DATASET}",
        )
    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        size = path.stat().st_size
        raise InputError.of(
            "truncated",
            f"{path.name}: HDF5 cannot open it ({first_line(error)}); its {size:,} bytes on disk are fewer than its "
            "header declares or its header is damaged. The copy or upload broke off: compare sha256sum and send it "
            "again",
        ) from None
    try:
        return guarded(path, "its HDF5 structure", lambda: _open_chosen(path, file, dataset, mask, axes))
    except BaseException:
        file.close()
        raise


def _open_chosen(path: Path, file: h5py.File, wanted: str | None, mask: bool, axes: Axes) -> Hdf5Dataset:
    damaged: list[str] = []
    try:
        chosen = choose(path, _walk(path, file, damaged), wanted, mask=mask)
    except InputError as error:
        if damaged and error.complaints[0].code == "no_dataset":
            raise InputError.of(
                "damaged_header",
                f"{path.name}: {len(damaged):,} objects of the file cannot be opened, such as {damaged[0]}. The file "
                "is damaged: write it again, and compare sha256sum after copying",
            ) from None
        raise
    named = axis_names(chosen.handle.attrs, 3)
    require_order(path.name, named, axes)
    volume = _reader(path, file, chosen.handle, chosen.stated())
    volume.has_plain_axes = named != ["z", "y", "x"]
    return volume


def _first_bytes(path: Path) -> str:
    with open(path, "rb") as file:
        return repr(file.read(8))


def _walk(path: Path, file: h5py.File, damaged: list[str]) -> Iterator[Candidate]:
    """Datasets of a file, following neither soft nor external links. Raises InputError for the latter.

    damaged : gets the names of objects that cannot be opened, each with the reason.
    """
    pending: list[tuple[h5py.Group, str]] = [(file, "")]
    seen = set()
    visited = 0
    while pending:
        current, base = pending.pop()
        address = h5py.h5o.get_info(current.id).addr
        if address in seen:
            continue
        seen.add(address)
        for key in current:
            visited += 1
            if visited > MAX_OBJECTS:
                raise InputError.of(
                    "too_many_objects",
                    f"{path.name}: more than {MAX_OBJECTS:,} objects in the file; expected one label dataset",
                )
            name = f"{base}{key}"
            try:
                item = own_member(path, current, key)
            except KeyError as error:
                damaged.append(f"{name!r} ({first_line(error)})")
                continue
            if isinstance(item, h5py.Group):
                pending.append((item, f"{name}/"))
            elif isinstance(item, h5py.Dataset):
                stated = partial(_stated, file=file, dataset=item)
                yield Candidate(name, _dtype(item), item.shape or (), item, stated)


def _dtype(dataset: h5py.Dataset) -> str:
    try:
        return str(dataset.dtype)
    except Exception as error:  # of types that NumPy has none for: integers of 128 bits, times
        return f"that h5py cannot read ({first_line(error)})"


def _stated(file: h5py.Group, dataset: h5py.Dataset) -> Stated:
    return stated_by_attributes(dataset.attrs, dataset.parent.attrs, file.attrs)


def _reader(path: Path, file: h5py.File, dataset: h5py.Dataset, stated: Stated) -> Hdf5Dataset:
    """The fitting reader for a three-dimensional integer dataset.

    Raises InputError for data in other files, chunks that lie beyond the end of the file or are too large.
    """
    require_own_data(path, dataset)
    pipeline = FilterPipeline.of(dataset)
    chunk_bytes = math.prod(dataset.chunks or (0,)) * dataset.dtype.itemsize
    ours = min(dataset.shape) > 0 and pipeline.known and _plain_integers(dataset)
    if pipeline.unread:
        raise InputError.of(
            "codec",
            f"{path.name}: dataset {dataset.name!r} is compressed with {pipeline.unread}; expected one of "
            f"{', '.join(FILTER_NAMES.values())}. Write the labels again, from their source, with compression='gzip'",
        )
    if pipeline.repeated:
        raise InputError.of(
            "repeated_filter",
            f"{path.name}: dataset {dataset.name!r} is compressed {pipeline.repeated} times over ({pipeline.names}); "
            "expected at most once. Rewrite it with `h5repack -f GZIP=4 IN OUT`",
        )
    stored_bytes = path.stat().st_size
    if dataset.chunks and not (ours and streamable(pipeline)):
        require_small_chunk(path.name, dataset.chunks, dataset.dtype.itemsize, stored_bytes)
    whole = tuple(max(1, n) for n in dataset.shape)
    require_few_chunks(path.name, dataset.shape, dataset.chunks or whole, stored_bytes)
    opened = OpenDataset(path, file, dataset, pipeline, stated)
    stored = StoredChunks.of(path, file, dataset) if ours else None
    if stored is None:
        return Hdf5ByLibrary(opened, written_chunks(path, dataset))
    if dataset.chunks and chunk_bytes <= WHOLE_CHUNK_BYTES:
        return Hdf5Chunks(opened, stored)
    return Hdf5Slabs(opened, stored)


def _plain_integers(dataset: h5py.Dataset) -> bool:
    """Whether the bytes in the file are whole integers of numpy's kind, without padding bits."""
    kind = dataset.id.get_type()
    if not isinstance(kind, h5py.h5t.TypeIntegerID):
        return False
    return bool(kind.get_size() == dataset.dtype.itemsize and kind.get_precision() == 8 * kind.get_size())
