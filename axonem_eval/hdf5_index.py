"""Where the chunks of an HDF5 dataset lie in the file."""

import math
import os
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.hdf5_filters import BadChunk
from axonem_eval.spec import Triple


def written_chunks(dataset: h5py.Dataset) -> NDArray[np.bool_] | None:
    """(n_chunks,) which chunks of a dataset of three dimensions were ever written; None without chunks."""
    if dataset.chunks is None:
        return None
    grid = [-(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True)]
    written = np.zeros(grid, np.bool_)

    def note(stored: h5py.h5d.StoreInfo) -> None:
        place = tuple(o // c for o, c in zip(stored.chunk_offset, dataset_chunks, strict=True))
        if all(p < n for p, n in zip(place, grid, strict=True)):
            written[place] = True

    dataset_chunks = dataset.chunks
    dataset.id.chunk_iter(note)
    return written.ravel()


class StoredChunks:
    """Where each chunk lies in the file, and the open file to read it from.

    address : (n_chunks,) int64, -1 where a chunk was never written.   size : (n_chunks,) uint32, or int64, bytes.
    skipped : chunk -> bit mask of filters that were not applied to it, where there are any.
    """

    def __init__(self, path: Path, n_chunks: int) -> None:
        self.address = np.full(n_chunks, -1, np.int64)
        self.size = np.zeros(n_chunks, np.int64)
        self.skipped: dict[int, int] = {}
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    @classmethod
    def of(cls, path: Path, file: h5py.File, dataset: h5py.Dataset) -> "StoredChunks | None":
        """The index of a dataset; None where h5py does not tell or its addresses prove wrong.

        Raises InputError where chunks lie beyond the end of the file.
        """
        if dataset.chunks is None:
            return cls._contiguous(path, file, dataset)
        shape, chunk = dataset.shape, dataset.chunks
        grid = [-(-n // c) for n, c in zip(shape, chunk, strict=True)]
        index = cls(path, math.prod(grid))
        address, size, skipped = index.address, index.size, index.skipped
        (_, ny, nx), (cz, cy, cx) = grid, chunk
        n_chunks = len(address)

        def note(stored: h5py.h5d.StoreInfo) -> None:
            z, y, x = stored.chunk_offset
            flat = (z // cz * ny + y // cy) * nx + x // cx
            if 0 <= flat < n_chunks:
                address[flat], size[flat] = stored.byte_offset, stored.size
                if stored.filter_mask:
                    skipped[flat] = stored.filter_mask

        dataset.id.chunk_iter(note)
        if not index._found_at(dataset, chunk, file.userblock_size):
            index.close()
            return None
        index._demand_inside(path)
        return index

    @classmethod
    def _contiguous(cls, path: Path, file: h5py.File, dataset: h5py.Dataset) -> "StoredChunks | None":
        if dataset.id.get_create_plist().get_layout() != h5py.h5d.CONTIGUOUS:
            return None  # compact: in the header, at most 64 KiB
        offset = dataset.id.get_offset()
        index = cls(path, 1)
        if offset is not None:
            index.address[0] = offset
            index.size[0] = dataset.size * dataset.dtype.itemsize
        index._demand_inside(path)
        return index

    def _found_at(self, dataset: h5py.Dataset, chunk: Triple, userblock: int) -> bool:
        """Whether the addresses count from the start of the file, as one chunk read by HDF5 itself shows.

        Releases of HDF5 differ in whether they count the user block; it is added here where they do not.
        """
        written = np.flatnonzero(self.address >= 0)
        if not written.size or not userblock:
            return True
        first = int(written[np.argmin(self.size[written])])
        grid = [-(-n // c) for n, c in zip(dataset.shape, chunk, strict=True)]
        origin = tuple(int(i) * c for i, c in zip(np.unravel_index(first, grid), chunk, strict=True))
        _, wanted = dataset.id.read_direct_chunk(origin)
        for shift in (0, userblock):
            if os.pread(self._descriptor, len(wanted), int(self.address[first]) + shift) == wanted:
                self.address[written] += shift
                return True
        return False

    def _demand_inside(self, path: Path) -> None:
        file_bytes = os.fstat(self._descriptor).st_size
        beyond = np.flatnonzero(self.address + self.size > file_bytes)
        if beyond.size:
            self.close()
            raise InputError.of(
                "truncated",
                f"{path.name}: {beyond.size:,} of {len(self.address):,} chunks lie beyond the end of the file "
                f"({file_bytes:,} bytes). The copy or upload broke off: compare sha256sum and send it again",
            )

    def read_into(self, address: int, out: NDArray[np.uint8]) -> None:
        """Fill ``out`` from that place in the file. Raises BadChunk where the file ends before."""
        view, done = out.data, 0
        while done < len(view):
            got = os.preadv(self._descriptor, [view[done:]], address + done)
            if got == 0:
                raise BadChunk("the file ends within it")
            done += got

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
