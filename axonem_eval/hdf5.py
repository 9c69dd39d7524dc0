"""Label volumes in HDF5.

Chunks are read by their place in the file (`os.pread`) and inflated outside the HDF5 library, which holds one
lock for the whole process; filters that we do not decode ourselves go through h5py, one thread at a time.
"""

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import deflate
import h5py
import hdf5plugin  # noqa: F401  registers blosc, zstd, lz4 and others with HDF5
import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import Complaint, InputError
from axonem_eval.spec import FloatTriple, format_triple
from axonem_eval.volume import MAX_CHUNK_BYTES, LabelInfo, Labels, LabelVolume, slab_shape

PREFERRED = ("main", "volumes/labels/neuron_ids")
MAX_OBJECTS = 10_000

_SHUFFLE, _DEFLATE, _FLETCHER32 = 2, 1, 3
_FILTER_NAMES = {_DEFLATE: "gzip", _SHUFFLE: "shuffle", _FLETCHER32: "fletcher32", 32000: "lzf"}


@dataclass(frozen=True)
class _Candidate:
    name: str
    dataset: h5py.Dataset


def open_hdf5(path: Path, dataset: str | None = None) -> "Hdf5Volume":
    """Open the one label dataset of an HDF5 file, or the named one.

    Raises InputError: not HDF5, truncated, no or several candidates, links that leave the file, not integer,
    not three-dimensional.
    """
    if not h5py.is_hdf5(path):
        raise InputError.of(
            "not_hdf5",
            f"{path.name}: not an HDF5 file (it begins with {_first_bytes(path)}). Expected HDF5 with one integer "
            "dataset (z, y, x); write it with h5py, e.g. f.create_dataset('main', data=labels, chunks=(64, 64, 64), "
            "compression='gzip')",
        )
    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        size = path.stat().st_size
        raise InputError.of(
            "truncated",
            f"{path.name}: HDF5 cannot open it ({_first_line(error)}); its {size:,} bytes on disk are fewer than its "
            "header declares or its header is damaged. The copy or upload broke off: compare sha256sum and send it "
            "again",
        ) from None
    try:
        return Hdf5Volume(path, file, _choose(path, file, dataset))
    except BaseException:
        file.close()
        raise


