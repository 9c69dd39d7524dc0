"""The face that every label volume shows: shape, dtype, voxel size, and the chunks it is read in.

A volume is read in its own chunks and never as a whole. Each format is a subclass in a module of its own; ``open.py``
chooses one of them, ``threads.py`` reads many chunks at a time.
"""

import math
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from itertools import product
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from axonem_eval.spec import Triple
from axonem_eval.volumes.label_info import LabelInfo

Labels = NDArray[Any]

# A chunk that inflates to more than this is never held whole.
MAX_CHUNK_BYTES = 1 << 30
# Memory for all reading threads together; with large chunks, fewer threads read.
MEMORY_BUDGET_BYTES = 3 << 29
# With more chunks, those of a volume in use have fewer than 500 voxels, and their index is larger than the data.
MAX_CHUNKS = 30_000_000
# Small chunks are read this much at a time, so that a call costs less than its work.
BATCH_BYTES = 1 << 20


class Scratch:
    """Buffers that one thread uses again for each chunk; new memory for each costs as much as decompressing it."""

    def __init__(self) -> None:
        self._buffers: dict[str, NDArray[np.uint8]] = {}

    def bytes(self, name: str, size: int) -> NDArray[np.uint8]:
        """(size,) uint8 of undefined content; the next call with the same name may return the same memory."""
        buffer = self._buffers.get(name)
        if buffer is None or len(buffer) < size:
            buffer = self._buffers[name] = np.empty(size, np.uint8)
        return buffer[:size]

    def array(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Labels:
        """An array over ``bytes``."""
        return self.bytes(name, math.prod(shape) * dtype.itemsize).view(dtype).reshape(shape)


class _LatestChunks:
    """The chunks read last, kept for the next boxes that touch them."""

    def __init__(self) -> None:
        self._chunks: OrderedDict[int, Labels] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, volume: "LabelVolume", chunk: int) -> Labels:
        with self._lock:
            if chunk in self._chunks:
                self._chunks.move_to_end(chunk)
                return self._chunks[chunk]
            if volume.sequential:  # a second thread after the same chunk would start the stream anew
                return self._keep(volume, chunk, volume.read_chunk(chunk))
        labels = volume.read_chunk(chunk)
        with self._lock:
            return self._keep(volume, chunk, labels)

    def _keep(self, volume: "LabelVolume", chunk: int, labels: Labels) -> Labels:
        self._chunks[chunk] = labels
        while len(self._chunks) > 1 and len(self._chunks) * volume.chunk_bytes > volume.kept_bytes:
            self._chunks.popitem(last=False)
        return labels


