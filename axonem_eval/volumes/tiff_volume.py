"""Small label volumes as TIFF: one file of many pages, or a folder or archive with one file for each section."""

import io
import logging
import math
import os
import re
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError, guarded
from axonem_eval.spec import Triple
from axonem_eval.volumes.bounds import BEYOND, require_inside, require_small_chunk
from axonem_eval.volumes.label_info import LabelInfo
from axonem_eval.volumes.label_volume import MAX_CHUNK_BYTES, Labels, LabelVolume, slab_shape
from axonem_eval.volumes.select_array import Candidate, choose
from axonem_eval.volumes.stated import Stated, nm_per_unit
from axonem_eval.volumes.store import Store
from axonem_eval.volumes.tensorstore_volume import missing_extra
from axonem_eval.volumes.tiff_order import in_order
from axonem_eval.volumes.tiff_structure import listening, require_own_tables, require_true_strips, require_whole_chain

MAX_SECTIONS = 100_000
# So much of a description is searched for what it states.
_DESCRIPTION = 1_000_000
# Codecs for pictures. Some can be lossless, but a file does not say whether it is.
_LOSSY = ("JPEG", "JP2", "JP2000", "WEBP", "LERC", "JETRAW", "LURADOC")


def _tifffile() -> Any:
    try:
        import tifffile
    except ImportError:
        raise missing_extra("TIFF stacks", "tifffile") from None
    quiet = logging.getLogger("tifffile")
    if not quiet.handlers:  # without any, what it says of damaged files goes to stderr between our own lines
        quiet.addHandler(logging.NullHandler())
    return tifffile


def _open(file: Path | io.BytesIO, name: str, **flags: bool) -> Any:
    if isinstance(file, Path):
        with open(file, "rb") as opened:
            require_own_tables(name, opened)
    else:
        require_own_tables(name, file)
    # No metadata may lead to other files, as those of OME-TIFF do.
    return _tifffile().TiffFile(file, is_ome=False, _multifile=False, **flags)


def _written_page_by_page(file: Any) -> bool:
    """Whether tifffile wrote each page by a call of its own, so that each states that it is a single image."""
    series = file.series
    return len(series) > 1 and len({(s.shape, s.dtype, s.axes) for s in series}) == 1 and len(series[0].shape) == 2


def open_tiff(path: Path, *, mask: bool = False) -> LabelVolume:
    """Open a multi-page TIFF file, z being the page.

    Raises InputError: no TIFF, no or several stacks, colour, lossy compression, not integer, huge pages.
    """
    _tifffile()
    with listening() as heard:
        file = guarded(path, "the header", lambda: _open(path, path.name))
        try:
            n_pages = guarded(path, "its list of pages", lambda: len(file.pages))
            if guarded(path, "its list of pages", lambda: _written_page_by_page(file)):
                file.close()
                file = guarded(path, "the header", lambda: _open(path, path.name, is_shaped=False))
            return guarded(path, "its list of pages", lambda: _stack(path, file, n_pages, mask, heard))
        except BaseException:
            file.close()
            raise


def _stack(path: Path, file: Any, n_pages: int, mask: bool, heard: list[str]) -> LabelVolume:
    series = file.series
    if n_pages > MAX_SECTIONS:
        raise InputError.of("too_many_files", f"{path.name}: more than {MAX_SECTIONS:,} pages; write HDF5 or Zarr")
    require_whole_chain(path, heard, n_pages)
    stated = _stated(file)
    found = []
    for i, each in enumerate(series):
        if "S" in each.axes:
            raise _colour(path.name, f"its pages are in colour ({each.axes} {each.shape})")
        # TIFF has no stack of one page: a single page is a volume of one section.
        shape = (1, *each.shape) if len(each.shape) == 2 else each.shape
        found.append(Candidate(f"series {i}", str(each.dtype), tuple(shape), each, lambda: stated))
    chosen = choose(path, found, None, kind="series", mask=mask)
    _require_one_stack(path.name, file.pages[0].description[:_DESCRIPTION])
    _require_lossless(path.name, chosen.handle.keyframe)
    z, y, x = chosen.shape
    return TiffStack(path, file, chosen.handle, (int(z), int(y), int(x)), stated)


def _colour(name: str, what: str) -> InputError:
    return InputError.of(
        "wrong_ndim",
        f"{name}: {what}; expected one integer a pixel. Where the colours are ids, as VAST and webKnossos write them, "
        "id = R*65536 + G*256 + B in uint32; a picture for the eye holds no ids",
    )


