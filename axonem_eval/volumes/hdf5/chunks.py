"""HDF5 chunks read and inflated outside the HDF5 library, which does all its work under one lock.

A chunk is read by its place in the file (`os.pread`), in any number of threads.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from axonem_eval.volumes.hdf5.dataset import Hdf5Dataset, OpenDataset
from axonem_eval.volumes.hdf5.filters import BadChunk
from axonem_eval.volumes.hdf5.index import StoredChunks
from axonem_eval.volumes.label_volume import Labels, Scratch


class Hdf5Chunks(Hdf5Dataset):
    """Chunks inflated outside the HDF5 library."""

    copies_per_thread = 3  # stored bytes, shuffled planes, labels

    def __init__(self, opened: OpenDataset, stored: StoredChunks) -> None:
        super().__init__(opened, stored.address >= 0)
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
