"""Write labels as an HDF5 file that every reader here opens: one dataset, chunked, gzip."""

import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import DTypeLike, NDArray

from axonem_eval.files import whole_file
from axonem_eval.progress import Progress
from axonem_eval.spec import FloatTriple, Triple
from axonem_eval.volumes.downsample import Box
from axonem_eval.volumes.label_volume import Labels, LabelVolume
from axonem_eval.volumes.native import native_unsigned
from axonem_eval.volumes.threads import for_each_chunk

DATASET = "main"
CHUNK_ZYX = (64, 64, 64)
# Labels lie in long runs: a higher level takes longer and saves little.
_LEVEL = 1


def write_hdf5(
    volume: LabelVolume, path: str | Path, voxel_size_nm_zyx: FloatTriple, *, on_progress: Progress | None = None
) -> None:
    """Copy the labels of an open volume chunk by chunk, unsigned, into a new file.

    The file has the chunks of the volume, and its dataset is ``main``. Memory holds a chunk for each thread.
    Raises InputError for a damaged chunk or a negative label.
    """
    chunk_shape = tuple(min(c, n) for c, n in zip(volume.chunk_shape_zyx, volume.shape_zyx, strict=True))
    dtype = np.dtype(f"u{volume.dtype.itemsize}")
    order = np.argsort(volume.storage_rank(), kind="stable")
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset(
            DATASET, volume.shape_zyx, dtype, chunks=chunk_shape, compression="gzip", compression_opts=_LEVEL
        )
        dataset.attrs["resolution"] = voxel_size_nm_zyx
        lock = threading.Lock()

        def write(position: int, labels: Labels) -> None:
            chunk = int(order[position])
            origin, box = volume.chunk_origin(chunk), volume.chunk_box(chunk)
            inside = tuple(slice(0, s.stop - s.start) for s in box)
            whole = np.zeros(chunk_shape, dtype)
            whole[inside] = native_unsigned(volume, labels[inside], origin)
            packed = zlib.compress(whole.data, _LEVEL)
            with lock:
                dataset.id.write_direct_chunk(origin, packed)

        for_each_chunk(volume, order, write, on_progress=on_progress)


def write_label_blocks(
    path: Path,
    shape_zyx: Triple,
    dtype: DTypeLike,
    parts: Iterable[tuple[Box, NDArray[Any]]],
    voxel_size_nm_zyx: FloatTriple,
    *,
    chunk_zyx: Triple = CHUNK_ZYX,
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """Write labels, so that ``path`` is always a whole file.

    parts : boxes and their labels, which together fill the volume; one is held at a time.
    attributes : of the dataset, besides its voxel size.
    """
    with label_file(path, shape_zyx, dtype, voxel_size_nm_zyx, chunk_zyx=chunk_zyx, attributes=attributes) as stored:
        for box, labels in parts:
            stored[box] = labels


@contextmanager
def label_file(
    path: Path,
    shape_zyx: Triple,
    dtype: DTypeLike,
    voxel_size_nm_zyx: FloatTriple,
    *,
    chunk_zyx: Triple = CHUNK_ZYX,
    attributes: Mapping[str, Any] | None = None,
) -> Iterator[h5py.Dataset]:
    """The dataset of a new label file, to be filled box by box; ``path`` is there once the block ends without error.

    attributes : of the dataset, besides its voxel size.
    """
    chunk = tuple(min(c, n) for c, n in zip(chunk_zyx, shape_zyx, strict=True))
    with whole_file(path) as draft, h5py.File(draft.name, "w") as file:
        stored = file.create_dataset(DATASET, shape_zyx, dtype, chunks=chunk, compression="gzip", compression_opts=4)
        stored.attrs["voxel_size_nm"] = np.array(voxel_size_nm_zyx, np.float64)
        for name, value in (attributes or {}).items():
            stored.attrs[name] = value
        yield stored