def _first_bytes(path: Path) -> str:
    with open(path, "rb") as file:
        return repr(file.read(8))


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _walk(path: Path, group: h5py.Group, prefix: str = "") -> Iterator[_Candidate]:
    """Datasets below a group, following neither soft nor external links. Raises InputError for the latter."""
    pending, seen = [(group, prefix)], set()
    visited = 0
    while pending:
        current, base = pending.pop()
        address = h5py.h5o.get_info(current.id).addr
        if address in seen:
            continue
        seen.add(address)
        for key in current:
            visited += 1
            if visited > MAX_OBJECTS:
                raise InputError.of(
                    "too_many_objects",
                    f"{path.name}: more than {MAX_OBJECTS:,} objects in the file; expected one label dataset",
                )
            name = f"{base}{key}"
            link = current.get(key, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise InputError.of(
                    "external_link",
                    f"{path.name}: {name!r} is a link into another file; such links are never followed. Copy the data "
                    "into this file (in h5py: g.copy(f['name'], 'main', expand_external=True)) and remove the link",
                )
            if isinstance(link, h5py.SoftLink):
                continue
            item = current.get(key)
            if isinstance(item, h5py.Group):
                pending.append((item, f"{name}/"))
            elif isinstance(item, h5py.Dataset):
                yield _Candidate(name, item)


def _choose(path: Path, file: h5py.File, wanted: str | None) -> h5py.Dataset:
    found = sorted(_walk(path, file), key=lambda c: c.name)
    if wanted is not None:
        for candidate in found:
            if candidate.name == wanted.strip("/"):
                _demand_integer_volume(path, candidate)
                return candidate.dataset
        raise InputError.of(
            "no_dataset",
            f"{path.name}: no dataset {wanted!r}; the file has {_listing(found) or 'no dataset at all'}",
        )
    volumes = [c for c in found if c.dataset.dtype.kind in "iu" and c.dataset.ndim == 3]
    by_name = {c.name: c for c in volumes}
    for name in PREFERRED:
        if name in by_name:
            return by_name[name].dataset
    if len(volumes) == 1:
        return volumes[0].dataset
    if not found:
        raise InputError.of(
            "no_dataset",
            f"{path.name}: the file has no dataset; expected one integer dataset (z, y, x), best named 'main'",
        )
    if not volumes:
        for candidate in found:
            if len(found) == 1 or candidate.name in PREFERRED or candidate.dataset.ndim == 3:
                _demand_integer_volume(path, candidate)
        raise InputError.of(
            "no_dataset",
            f"{path.name}: none of its datasets is an integer volume (z, y, x); it has {_listing(found)}",
        )
    raise InputError.of(
        "ambiguous_dataset",
        f"{path.name}: {len(volumes)} datasets could be the labels: {_listing(volumes)}. Name the right one 'main', "
        "or leave only one in the file (`axonem-eval` also takes FILE.h5:DATASET)",
    )


def _listing(candidates: list[_Candidate], most: int = 6) -> str:
    shown = [f"{c.name!r} {c.dataset.dtype} {c.dataset.shape}" for c in candidates[:most]]
    more = len(candidates) - most
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _demand_integer_volume(path: Path, candidate: _Candidate) -> None:
    dataset, name = candidate.dataset, candidate.name
    complaints = []
    if dataset.dtype.kind not in "iu":
        complaints.append(
            Complaint(
                "wrong_dtype",
                f"{path.name}: dataset {name!r} has dtype {dataset.dtype}, expected an integer one. Labels are ids: "
                "save them as uint32 or uint64, e.g. labels.astype(np.uint64), not as probabilities or floats",
            )
        )
    if dataset.ndim != 3:
        complaints.append(
            Complaint(
                "wrong_ndim",
                f"{path.name}: dataset {name!r} has {dataset.ndim} dimensions {dataset.shape}, expected 3 (z, y, x); "
                "drop channel or batch axes, e.g. np.squeeze",
            )
        )
    if complaints:
        raise InputError(complaints)


def _voxel_size(dataset: h5py.Dataset) -> FloatTriple | None:
    """Voxel size (z, y, x) in nm where the file states one, under the names in use."""
    for owner in (dataset, dataset.parent, dataset.file):
        for name, factor in (
            ("voxel_size_nm", 1.0),
            ("resolution", 1.0),
            ("voxel_size", 1.0),
            ("element_size_um", 1e3),
        ):
            if name not in owner.attrs:
                continue
            value = np.asarray(owner.attrs[name])
            if value.shape == (3,) and value.dtype.kind in "iuf" and (value > 0).all():
                z, y, x = (float(v) * factor for v in value)
                return (z, y, x)
    return None


class Hdf5Volume(LabelVolume):
    """A 3-D integer dataset of an open HDF5 file."""

    def __init__(self, path: Path, file: h5py.File, dataset: h5py.Dataset) -> None:
        self.path = path
        self._file = file
        self._dataset = dataset
        self._lock = threading.Lock()
        z, y, x = dataset.shape
        self.shape_zyx = (int(z), int(y), int(x))
        self.dtype = dataset.dtype
        self._refuse_foreign_storage()
        self._filters = self._read_filters()
        stored = tuple(int(c) for c in dataset.chunks) if dataset.chunks else ()
        whole = min(self.shape_zyx) > 0
        self.chunk_shape_zyx = (
            (stored[0], stored[1], stored[2])
            if stored
            else slab_shape(self.shape_zyx, self.dtype.itemsize if whole else 1)
        )
        self._address: NDArray[np.int64] | None = None
        self._size: NDArray[np.int64] | None = None
        self._mask: NDArray[np.int64] | None = None
        self._descriptor = -1
        if stored and whole:
            self._refuse_huge_chunks()
            if self._own_decoding():
                self._index_chunks()
        self.info = LabelInfo(
            format="HDF5",
            dataset=dataset.name.strip("/"),
            shape_zyx=self.shape_zyx,
            dtype=str(self.dtype),
            chunk_shape_zyx=self.chunk_shape_zyx,
            compression=", ".join(_FILTER_NAMES.get(code, f"filter {code}") for code in self._filters)
            or ("none" if stored else "none, contiguous"),
            voxel_size_nm_zyx=_voxel_size(dataset),
            stored_bytes=int(dataset.id.get_storage_size()),
        )

    def _refuse_foreign_storage(self) -> None:
        if self._dataset.is_virtual or self._dataset.external:
            raise InputError.of(
                "external_storage",
                f"{self.path.name}: dataset {self._dataset.name!r} keeps its data in other files (virtual or external "
                "storage), which are never read. Write the labels into this file",
            )

    def _refuse_huge_chunks(self) -> None:
        chunk_bytes = int(np.prod(self.chunk_shape_zyx, dtype=np.int64)) * self.dtype.itemsize
        if chunk_bytes > MAX_CHUNK_BYTES:
            raise InputError.of(
                "huge_chunk",
                f"{self.path.name}: one chunk is {format_triple(self.chunk_shape_zyx)} voxels, "
                f"{chunk_bytes / 2**30:.1f} GiB; expected at most 1 GiB. Rewrite it with "
                "`h5repack -l CHUNK=64x64x64 -f GZIP=4 IN OUT`",
            )

    def _read_filters(self) -> list[int]:
        plist = self._dataset.id.get_create_plist()
        return [int(plist.get_filter(i)[0]) for i in range(plist.get_nfilters())]

    def _own_decoding(self) -> bool:
        # fletcher32 alone has no checksum that we verify (deflate brings adler32), so h5py reads it.
        known = self._filters in ([], [_DEFLATE], [_SHUFFLE, _DEFLATE])
        return known and self._file.userblock_size == 0

    def _index_chunks(self) -> None:
        """Note address and size of each stored chunk; absent ones hold the fill value."""
        n = self.n_chunks
        address, size, mask = (np.full(n, -1, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64))
        grid, chunk = self.grid_zyx, self.chunk_shape_zyx

        def note(stored: h5py.h5d.StoreInfo) -> None:
            z, y, x = (o // c for o, c in zip(stored.chunk_offset, chunk, strict=True))
            flat = (z * grid[1] + y) * grid[2] + x
            if 0 <= flat < n:
                address[flat], size[flat], mask[flat] = stored.byte_offset, stored.size, stored.filter_mask

        self._dataset.id.chunk_iter(note)
        self._address, self._size, self._mask = address, size, mask
        self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        file_bytes = os.fstat(self._descriptor).st_size
        beyond = np.flatnonzero(address + size > file_bytes)
        if beyond.size:
            raise InputError.of(
                "truncated",
                f"{self.path.name}: {beyond.size:,} of {n:,} chunks lie beyond the end of the file ({file_bytes:,} "
                "bytes). The copy or upload broke off: compare sha256sum and send it again",
            )

    def storage_rank(self) -> NDArray[np.int64]:
        return super().storage_rank() if self._address is None else self._address

    def read_chunk(self, chunk: int) -> Labels:
        if self._address is None:
            return self.read(self.chunk_box(chunk))
        assert self._size is not None
        assert self._mask is not None
        if self._address[chunk] < 0:
            return np.full(self.chunk_shape_zyx, self._dataset.fillvalue, self.dtype)
        if self._mask[chunk]:  # some filter was skipped for this chunk
            return self.read(self.chunk_box(chunk))
        raw = os.pread(self._descriptor, int(self._size[chunk]), int(self._address[chunk]))
        wanted = int(np.prod(self.chunk_shape_zyx, dtype=np.int64)) * self.dtype.itemsize
        if self._filters:
            try:
                raw = deflate.zlib_decompress(raw, wanted)
            except (deflate.DeflateError, ValueError, MemoryError) as error:
                raise self._damaged(chunk, str(error)) from None
        if len(raw) != wanted:
            raise self._damaged(chunk, f"{len(raw):,} bytes where {wanted:,} were expected")
        if _SHUFFLE in self._filters:
            planes = np.frombuffer(raw, np.uint8).reshape(self.dtype.itemsize, -1)
            raw = planes.T.tobytes()
        return np.frombuffer(raw, self.dtype).reshape(self.chunk_shape_zyx)

    def _damaged(self, chunk: int, why: str) -> InputError:
        box = self.chunk_box(chunk)
        first = tuple(s.start for s in box)
        return InputError.of(
            "damaged_chunk",
            f"{self.path.name}: the chunk at voxel {first} (z,y,x) cannot be decompressed ({why}). The file is "
            "damaged: check it with `h5dump -d` or h5py, write it again and compare sha256sum after copying",
        )

    def read(self, box: tuple[slice, slice, slice]) -> Labels:
        try:
            with self._lock:
                return np.ascontiguousarray(self._dataset[box])
        except OSError as error:
            first = tuple(s.start for s in box)
            raise InputError.of(
                "damaged_chunk",
                f"{self.path.name}: the data at voxel {first} (z,y,x) cannot be read ({_first_line(error)}). The file "
                "is damaged or uses a filter that is not installed; write it again with gzip compression",
            ) from None

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._file.close()
