"""Label volumes as TIFF, for small volumes: one file of many pages, or a folder with a file for each section."""

import os
import re
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.candidates import Candidate, choose
from axonem_eval.errors import InputError
from axonem_eval.spec import FloatTriple, Triple
from axonem_eval.store_volume import missing_extra
from axonem_eval.volume import MAX_CHUNK_BYTES, LabelInfo, Labels, LabelVolume, slab_shape

MAX_SECTIONS = 100_000
_NM_PER_UNIT = {"nm": 1.0, "um": 1e3, "µm": 1e3, "\\u00B5m": 1e3, "micron": 1e3, "mm": 1e6}


def _tifffile() -> Any:
    try:
        import tifffile
    except ImportError:
        raise missing_extra("TIFF stacks", "tifffile") from None
    return tifffile


def _guarded(path: Path, what: str, read: Callable[[], Any]) -> Any:
    """Do it; whatever a parser raises on a file that somebody made is the file's fault."""
    try:
        return read()
    except (InputError, MemoryError):
        raise
    except Exception as error:
        text = str(error).replace(str(path.absolute()), path.name).replace(str(path), path.name)[:200]
        raise InputError.of(
            "damaged_chunk",
            f"{path.name}: {what} cannot be read ({type(error).__name__}: {text}). The file is damaged, cut short or "
            "in a compression that is not read: write it again, with deflate compression or none",
        ) from None


def _open(path: Path) -> Any:
    # No metadata may lead to other files, as those of OME-TIFF do.
    return _tifffile().TiffFile(path, is_ome=False, _multifile=False)


def open_tiff(path: Path) -> LabelVolume:
    """Open a multi-page TIFF file, z being the page.

    Raises InputError: no TIFF, no or several stacks, colour, not integer, pages above 1 GiB.
    """
    _tifffile()
    file = _guarded(path, "the header", lambda: _open(path))
    try:
        volume: LabelVolume = _guarded(path, "its list of pages", lambda: _stack(path, file))
        return volume
    except BaseException:
        file.close()
        raise


def _stack(path: Path, file: Any) -> LabelVolume:
    if len(file.pages) > MAX_SECTIONS:
        raise InputError.of("too_many_files", f"{path.name}: more than {MAX_SECTIONS:,} pages; write HDF5 or Zarr")
    found = []
    for i, series in enumerate(file.series):
        if "S" in series.axes:
            raise InputError.of(
                "wrong_ndim",
                f"{path.name}: its pages are in colour ({series.axes} {series.shape}); expected one integer a pixel",
            )
        # TIFF has no stack of one page: a single page is a volume of one section.
        shape = (1, *series.shape) if len(series.shape) == 2 else series.shape
        found.append(Candidate(f"series {i}", str(series.dtype), tuple(shape), series))
    chosen = choose(path, found, None, kind="series")
    z, y, x = chosen.shape
    return TiffStack(path, file, chosen.handle, (int(z), int(y), int(x)), _imagej_voxel_size(file))


def _imagej_voxel_size(file: Any) -> FloatTriple | None:
    """From ImageJ's metadata, the only ones that tell what the resolution tags of a stack mean."""
    metadata = file.imagej_metadata or {}
    try:
        nm = _NM_PER_UNIT[str(metadata["unit"])]
        tags = file.pages[0].tags
        y, x = (tags[name].value[1] / tags[name].value[0] for name in ("YResolution", "XResolution"))
        size = (float(metadata["spacing"]) * nm, y * nm, x * nm)
    except (KeyError, TypeError, ValueError, ZeroDivisionError, IndexError):
        return None
    return size if min(size) > 0 else None


def _demand_bearable_page(path: Path, shape_yx: tuple[int, int], dtype: np.dtype[Any]) -> None:
    page_bytes = shape_yx[0] * shape_yx[1] * dtype.itemsize
    if page_bytes > MAX_CHUNK_BYTES:
        raise InputError.of(
            "huge_chunk",
            f"{path.name}: one page is {page_bytes / 2**30:.1f} GiB; expected at most {MAX_CHUNK_BYTES >> 30} GiB. "
            "Write HDF5 or Zarr with chunks of about 64 x 64 x 64",
        )


