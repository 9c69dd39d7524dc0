"""Read the label dataset of an open HDF5 file, chunk by chunk.

The HDF5 library does all its work, decompression included, under one lock. So chunks are read by their place in
the file (`os.pread`) and inflated outside it. Three ways to read, by how the labels are stored:

    Hdf5Chunks   chunks whose filters we undo: in any number of threads
    Hdf5Slabs    (hdf5_slabs.py) huge chunks, and contiguous data: in slabs of them
    Hdf5Volume   anything else: through h5py, one thread at a time
"""

import math
import threading
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.volumes.hdf5.filters import BadChunk, FilterPipeline
from axonem_eval.volumes.hdf5.index import StoredChunks
from axonem_eval.volumes.label_info import LabelInfo, missing_chunks
from axonem_eval.volumes.label_volume import Labels, LabelVolume, Scratch, slab_shape
from axonem_eval.volumes.stated import Stated


def first_line(error: BaseException) -> str:
    """The first line of an error's text, which HDF5 follows with its stack."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


class Hdf5Volume(LabelVolume):
    """A dataset read through h5py, which is right whatever the layout, one thread at a time."""

    def __init__(
        self,
        path: Path,
        file: h5py.File,
        dataset: h5py.Dataset,
        pipeline: FilterPipeline,
        stated: Stated,
        written: NDArray[np.bool_] | None = None,
    ) -> None:
        super().__init__()
        self._written = written
        self.path, self._file, self._dataset, self._pipeline = path, file, dataset, pipeline
        self._lock = threading.Lock()
        z, y, x = (int(n) for n in dataset.shape)
        self.shape_zyx, self.dtype = (z, y, x), dataset.dtype
        stored = tuple(int(c) for c in dataset.chunks) if dataset.chunks else ()
        self.chunk_shape_zyx = (
            (stored[0], stored[1], stored[2])
            if stored
            else slab_shape((max(z, 1), max(y, 1), max(x, 1)), self.dtype.itemsize)
        )
        self.fill_value = int(dataset.fillvalue)
        total = math.prod(-(-n // c) for n, c in zip(self.shape_zyx, stored, strict=True)) if stored else 1
        there = None if written is None else int(np.count_nonzero(written))
        self.info = LabelInfo(
            format="HDF5",
            dataset=dataset.name.strip("/"),
            shape_zyx=self.shape_zyx,
            dtype=str(self.dtype),
            chunk_shape_zyx=self.chunk_shape_zyx,
            compression=pipeline.names or ("none" if stored else "none, contiguous"),
            voxel_size_nm_zyx=stated.voxel_size_nm_zyx,
            stored_bytes=int(dataset.id.get_storage_size()),
            chunks_total=total,
            chunks_stored=there,
            offset=stated.offset,
            warnings=(
                *(f"{path.name}: {note}" for note in stated.notes),
                *missing_chunks(path.name, there, total, "chunks were never written", self.fill_value),
            ),
        )

    def stored_chunks(self) -> NDArray[np.bool_] | None:
        return self._written

    def read_chunk(self, chunk: int) -> Labels:
        return self.read(self.chunk_box(chunk))

    def read(self, box: tuple[slice, slice, slice]) -> Labels:
        try:
            with self._lock:
                return np.ascontiguousarray(self._dataset[box])
        except (OSError, ValueError, TypeError, RuntimeError, KeyError) as error:
            first = tuple(s.start or 0 for s in box)
            raise InputError.of(
                "damaged_chunk",
                f"{self.path.name}: the data at voxel {first} (z,y,x) cannot be read ({first_line(error)}). The file "
                "is damaged or uses a filter that is not installed; write it again with gzip compression",
            ) from None

    def _damaged(self, chunk: int, why: object) -> InputError:
        return InputError.of(
            "damaged_chunk",
            f"{self.path.name}: the chunk at voxel {self.chunk_origin(chunk)} (z,y,x) cannot be decompressed ({why}). "
            "The file is damaged: check it with `h5dump -d` or h5py, write it again and compare sha256sum after "
            "copying",
        )

    def close(self) -> None:
        self._file.close()


class Hdf5Chunks(Hdf5Volume):
    """Chunks inflated outside the HDF5 library."""

    copies_per_thread = 3  # stored bytes, shuffled planes, labels

    def __init__(
        self,
        path: Path,
        file: h5py.File,
        dataset: h5py.Dataset,
        pipeline: FilterPipeline,
        stated: Stated,
        stored: StoredChunks,
    ) -> None:
        super().__init__(path, file, dataset, pipeline, stated, stored.address >= 0)
        self._stored = stored

    def storage_rank(self) -> NDArray[np.int64]:
        return self._stored.address

    def read_chunk(self, chunk: int) -> Labels:
        out = np.empty(self.chunk_bytes, np.uint8)
        self._read_run([chunk], out, Scratch())
        return out.view(self.dtype).reshape(self.chunk_shape_zyx)

    def read_chunks(self, chunks: NDArray[np.int64], scratch: Scratch) -> Labels:
        size = self.chunk_bytes
        stack = scratch.bytes("stack", len(chunks) * size)
        if len(chunks) == 1:
            self._read_run([int(chunks[0])], stack, scratch)
        else:
            for first, stop in self._runs(chunks):
                self._read_run(chunks[first:stop].tolist(), stack[first * size : stop * size], scratch)
        return stack.view(self.dtype).reshape(len(chunks), *self.chunk_shape_zyx)

    def read(self, box: tuple[slice, slice, slice]) -> Labels:
        return LabelVolume.read(self, box)

    def _runs(self, chunks: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
        """Stretches of the list that lie next to one another in the file, or were never written."""
        address, size = self._stored.address[chunks], self._stored.size[chunks]
        adjacent = (address[:-1] >= 0) & (address[1:] == address[:-1] + size[:-1])
        starts = np.concatenate([[0], np.flatnonzero(~adjacent) + 1, [len(chunks)]])
        yield from zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)

    def _read_run(self, chunks: list[int], out: NDArray[np.uint8], scratch: Scratch) -> None:
        """Decode chunks that are stored in one piece; ``out`` holds their labels' bytes one after the other."""
        stored, size = self._stored, self.chunk_bytes
        begin = int(stored.address[chunks[0]])
        if begin < 0:
            out.view(self.dtype)[:] = self.fill_value
            return
        end = int(stored.address[chunks[-1]] + stored.size[chunks[-1]])
        raw = scratch.bytes("stored", end - begin)
        chunk = chunks[0]
        try:
            stored.read_into(begin, raw)
            for i, chunk in enumerate(chunks):
                offset = int(stored.address[chunk]) - begin
                data = raw[offset : offset + int(stored.size[chunk])]
                skipped = stored.skipped.get(chunk, 0)
                self._pipeline.decode(data, skipped, out[i * size : (i + 1) * size], scratch)
        except BadChunk as error:
            raise self._damaged(chunk, error) from None

    def close(self) -> None:
        self._stored.close()
        super().close()
