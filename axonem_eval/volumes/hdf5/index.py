"""Where the chunks of an HDF5 dataset lie in the file."""

import math
import os
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.spec import Triple
from axonem_eval.volumes.bounds import BEYOND, require_apart, require_inside
from axonem_eval.volumes.hdf5.filters import BadChunk


def written_chunks(path: Path, dataset: h5py.Dataset) -> NDArray[np.bool_] | None:
    """(n_chunks,) whether each chunk of a three-dimensional dataset was ever written; None without chunks.

    Raises InputError where chunks share bytes of the file.
    """
    if dataset.chunks is None:
        return None
    address, size, _ = _chunk_table(path, dataset)
    require_apart(path, address, size)
    return address >= 0


def _chunk_table(path: Path, dataset: h5py.Dataset) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[int, int]]:
    """Address (-1: none), stored size and skipped filters of each chunk of a three-dimensional dataset."""
    shape, chunk = dataset.shape, dataset.chunks
    grid = [-(-n // c) for n, c in zip(shape, chunk, strict=True)]
    n_chunks = math.prod(grid)
    address, size, skipped = np.full(n_chunks, -1, np.int64), np.zeros(n_chunks, np.int64), dict[int, int]()
    (_, ny, nx), (cz, cy, cx) = grid, chunk
    met = 0

    def note(stored: h5py.h5d.StoreInfo) -> None:
        nonlocal met
        met += 1
        if met > n_chunks:  # a tree whose branches meet again has entries without end
            raise InputError.of(
                "overlapping_chunks",
                f"{path.name}: the index of dataset {dataset.name!r} lists more than the {n_chunks:,} chunks that it "
                "has, some of them again and again. The file is damaged: write it again",
            )
        z, y, x = stored.chunk_offset
        flat = (z // cz * ny + y // cy) * nx + x // cx
        if 0 <= flat < n_chunks:
            # A damaged index may give an address beyond int64, which the check against the file's end then refuses.
            address[flat], size[flat] = min(stored.byte_offset, BEYOND), stored.size
            if stored.filter_mask:
                skipped[flat] = stored.filter_mask

    dataset.id.chunk_iter(note)
    return address, size, skipped


class StoredChunks:
    """Where each chunk lies in the file, and the open file to read it from.

    address : (n_chunks,) int64, -1 where a chunk was never written.   size : (n_chunks,) uint32, or int64, bytes.
    skipped : chunk -> bit mask of filters that were not applied to it, where there are any.
    """

    def __init__(
        self, path: Path, address: NDArray[np.int64], size: NDArray[np.int64], skipped: dict[int, int]
    ) -> None:
        self.address, self.size, self.skipped = address, size, skipped
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    @classmethod
    def of(cls, path: Path, file: h5py.File, dataset: h5py.Dataset) -> "StoredChunks | None":
        """The index of a dataset; None where h5py gives none or its addresses are wrong.

        Raises InputError where chunks lie beyond the end of the file or share bytes of it.
        """
        if dataset.chunks is None:
            return cls._contiguous(path, dataset)
        index = cls(path, *_chunk_table(path, dataset))
        if not index._found_at(dataset, dataset.chunks, file.userblock_size):
            index.close()
            return None
        index._require_true_places(path)
        return index

    @classmethod
    def _contiguous(cls, path: Path, dataset: h5py.Dataset) -> "StoredChunks | None":
        if dataset.id.get_create_plist().get_layout() != h5py.h5d.CONTIGUOUS:
            return None  # compact: in the header, at most 65,536 bytes
        offset = dataset.id.get_offset()
        stored = 0 if offset is None else math.prod(dataset.shape) * dataset.dtype.itemsize
        place = -1 if offset is None else offset
        index = cls(path, np.array([min(place, BEYOND)]), np.array([min(stored, BEYOND)]), {})
        index._require_true_places(path)
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

    def _require_true_places(self, path: Path) -> None:
        try:
            require_inside(path, self.address, self.size)
            require_apart(path, self.address, self.size)
        except InputError:
            self.close()
            raise

    def read_into(self, address: int, out: NDArray[np.uint8]) -> None:
        """Fill ``out`` from that address in the file. Raises BadChunk where the file is too short."""
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
