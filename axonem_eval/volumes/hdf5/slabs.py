"""Huge HDF5 chunks, and contiguous data, read in slabs with bounded memory."""

import math
import threading
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.spec import Triple
from axonem_eval.volumes.hdf5.dataset import Hdf5Dataset, OpenDataset
from axonem_eval.volumes.hdf5.filters import DEFLATE, BadChunk, Buffer, FilterPipeline
from axonem_eval.volumes.hdf5.index import StoredChunks
from axonem_eval.volumes.label_volume import Labels, Scratch, slab_shape

_FEED_BYTES = 1 << 20
_STREAMED = ((), (DEFLATE,))


def streamable(pipeline: FilterPipeline) -> bool:
    """Whether a chunk can be read piece by piece, never whole."""
    return pipeline.codes in _STREAMED


class Hdf5Slabs(Hdf5Dataset):
    """Slabs, each a piece of one chunk's bytes.

    A gzip chunk is decompressed as a stream, and a chunk with other filters is held whole. So compressed slabs are
    read in storage order; at the end of each chunk its checksum is compared.
    """

    def __init__(self, opened: OpenDataset, stored: StoredChunks) -> None:
        super().__init__(opened, stored.address >= 0)
        self._stored = stored
        z, y, x = opened.dataset.chunks or opened.dataset.shape
        self._whole_zyx: Triple = (int(z), int(y), int(x))
        nz, ny, nx = (-(-n // c) for n, c in zip(self.shape_zyx, self._whole_zyx, strict=True))
        self._whole_grid: Triple = (nz, ny, nx)
        self.chunk_shape_zyx = slab_shape(self._whole_zyx, self.dtype.itemsize, self._whole_grid)
        self.sequential = bool(opened.pipeline.codes)
        chunk, offset, _ = self._place(np.arange(self.n_chunks))
        self._last_offset = np.zeros(nz * ny * nx, np.int64)
        np.maximum.at(self._last_offset, chunk, offset)
        self._lock_stream = threading.Lock()
        self._stream: _GzipStream | _DecodedChunk | None = None

    def storage_rank(self) -> NDArray[np.int64]:
        """Slabs by the place of their chunk in the file, then by their place in the chunk."""
        chunk, offset, _ = self._place(np.arange(self.n_chunks))
        rank = np.empty(self.n_chunks, np.int64)
        rank[np.lexsort((offset, chunk, self._stored.address[chunk]))] = np.arange(self.n_chunks)
        return rank

    def stored_chunks(self) -> NDArray[np.bool_]:
        chunk, _, _ = self._place(np.arange(self.n_chunks))
        return np.asarray(self._stored.address[chunk] >= 0)

    def _place(self, slab: Any) -> tuple[Any, Any, Any]:
        """The chunk of a slab, the offset of the slab in the chunk's bytes, and its size in bytes."""
        place = np.unravel_index(slab, self.grid_zyx)
        first = [p * s for p, s in zip(place, self.chunk_shape_zyx, strict=True)]
        chunk = np.ravel_multi_index([f // w for f, w in zip(first, self._whole_zyx, strict=True)], self._whole_grid)
        z, y, _ = (f % w for f, w in zip(first, self._whole_zyx, strict=True))
        row = self._whole_zyx[2] * self.dtype.itemsize
        # The last slab along an axis is short where the chunk is the only one there.
        sections = np.minimum(self.chunk_shape_zyx[0], self._whole_zyx[0] - z)
        rows = np.minimum(self.chunk_shape_zyx[1], self._whole_zyx[1] - y)
        return chunk, (z * self._whole_zyx[1] + y) * row, sections * rows * row

    def read_chunk(self, chunk: int) -> Labels:
        whole, offset, size = (int(v) for v in self._place(chunk))
        address = int(self._stored.address[whole])
        if address < 0:
            return np.full(self.chunk_shape_zyx, self.fill_value, self.dtype)
        out = np.empty(self.chunk_bytes, np.uint8)
        out[size:] = 0
        try:
            if not self._pipeline.codes:
                self._stored.read_into(address + offset, out[:size])
            else:
                self._read_stream(whole, offset, out[:size])
        except BadChunk as error:
            raise self._damaged(chunk, error) from None
        return out.view(self.dtype).reshape(self.chunk_shape_zyx)

    def _read_stream(self, whole: int, offset: int, out: Buffer) -> None:
        with self._lock_stream:
            stream = self._stream
            if stream is None or stream.chunk != whole or stream.position > offset:
                self._stream = None  # an old decoded chunk goes before the new one comes
                stream = self._stream = self._open(whole)
            stream.skip_to(offset)
            stream.read_into(out)
            if offset == self._last_offset[whole]:
                stream.finish()

    def _open(self, whole: int) -> "_GzipStream | _DecodedChunk":
        size = math.prod(self._whole_zyx) * self.dtype.itemsize
        if streamable(self._pipeline) and not self._stored.skipped.get(whole):
            return _GzipStream(self._stored, whole, size)
        return _DecodedChunk(self._stored, self._pipeline, whole, size)

    def close(self) -> None:
        self._stream = None
        self._stored.close()
        super().close()


class _GzipStream:
    """The bytes of one gzip chunk, decompressed a piece at a time."""

    def __init__(self, stored: StoredChunks, chunk: int, size: int) -> None:
        self.chunk, self.position = chunk, 0
        self._stored, self._size = stored, size
        self._next = int(stored.address[chunk])
        self._end = self._next + int(stored.size[chunk])
        self._inflate = zlib.decompressobj()

    def read_into(self, out: Buffer) -> None:
        """Fill ``out`` with the next bytes. Raises BadChunk."""
        done = 0
        while done < len(out):
            piece = self._piece(len(out) - done)
            out[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
            done += len(piece)
        self.position += done

    def skip_to(self, position: int) -> None:
        """Decompress and drop the bytes before ``position``."""
        while self.position < position:
            self.position += len(self._piece(min(position - self.position, _FEED_BYTES)))

    def finish(self) -> None:
        """Decompress the rest, so that zlib compares its checksum. Raises BadChunk."""
        self.skip_to(self._size)
        try:
            rest = self._inflate.decompress(self._inflate.unconsumed_tail + self._feed(), 1)
        except zlib.error as error:
            raise BadChunk(str(error)) from None
        if rest or not self._inflate.eof:
            raise BadChunk("its checksum is missing or more data follow than the chunk holds")

    def _piece(self, most: int) -> bytes:
        feed = self._inflate.unconsumed_tail or self._feed()
        try:
            piece = self._inflate.decompress(feed, most)
        except zlib.error as error:
            raise BadChunk(str(error)) from None
        if not piece and (self._inflate.eof or not feed):
            raise BadChunk(f"the data end {self._size - self.position:,} bytes early")
        return piece

    def _feed(self) -> bytes:
        data = np.empty(min(_FEED_BYTES, self._end - self._next), np.uint8)
        self._stored.read_into(self._next, data)
        self._next += len(data)
        return data.tobytes()


class _DecodedChunk:
    """The bytes of one chunk, decoded at once: with shuffle the first label needs the last bytes."""

    position = 0  # any piece may be read again

    def __init__(self, stored: StoredChunks, pipeline: FilterPipeline, chunk: int, size: int) -> None:
        self.chunk = chunk
        self._at = 0
        raw = np.empty(int(stored.size[chunk]), np.uint8)
        stored.read_into(int(stored.address[chunk]), raw)
        self._bytes = np.empty(size, np.uint8)
        pipeline.decode(raw, stored.skipped.get(chunk, 0), self._bytes, Scratch())

    def read_into(self, out: Buffer) -> None:
        """Fill ``out`` with the next bytes."""
        out[:] = self._bytes[self._at : self._at + len(out)]

    def skip_to(self, position: int) -> None:
        """Go to that byte."""
        self._at = position

    def finish(self) -> None:
        """Nothing: the checksum was compared when the chunk was decoded."""
