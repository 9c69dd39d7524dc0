"""One face for label volumes: shape, dtype, voxel size, and storage chunks read each at most once.

A volume is read in its own chunks, by as many threads as there are cores, and never as a whole.
``hdf5.py`` and its like each add a format.
"""

import math
import os
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.spec import Triple
from axonem_eval.volumes.label_info import LabelInfo

Labels = NDArray[Any]
Progress = Callable[[int, int], None]
StageProgress = Callable[[str, int, int], None]

# A chunk that inflates to more than this is never held whole.
MAX_CHUNK_BYTES = 1 << 30
# What all reading threads together may hold; with large chunks, fewer threads read.
MEMORY_BUDGET_BYTES = 3 << 29
# Below about 500 voxels a chunk, an index of the chunks outgrows the data.
MAX_CHUNKS = 30_000_000
# Small chunks are read this much at a time, so that the work outweighs the calls.
BATCH_BYTES = 1 << 20

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class Scratch:
    """Buffers of one thread, kept from one chunk to the next: fresh memory for each costs as much as inflating."""

    def __init__(self) -> None:
        self._buffers: dict[str, NDArray[np.uint8]] = {}

    def bytes(self, name: str, size: int) -> NDArray[np.uint8]:
        """(size,) uint8 of undefined content; the next call with the same name may hand out the same memory."""
        buffer = self._buffers.get(name)
        if buffer is None or len(buffer) < size:
            buffer = self._buffers[name] = np.empty(size, np.uint8)
        return buffer[:size]

    def array(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Labels:
        """An array over ``bytes``."""
        return self.bytes(name, math.prod(shape) * dtype.itemsize).view(dtype).reshape(shape)


class _LatestChunks:
    """The chunks read last, for boxes that share them."""

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
    """An integer volume (z, y, x), opened for reading; a context manager.

    ``chunk_shape_zyx`` is the unit of reading: the stored chunk, or a slab of it where it is huge.
    ``sequential`` says that only reading all chunks in storage order, by one thread, is cheap and checks the whole
    file. ``copies_per_thread`` is how many chunks a thread holds while it decodes one; ``kept_bytes`` bounds the
    chunks that ``read`` keeps for the next box. ``fill_value`` is the label where nothing is stored,
    ``background_ids`` are labels of the file that are read as 0. ``batch_bytes`` is how much of small chunks is asked
    for at a time, ``reads_at_once`` how many threads may ask (None: one a core). ``visited_whole`` says that which
    chunks hold nodes must not be learnt from which are read.
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
        """(n_chunks,) place of each chunk in the file, smaller is earlier; the grid's order by default."""
        return np.arange(self.n_chunks, dtype=np.int64)

    def stored_chunks(self) -> NDArray[np.bool_] | None:
        """(n_chunks,) whether the file holds data for a chunk; one without reads as ``fill_value`` everywhere.

        None where the format always stores all chunks, or cannot tell cheaply.
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
        """Labels of a box, put together from its chunks, of which the latest are kept."""
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

    def __enter__(self) -> "LabelVolume":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def split_dataset(path: str | Path) -> tuple[Path, str | None]:
    """``file.h5:volumes/labels`` -> (file.h5, volumes/labels); a colon that belongs to the name is kept."""
    text = str(path)
    if os.path.exists(text) or ":" not in text:
        return Path(text), None
    file, _, dataset = text.rpartition(":")
    return (Path(file), dataset) if file else (Path(text), None)


def open_labels(
    path: str | Path, dataset: str | None = None, *, mask: bool = False, background_ids: Sequence[int] = ()
) -> LabelVolume:
    """Open a label volume of any format we read; ``path`` may carry a dataset, ``file.h5:main``.

    HDF5, Zarr v2 and v3 and Neuroglancer precomputed (a folder or a .zip), TIFF (a file of pages, or a folder or .zip
    of files); told apart by content.
    mask : the file holds a mask rather than labels: booleans are taken too, and no chunk need be stored.
    background_ids : labels that are read as 0.
    Raises InputError, saying what the file is and what was expected.
    """
    file, named = split_dataset(path)
    dataset = dataset or named
    if not file.exists():
        raise InputError.of("no_file", f"{file}: no such file")
    try:
        volume = _open_store(file, dataset, mask) if file.is_dir() else _open_file(file, dataset, mask)
    except PermissionError as error:
        raise InputError.of("unreadable", f"{file.name}: {error.strerror}; make it readable (chmod +r)") from None
    if dataset and volume.info.format.startswith(("TIFF", "Neuroglancer")) and dataset != volume.info.dataset:
        volume.close()
        raise InputError.of(
            "no_dataset",
            f"{file.name}: {volume.info.format} is read as {volume.info.dataset!r}, and {dataset!r} cannot be chosen; "
            f"give {file.name} without it",
        )
    if background_ids:
        from axonem_eval.volumes.background_ids import WithoutIds

        return WithoutIds(volume, background_ids)
    return volume


def _open_file(file: Path, dataset: str | None, mask: bool) -> LabelVolume:
    if file.stat().st_size == 0:
        raise InputError.of("empty_file", f"{file.name}: the file is empty (0 bytes); upload it again")
    with open(file, "rb") as opened:
        magic = opened.read(4)
    if magic in _ZIP:
        return _open_store(file, dataset, mask)
    if magic in _TIFF:
        from axonem_eval.volumes.tiff_volume import open_tiff

        return open_tiff(file, mask=mask)
    from axonem_eval.volumes.hdf5.open import open_hdf5

    return open_hdf5(file, dataset, mask=mask)


def _open_store(path: Path, dataset: str | None, mask: bool) -> LabelVolume:
    """A folder or zip archive, by what lies in it."""
    from axonem_eval.volumes.precomputed_volume import is_precomputed, open_precomputed
    from axonem_eval.volumes.store import look_over
    from axonem_eval.volumes.tiff_volume import open_tiff_folder
    from axonem_eval.volumes.zarr_volume import is_zarr, open_zarr

    store = look_over(path)
    try:
        if is_zarr(store):
            return open_zarr(store, dataset, mask=mask)
        if is_precomputed(store):
            return open_precomputed(store, mask=mask)
        if store.pages():
            return open_tiff_folder(store, mask=mask)
        raise store.unknown()
    except BaseException:
        store.close()
        raise


def reading_threads(volume: LabelVolume, wanted: int | None = None) -> int:
    """How many threads may read: one a core, fewer where their chunks would outgrow the memory budget."""
    if volume.sequential:
        return 1
    if volume.reads_at_once is not None:
        return min(wanted or volume.reads_at_once, volume.reads_at_once)
    within = MEMORY_BUDGET_BYTES // max(1, volume.copies_per_thread * max(volume.chunk_bytes, BATCH_BYTES))
    return max(1, min(wanted or os.cpu_count() or 1, within))


def for_each_chunk(
    volume: LabelVolume,
    chunks: Sequence[int] | NDArray[Any],
    visit: Callable[[int, Labels], None],
    *,
    threads: int | None = None,
    on_progress: Progress | None = None,
) -> None:
    """Call ``visit(position, labels)`` for each chunk of the list once, in its order, from several threads.

    ``position`` counts in ``chunks``. ``visit`` must bear parallel calls. At most one chunk a thread is
    in memory. The first error stops all threads and is raised here.
    """

    def work(position: int, _scratch: Scratch) -> None:
        visit(position, volume.read_chunk(int(chunks[position])))

    report = (lambda done: on_progress(done, len(chunks))) if on_progress else None
    run_threads(0, len(chunks), work, reading_threads(volume, threads), on_progress=report)


def run_threads(
    first: int,
    n_items: int,
    work: Callable[[int, Scratch], None],
    n_threads: int,
    *,
    on_progress: Callable[[int], None] | None = None,
    until: Callable[[], bool] | None = None,
) -> int:
    """Do the items first..n_items - 1, each once and begun in order, by several threads.

    Stops beginning new ones when ``until()`` says so. Returns the first item that is not done; all before it are.
    The first error stops all threads and is raised here.
    """
    state = threading.Lock()
    taken = finished = first
    errors: list[BaseException] = []

    def loop() -> None:
        nonlocal taken, finished
        scratch = Scratch()
        while True:
            with state:
                if errors or taken >= n_items or (until is not None and until()):
                    return
                item, taken = taken, taken + 1
            try:
                work(item, scratch)
                with state:
                    finished += 1
                    if on_progress and (finished % 16 == 0 or finished == n_items):
                        on_progress(finished)
            except BaseException as error:
                with state:
                    errors.append(error)
                return

    workers = [
        threading.Thread(target=loop, name=f"chunks-{i}", daemon=True) for i in range(min(n_threads, n_items - first))
    ]
    for worker in workers:
        worker.start()
    try:
        for worker in workers:
            worker.join()
    except BaseException as error:  # Ctrl-C: the files are closed next, so no thread may be left reading
        errors.append(error)
        for worker in workers:
            worker.join()
    if errors:
        raise errors[0]
    return taken


def slab_shape(
    chunk_shape_zyx: Triple, itemsize: int, grid_zyx: Triple = (1, 1, 1), limit_bytes: int = 4 << 20
) -> Triple:
    """Shape to read an unchunked volume, or a huge chunk, by: whole sections, or rows of one.

    Slabs of neighbouring chunks must form one grid, so where there are several chunks along an axis the slab
    divides the chunk there.
    """

    def part(size: int, most: int, chunks: int) -> int:
        most = max(1, min(size, most))
        return most if chunks == 1 else max(d for d in range(1, most + 1) if size % d == 0)

    z, y, x = chunk_shape_zyx
    row = max(1, x * itemsize)
    if row * y <= limit_bytes:
        return (part(z, limit_bytes // (row * y), grid_zyx[0]), y, x)
    return (1, part(y, limit_bytes // row, grid_zyx[1]), x)
