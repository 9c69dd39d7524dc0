"""What all readers of an HDF5 dataset share, and the reader that leaves everything to the HDF5 library."""

import math
import threading
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.volumes.damage import first_damage
from axonem_eval.volumes.hdf5.filters import FilterPipeline
from axonem_eval.volumes.label_info import LabelInfo, missing_chunks
from axonem_eval.volumes.label_volume import Labels, LabelVolume, slab_shape
from axonem_eval.volumes.stated import Stated


def first_line(error: BaseException) -> str:
    """The first line of an error's text, which HDF5 follows with its stack."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


@dataclass(frozen=True)
class OpenDataset:
    """An open file, its label dataset, the dataset's filters and what its attributes state."""

    path: Path
    file: h5py.File
    dataset: h5py.Dataset
    pipeline: FilterPipeline
    stated: Stated


class Hdf5Dataset(LabelVolume):
    """A dataset of an open HDF5 file; each subclass is one way to read its chunks.

    written : (n_chunks,) whether each stored chunk was ever written; None where that is unknown.
    """

    def __init__(self, opened: OpenDataset, written: NDArray[np.bool_] | None) -> None:
        super().__init__()
        self._written = written
        self.path, self._file, self._dataset, self._pipeline = opened.path, opened.file, opened.dataset, opened.pipeline
        z, y, x = (int(n) for n in self._dataset.shape)
        self.shape_zyx, self.dtype = (z, y, x), self._dataset.dtype
        self.fill_value = int(self._dataset.fillvalue)
        stored = tuple(int(c) for c in self._dataset.chunks) if self._dataset.chunks else ()
        self.chunk_shape_zyx = (
            (stored[0], stored[1], stored[2])
            if stored
            else slab_shape((max(z, 1), max(y, 1), max(x, 1)), self.dtype.itemsize)
        )
        total = math.prod(-(-n // c) for n, c in zip(self.shape_zyx, stored, strict=True)) if stored else 1
        there = None if written is None else int(np.count_nonzero(written))
        self.info = LabelInfo(
            format="HDF5",
            dataset=self._dataset.name.strip("/"),
            shape_zyx=self.shape_zyx,
            dtype=str(self.dtype),
            chunk_shape_zyx=self.chunk_shape_zyx,
            compression=opened.pipeline.names or ("none" if stored else "none, contiguous"),
            voxel_size_nm_zyx=opened.stated.voxel_size_nm_zyx,
            stored_bytes=int(self._dataset.id.get_storage_size()),
            chunks_total=total,
            chunks_stored=there,
            offset=opened.stated.offset,
            offset_nm_zyx=opened.stated.offset_nm_zyx,
            warnings=(
                *opened.stated.warnings(self.path.name),
                *missing_chunks(self.path.name, there, total, "chunks were never written", self.fill_value),
            ),
        )

    def stored_chunks(self) -> NDArray[np.bool_] | None:
        return self._written

    def _damaged(self, chunk: int, why: object) -> InputError:
        return InputError.of(
            "damaged_chunk",
            f"{self.path.name}: the chunk at voxel {self.chunk_origin(chunk)} ({self.axis_order}) cannot be decoded "
            f"({why}). The file is damaged: check it with `h5dump -d` or h5py, write it again and compare sha256sum "
            "after copying",
        )

    def close(self) -> None:
        self._file.close()


class Hdf5ByLibrary(Hdf5Dataset):
    """A dataset read by the HDF5 library: right for every layout, one thread at a time."""

    def __init__(self, opened: OpenDataset, written: NDArray[np.bool_] | None) -> None:
        super().__init__(opened, written)
        self._lock = threading.Lock()

    def read_chunk(self, chunk: int) -> Labels:
        return self.read(self.chunk_box(chunk))

    def read(self, box: tuple[slice, slice, slice]) -> Labels:
        """Labels of a box, without the detour over chunks."""
        try:
            return self._decoded(box)
        except (OSError, ValueError, TypeError, RuntimeError, KeyError) as error:
            found = first_damage(self._decoded, box, self.chunk_shape_zyx, self.shape_zyx)
            first, why = found or (tuple(s.start or 0 for s in box), error)
            raise InputError.of(
                "damaged_chunk",
                f"{self.path.name}: the data at voxel {first} ({self.axis_order}) cannot be read ({first_line(why)}). "
                "The file is damaged or uses a filter that is not installed; write it again with gzip compression",
            ) from None

    def _decoded(self, box: tuple[slice, slice, slice]) -> Labels:
        with self._lock:
            return np.ascontiguousarray(self._dataset[box])