class TiffStack(LabelVolume):
    """A file of many pages; uncompressed ones are read in any number of threads."""

    def __init__(self, path: Path, file: Any, series: Any, shape_zyx: Triple, voxel_size: FloatTriple | None) -> None:
        super().__init__()
        self.path, self._file, self._series, self.shape_zyx = path, file, series, shape_zyx
        self.dtype = np.dtype(series.dtype).newbyteorder(file.byteorder)
        self._lock = threading.Lock()
        self._offset: int | None = series.dataoffset
        if self._offset is None:
            _demand_bearable_page(path, shape_zyx[1:], self.dtype)
            self.chunk_shape_zyx = (1, shape_zyx[1], shape_zyx[2])
        else:
            self.chunk_shape_zyx = slab_shape(shape_zyx, self.dtype.itemsize)
        compression = series.keyframe.compression
        self.info = LabelInfo(
            format="TIFF",
            dataset="pages",
            shape_zyx=shape_zyx,
            dtype=str(self.dtype),
            chunk_shape_zyx=self.chunk_shape_zyx,
            compression="none" if compression == 1 else str(getattr(compression, "name", compression)).lower(),
            voxel_size_nm_zyx=voxel_size,
            stored_bytes=path.stat().st_size,
            chunks_total=shape_zyx[0],
        )

    def read_chunk(self, chunk: int) -> Labels:
        z, y, _ = box = self.chunk_box(chunk)
        labels: Labels = _guarded(self.path, f"section {z.start}", lambda: self._section(z, y, box))
        return labels

    def _section(self, z: slice, y: slice, box: tuple[slice, slice, slice]) -> Labels:
        shape = tuple(s.stop - s.start for s in box)
        if self._offset is None:
            with self._lock:
                page = self._series.pages[z.start].asarray()
            return np.ascontiguousarray(page).reshape(shape)
        first = (z.start * self.shape_zyx[1] + y.start) * self.shape_zyx[2] * self.dtype.itemsize
        out: NDArray[Any] = np.empty(shape, self.dtype)
        data = os.pread(self._file.filehandle.fileno(), out.nbytes, self._offset + first)
        if len(data) != out.nbytes:
            raise ValueError("the file ends within it")
        return np.frombuffer(data, self.dtype).reshape(shape)

    def close(self) -> None:
        self._file.close()


def open_tiff_folder(path: Path, pages: list[str], stored_bytes: int) -> LabelVolume:
    """Open a folder of single-page TIFF files, in the order of the last number in their names.

    Raises InputError: too many files, a section missing from the numbering, not integer, colour.
    """
    _tifffile()
    if len(pages) > MAX_SECTIONS:
        raise InputError.of("too_many_files", f"{path.name}: more than {MAX_SECTIONS:,} sections; write HDF5 or Zarr")
    return TiffFolder(path, _in_order(path, pages), stored_bytes)


def _in_order(path: Path, pages: list[str]) -> list[str]:
    numbers = [re.findall(r"\d+", name.rsplit(".", 1)[0]) for name in pages]
    if not all(numbers):
        return sorted(pages)
    by_number = sorted((int(n[-1][:18]), name) for n, name in zip(numbers, pages, strict=True))
    for (a, first), (b, second) in pairwise(by_number):
        if b != a + 1:
            raise InputError.of(
                "missing_section",
                f"{path.name}: {first} is followed by {second}; expected the number {a + 1}. Write one file for each "
                "section, numbered without gaps",
            )
    return [name for _, name in by_number]


class TiffFolder(LabelVolume):
    """A folder with one page a file."""

    def __init__(self, path: Path, pages: list[str], stored_bytes: int) -> None:
        super().__init__()
        self.path, self._pages = path, pages
        first = self._page(0, None)
        choose(path, [Candidate(pages[0], str(first.dtype), (len(pages), *first.shape), None)], None, kind="section")
        self.shape_zyx = (len(pages), first.shape[0], first.shape[1])
        self.dtype = first.dtype
        self.chunk_shape_zyx = (1, first.shape[0], first.shape[1])
        self.info = LabelInfo(
            format="TIFF folder",
            dataset="sections",
            shape_zyx=self.shape_zyx,
            dtype=str(self.dtype),
            chunk_shape_zyx=self.chunk_shape_zyx,
            compression="by section",
            voxel_size_nm_zyx=None,
            stored_bytes=stored_bytes,
            chunks_total=len(pages),
        )

    def _page(self, section: int, wanted: tuple[tuple[int, ...], np.dtype[Any]] | None) -> Labels:
        path = self.path / self._pages[section]

        def read() -> Labels:
            with _open(path) as file:
                page = file.pages[0]
                _demand_bearable_page(path, (page.imagelength, page.imagewidth), np.dtype(page.dtype))
                return np.ascontiguousarray(page.asarray())

        labels: Labels = _guarded(path, "the section", read)
        if wanted is not None and (labels.shape, labels.dtype) != wanted:
            raise InputError.of(
                "damaged_chunk",
                f"{self.path.name}: section {path.name} is {labels.dtype} {labels.shape}, the first is "
                f"{wanted[1]} {wanted[0]}; write all alike",
            )
        return labels

    def read_chunk(self, chunk: int) -> Labels:
        return self._page(chunk, (self.shape_zyx[1:], self.dtype))[None]