class LabelVolume(ABC):
    """An integer volume (z, y, x), open for reading; a context manager.

    chunk_shape_zyx : the unit of reading: a stored chunk, or a slab of it where it is huge.
    sequential : reading is cheap, and checks the whole file, only if one thread reads all chunks in storage order.
    copies_per_thread : chunks that a thread holds while it decodes one.
    kept_bytes : limit for the chunks that ``read`` keeps for the next box.
    fill_value : the label where nothing is stored.   background_ids : labels of the file that are read as 0.
    batch_bytes : small chunks are read this much at a time.
    reads_at_once : number of threads that may read; None: one for each core.
    visited_whole : all chunks are read, so that the reads do not tell which chunks hold nodes.
    has_plain_axes : the file does not say which axis is which, or says x,y,z; a rule tells their order.
    axis_order : what messages about the file call its axes.
    """

    path: Path
    info: LabelInfo
    shape_zyx: Triple
    chunk_shape_zyx: Triple
    dtype: np.dtype[Any]
    sequential: bool = False
    copies_per_thread: int = 2
    kept_bytes: int = 64 << 20
    fill_value: int = 0
    batch_bytes: int = BATCH_BYTES
    reads_at_once: int | None = None
    visited_whole: bool = False
    has_plain_axes: bool = False
    axis_order: str = "z,y,x"
    background_ids: tuple[int, ...] = ()

    def __init__(self) -> None:
        self._latest = _LatestChunks()

    @property
    def chunk_bytes(self) -> int:
        return math.prod(self.chunk_shape_zyx) * self.dtype.itemsize

    @property
    def grid_zyx(self) -> Triple:
        """Number of chunks along each axis, those cut by the volume's edge included."""
        z, y, x = (-(-n // c) for n, c in zip(self.shape_zyx, self.chunk_shape_zyx, strict=True))
        return (z, y, x)

    @property
    def n_chunks(self) -> int:
        z, y, x = self.grid_zyx
        return z * y * x

    def chunk_origin(self, chunk: int) -> Triple:
        """First voxel (z, y, x) of a chunk given by its flat index in the grid."""
        z, y, x = np.unravel_index(chunk, self.grid_zyx)
        cz, cy, cx = self.chunk_shape_zyx
        return int(z) * cz, int(y) * cy, int(x) * cx

    def chunk_box(self, chunk: int) -> tuple[slice, slice, slice]:
        """Voxels of a chunk, clipped to the volume."""
        origin, size, shape = self.chunk_origin(chunk), self.chunk_shape_zyx, self.shape_zyx
        z, y, x = (slice(o, min(o + c, n)) for o, c, n in zip(origin, size, shape, strict=True))
        return z, y, x

    def storage_rank(self) -> NDArray[np.int64]:
        """(n_chunks,) position of each chunk in the file, smaller is earlier; by default the order of the grid."""
        return np.arange(self.n_chunks, dtype=np.int64)

    def stored_chunks(self) -> NDArray[np.bool_] | None:
        """(n_chunks,) whether the file holds data for a chunk; one without reads as ``fill_value`` everywhere.

        None where the format always stores all chunks, or where finding out is not cheap.
        """
        return None

    @abstractmethod
    def read_chunk(self, chunk: int) -> Labels:
        """Labels of one chunk, C-contiguous; clipped to the volume or full ``chunk_shape_zyx``.

        May be called by several threads at once. Raises InputError where the chunk is damaged.
        """

    def read_chunks(self, chunks: NDArray[np.int64], scratch: Scratch) -> Labels:
        """Labels of several chunks, (n, z, y, x); valid until the scratch buffers are used again.

        What lies beyond the volume's edge is undefined. One chunk may come clipped to the volume.
        """
        if len(chunks) == 1:
            return self.read_chunk(int(chunks[0]))[None]
        stack = scratch.array("stack", (len(chunks), *self.chunk_shape_zyx), self.dtype)
        for labels, chunk in zip(stack, chunks, strict=True):
            part = self.read_chunk(int(chunk))
            labels[tuple(slice(0, n) for n in part.shape)] = part
        return stack

    def read(self, box: tuple[slice, slice, slice]) -> Labels:
        """Labels of a box, assembled from its chunks; the latest chunks are kept for the next box."""
        starts = [s.start or 0 for s in box]
        stops = [n if s.stop is None else min(s.stop, n) for s, n in zip(box, self.shape_zyx, strict=True)]
        out = np.empty([max(0, b - a) for a, b in zip(starts, stops, strict=True)], self.dtype)
        if not out.size:
            return out
        touched = (range(a // c, (b - 1) // c + 1) for a, b, c in zip(starts, stops, self.chunk_shape_zyx, strict=True))
        for place in product(*touched):
            labels = self._latest.get(self, int(np.ravel_multi_index(place, self.grid_zyx)))
            origin = [p * c for p, c in zip(place, self.chunk_shape_zyx, strict=True)]
            low = [max(a, o) for a, o in zip(starts, origin, strict=True)]
            high = [min(b, o + c) for b, o, c in zip(stops, origin, self.chunk_shape_zyx, strict=True)]
            there = tuple(slice(a - s, b - s) for a, b, s in zip(low, high, starts, strict=True))
            here = tuple(slice(a - o, b - o) for a, b, o in zip(low, high, origin, strict=True))
            out[there] = labels[here]
        return out

    def close(self) -> None:
        """Release the file."""
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def slab_shape(
    chunk_shape_zyx: Triple, itemsize: int, grid_zyx: Triple = (1, 1, 1), limit_bytes: int = 4 << 20
) -> Triple:
    """Shape of the slabs in which a huge chunk, or a volume without chunks, is read: whole sections, or rows of one.

    Slabs of neighbouring chunks must form one grid. So along an axis with several chunks, the slab divides the chunk.
    """

    def part(size: int, most: int, chunks: int) -> int:
        most = max(1, min(size, most))
        return most if chunks == 1 else max(d for d in range(1, most + 1) if size % d == 0)

    z, y, x = chunk_shape_zyx
    row = max(1, x * itemsize)
    if row * y <= limit_bytes:
        return (part(z, limit_bytes // (row * y), grid_zyx[0]), y, x)
    return (1, part(y, limit_bytes // row, grid_zyx[1]), x)
