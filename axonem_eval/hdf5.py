"""Open the one label dataset of an HDF5 file; ``hdf5_volume.py`` reads it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  registers blosc, zstd, lz4 and others with HDF5
import numpy as np

from axonem_eval.errors import Complaint, InputError
from axonem_eval.hdf5_filters import FilterPipeline
from axonem_eval.hdf5_index import StoredChunks
from axonem_eval.hdf5_slabs import Hdf5Slabs, streamable
from axonem_eval.hdf5_volume import Hdf5Chunks, Hdf5Volume, first_line
from axonem_eval.spec import FloatTriple, format_triple
from axonem_eval.volume import MAX_CHUNK_BYTES

PREFERRED = ("main", "volumes/labels/neuron_ids")
MAX_OBJECTS = 10_000
# A chunk above this is read in slabs.
WHOLE_CHUNK_BYTES = 64 << 20


@dataclass(frozen=True)
class _Candidate:
    name: str
    dataset: h5py.Dataset


def open_hdf5(path: Path, dataset: str | None = None) -> Hdf5Volume:
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
            f"{path.name}: HDF5 cannot open it ({first_line(error)}); its {size:,} bytes on disk are fewer than its "
            "header declares or its header is damaged. The copy or upload broke off: compare sha256sum and send it "
            "again",
        ) from None
    try:
        chosen = _choose(path, file, dataset)
        return _reader(path, file, chosen, _voxel_size(chosen))
    except BaseException:
        file.close()
        raise


def _first_bytes(path: Path) -> str:
    with open(path, "rb") as file:
        return repr(file.read(8))


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


def _reader(path: Path, file: h5py.File, dataset: h5py.Dataset, voxel_size: FloatTriple | None) -> Hdf5Volume:
    """The fitting reader for a three-dimensional integer dataset.

    Raises InputError for data in other files, chunks that lie beyond the end of the file or are too large.
    """
    if dataset.is_virtual or dataset.external:
        raise InputError.of(
            "external_storage",
            f"{path.name}: dataset {dataset.name!r} keeps its data in other files (virtual or external "
            "storage), which are never read. Write the labels into this file",
        )
    pipeline = FilterPipeline.of(dataset)
    chunk_bytes = int(np.prod(dataset.chunks or (0,), dtype=np.int64)) * dataset.dtype.itemsize
    ours = min(dataset.shape) > 0 and pipeline.known and _plain_integers(dataset)
    if chunk_bytes > MAX_CHUNK_BYTES and not (ours and streamable(pipeline)):
        raise InputError.of(
            "huge_chunk",
            f"{path.name}: one chunk is {format_triple(dataset.chunks)} voxels, {chunk_bytes / 2**30:.1f} GiB, with "
            f"filters {pipeline.names}; expected at most {MAX_CHUNK_BYTES >> 30} GiB. Rewrite it with "
            "`h5repack -l CHUNK=64x64x64 -f GZIP=4 IN OUT`",
        )
    stored = StoredChunks.of(path, file, dataset) if ours else None
    if stored is None:
        return Hdf5Volume(path, file, dataset, pipeline, voxel_size)
    if dataset.chunks and chunk_bytes <= WHOLE_CHUNK_BYTES:
        return Hdf5Chunks(path, file, dataset, pipeline, voxel_size, stored)
    return Hdf5Slabs(path, file, dataset, pipeline, voxel_size, stored)


def _plain_integers(dataset: h5py.Dataset) -> bool:
    """Whether the bytes in the file are whole integers of numpy's kind, without padding bits."""
    kind = dataset.id.get_type()
    if not isinstance(kind, h5py.h5t.TypeIntegerID):
        return False
    return bool(kind.get_size() == dataset.dtype.itemsize and kind.get_precision() == 8 * kind.get_size())