def _require_one_stack(name: str, description: str) -> None:
    """Raise InputError where OME-TIFF states more than z, y and x: its pages are not all sections of one volume."""
    pixels = re.search(r"<(?:\w+:)?Pixels\b[^>]*", description)
    stated = {axis: re.search(rf'\bSize{axis}="0*(\d{{1,9}})"', pixels[0]) for axis in "CTZ"} if pixels else {}
    n = {axis: int(size[1]) for axis, size in stated.items() if size}
    if sum(size > 1 for size in n.values()) > 1:
        sizes = ", ".join(f"Size{axis}={size}" for axis, size in n.items())
        raise InputError.of(
            "wrong_ndim",
            f"{name}: its OME metadata state {sizes}, so its pages are not the sections of one volume; write one label "
            "volume (z, y, x)",
        )


def _compression(page: Any) -> str:
    compression = page.compression
    return "none" if compression == 1 else str(getattr(compression, "name", compression)).lower()


def _require_lossless(name: str, page: Any) -> None:
    compression = _compression(page)
    if any(word in compression.upper() for word in _LOSSY):
        raise InputError.of(
            "lossy",
            f"{name}: its compression is {compression}, which is for pictures and may change ids; write it with "
            "deflate, lzw, zstd or no compression",
        )


def _stated(file: Any) -> Stated:
    """What ImageJ or OME-TIFF state; without them the resolution tags of a stack have no certain meaning."""
    metadata = file.imagej_metadata or {}
    if "unit" in metadata:
        return _stated_by_imagej(file, metadata)
    description = file.pages[0].description
    return _stated_by_ome_tiff(description[:_DESCRIPTION]) if "PhysicalSizeX" in description else Stated()


def _stated_by_imagej(file: Any, metadata: dict[str, Any]) -> Stated:
    nm = nm_per_unit(metadata["unit"])
    if nm is None:
        if str(metadata["unit"]).lower() in ("", "pixel", "pixels", "voxel", "voxels"):
            return Stated()
        return Stated(notes=(f"states the unit {metadata['unit']!r}, which is not understood: expected nm or um",))
    try:
        tags = file.pages[0].tags
        y, x = (tags[name].value[1] / tags[name].value[0] for name in ("YResolution", "XResolution"))
        size = (float(metadata["spacing"]) * nm, y * nm, x * nm)
    except (KeyError, TypeError, ValueError, ZeroDivisionError, IndexError):
        return Stated()
    return Stated(size if min(size) > 0 and math.isfinite(sum(size)) else None)


def _stated_by_ome_tiff(description: str) -> Stated:
    sizes = []
    for axis in "ZYX":
        size = re.search(rf'\bPhysicalSize{axis}="([^"]{{1,40}})"', description)
        unit = re.search(rf'\bPhysicalSize{axis}Unit="([^"]{{1,40}})"', description)
        nm = nm_per_unit(unit.group(1)) if unit else 1e3  # by its schema um
        if not size:
            return Stated()
        try:
            sizes.append(float(size.group(1)) * nm if nm else 0.0)
        except ValueError:
            sizes.append(0.0)
        if not 0 < sizes[-1] < math.inf:
            shown = f"{size.group(1)} {unit.group(1) if unit else 'um'}"
            return Stated(notes=(f"states PhysicalSize{axis} {shown}, which is not understood",))
    z, y, x = sizes
    return Stated((z, y, x))


def _require_small_page(name: str, page: Any, stored_bytes: int) -> None:
    """Raise InputError where a page, or one of its tiles, inflates to more than such a file may hold."""
    for what, shape in (("page", (page.imagelength, page.imagewidth)), ("tile or strip", page.chunks)):
        require_small_chunk(name, tuple(int(n) for n in shape), np.dtype(page.dtype).itemsize, stored_bytes, what)


