"""One face for label volumes: shape, dtype, voxel size, and storage chunks read each at most once.

A volume is read in its own chunks, by as many threads as there are cores, and never as a whole.
``hdf5.py`` and its like each add a format.
"""

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.spec import FloatTriple, Triple

Labels = NDArray[Any]
Progress = Callable[[int, int], None]
StageProgress = Callable[[str, int, int], None]

# A chunk that inflates to more than this is not read whole by each thread.
MAX_CHUNK_BYTES = 1 << 30


@dataclass(frozen=True)
class LabelInfo:
    """What a label file says of itself; sizes in bytes, axes z,y,x."""

    format: str
    dataset: str
    shape_zyx: tuple[int, ...]
    dtype: str
    chunk_shape_zyx: tuple[int, ...]
    compression: str
    voxel_size_nm_zyx: FloatTriple | None
    stored_bytes: int

    @property
    def voxels(self) -> int:
        return int(np.prod(self.shape_zyx, dtype=np.int64))


class LabelVolume(ABC):
    """An integer volume (z, y, x), opened for reading; a context manager.

    ``chunk_shape_zyx`` is the unit of reading: the stored chunk, or a slab where the file has none.
    """

    path: Path
    info: LabelInfo
    shape_zyx: Triple
    chunk_shape_zyx: Triple
    dtype: np.dtype[Any]

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

    @abstractmethod
    def read_chunk(self, chunk: int) -> Labels:
        """Labels of one chunk, C-contiguous; clipped to the volume or full ``chunk_shape_zyx``.

        May be called by several threads at once. Raises InputError where the chunk is damaged.
        """

    @abstractmethod
    def read(self, box: tuple[slice, slice, slice]) -> Labels:
        """Labels of a box, for small regions and previews."""

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


def open_labels(path: str | Path, dataset: str | None = None) -> LabelVolume:
    """Open a label volume of any format we read; ``path`` may carry a dataset, ``file.h5:main``.

    Raises InputError, saying what the file is and what was expected.
    """
    from axonem_eval.hdf5 import open_hdf5

    file, named = split_dataset(path)
    if not file.exists():
        raise InputError.of("no_file", f"{file}: no such file")
    if file.is_file() and file.stat().st_size == 0:
        raise InputError.of("empty_file", f"{file.name}: the file is empty (0 bytes); upload it again")
    return open_hdf5(file, dataset or named)


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
    n_threads = max(1, min(threads or os.cpu_count() or 1, len(chunks)))
    n_chunks = len(chunks)
    state = threading.Lock()
    taken, finished = 0, 0
    errors: list[BaseException] = []

    def work() -> None:
        nonlocal taken, finished
        while True:
            with state:
                if errors or taken >= n_chunks:
                    return
                position, taken = taken, taken + 1
            try:
                visit(position, volume.read_chunk(int(chunks[position])))
            except BaseException as error:
                with state:
                    errors.append(error)
                return
            with state:
                finished += 1
                if on_progress and (finished % 16 == 0 or finished == n_chunks):
                    on_progress(finished, n_chunks)

    workers = [threading.Thread(target=work, name=f"chunks-{i}", daemon=True) for i in range(n_threads)]
    with _joined(workers):
        pass
    if errors:
        raise errors[0]


@contextmanager
def _joined(threads: list[threading.Thread]) -> Iterator[None]:
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()


def slab_shape(shape_zyx: Triple, itemsize: int, limit_bytes: int = 32 << 20) -> Triple:
    """Chunk shape to read an unchunked volume by: whole sections, or rows of one, within ``limit_bytes``."""
    z, y, x = shape_zyx
    row = max(1, x * itemsize)
    if row * y <= limit_bytes:
        return (max(1, min(z, limit_bytes // (row * y))), y, x)
    return (1, max(1, min(y, limit_bytes // row)), x)