class TiffStack(LabelVolume):
    """A file of many pages; uncompressed ones are read in any number of threads."""

    def __init__(self, path: Path, file: Any, series: Any, shape_zyx: Triple, stated: Stated) -> None:
        super().__init__()
        self.path, self._file, self._series, self.shape_zyx = path, file, series, shape_zyx
        self.dtype = np.dtype(series.dtype).newbyteorder(file.byteorder)
        self._lock = threading.Lock()
        self._offset: int | None = series.dataoffset
        if self._offset is None:
            _require_small_page(path.name, series.keyframe, path.stat().st_size)
            require_true_strips(path, series.pages)
            self.chunk_shape_zyx = (1, shape_zyx[1], shape_zyx[2])
        else:
            n_bytes = min(math.prod(shape_zyx) * self.dtype.itemsize, BEYOND)
            require_inside(path, np.array([self._offset]), np.array([n_bytes]), "stacks of pages")
            self.chunk_shape_zyx = slab_shape(shape_zyx, self.dtype.itemsize)
        self.info = LabelInfo(
            format="TIFF",
            dataset="pages",
            shape_zyx=shape_zyx,
            dtype=str(self.dtype),
            chunk_shape_zyx=self.chunk_shape_zyx,
            compression=_compression(series.keyframe),
            voxel_size_nm_zyx=stated.voxel_size_nm_zyx,
            warnings=stated.warnings(path.name),
            stored_bytes=path.stat().st_size,
            chunks_total=shape_zyx[0],
        )

    def read_chunk(self, chunk: int) -> Labels:
        z, y, _ = box = self.chunk_box(chunk)
        return guarded(self.path, f"section {z.start}", lambda: self._section(z, y, box))

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


def open_tiff_folder(store: Store, pages: list[str], *, mask: bool = False) -> LabelVolume:
    """Open a folder or archive of single-page TIFF files, in the order of the number that counts them.

    pages : names of the files.
    Raises InputError: too many files, an order that is not certain, a section missing from the numbering, not integer,
    colour, lossy compression.
    """
    _tifffile()
    if len(pages) > MAX_SECTIONS:
        raise store.error("too_many_files", f"more than {MAX_SECTIONS:,} sections; write HDF5 or Zarr")
    return TiffFolder(store, in_order(store.path.name, pages), mask)


class TiffFolder(LabelVolume):
    """A folder or archive with one page in each file; each thread reads one file of an archive into memory."""

    def __init__(self, store: Store, pages: list[str], mask: bool) -> None:
        super().__init__()
        self.path, self._store, self._pages = store.path, store, pages
        self.copies_per_thread = 3 if store.archive else 2  # an archive's file, its page, the labels
        first = self._page(0, None)
        if first.ndim == 3 and first.shape[-1] in (3, 4):
            raise _colour(store.path.name, f"section {pages[0]} is in colour {first.shape}")
        only = Candidate(pages[0], str(first.dtype), (len(pages), *first.shape), None)
        choose(store.path, [only], None, kind="section", mask=mask)
        self.shape_zyx = (len(pages), first.shape[0], first.shape[1])
        self.dtype = first.dtype
        self.chunk_shape_zyx = (1, first.shape[0], first.shape[1])
        self.info = LabelInfo(
            format="TIFF archive" if store.archive else "TIFF folder",
            dataset="sections",
            shape_zyx=self.shape_zyx,
            dtype=str(self.dtype),
            chunk_shape_zyx=self.chunk_shape_zyx,
            compression="by section",
            voxel_size_nm_zyx=None,
            stored_bytes=store.stored_bytes,
            chunks_total=len(pages),
        )

    def _page(self, section: int, wanted: tuple[tuple[int, ...], np.dtype[Any]] | None) -> Labels:
        name = self._pages[section]
        labels = guarded(self._store.path, f"the section {name}", partial(self._decoded, name))
        if wanted is not None and (labels.shape, labels.dtype) != wanted:
            raise self._store.error(
                "damaged_chunk",
                f"section {name} is {labels.dtype} {labels.shape}, the first is {wanted[1]} {wanted[0]}; write all "
                "alike",
            )
        return labels

    def _decoded(self, name: str) -> Labels:
        held = io.BytesIO(self._store.read_bytes(name, MAX_CHUNK_BYTES)) if self._store.archive else None
        label = f"{self._store.path.name}: {name}"
        with _open(held or self._store.path / name, label) as file:
            page = file.pages[0]
            if len(file.pages) > 1 and not file.pages[1].is_reduced:
                raise InputError.of(
                    "several_pages",
                    f"{label} has {len(file.pages):,} pages; expected one section a file. A file of many pages is "
                    "read by itself: give it alone, not zipped and not its folder",
                )
            _require_lossless(label, page)
            _require_small_page(label, page, self._store.file_bytes)
            return np.ascontiguousarray(page.asarray())

    def read_chunk(self, chunk: int) -> Labels:
        return self._page(chunk, (self.shape_zyx[1:], self.dtype))[None]

    def close(self) -> None:
        self._store.close()
