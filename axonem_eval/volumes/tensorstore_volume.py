"""Chunked volumes that tensorstore reads: Zarr and Neuroglancer precomputed. `StoreVolume.read_chunk` decodes a chunk.

Measured on Zarr v2, v3 and sharded v3 of 64-cubed chunks, two threads: tensorstore takes 0.5 ms of CPU time a chunk,
zarr-python 1.5 to 2.4 ms (benchmarks/README.md).
"""

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.processes import usable_cores
from axonem_eval.spec import Triple
from axonem_eval.volumes.bounds import require_few_chunks, require_small_chunk
from axonem_eval.volumes.checksums import Checksums
from axonem_eval.volumes.damage import first_damage
from axonem_eval.volumes.label_info import LabelInfo, missing_chunks
from axonem_eval.volumes.label_volume import MAX_CHUNK_BYTES, Labels, LabelVolume
from axonem_eval.volumes.select_array import Candidate
from axonem_eval.volumes.store import Store
from axonem_eval.volumes.store_chunks import ChunkFiles, cut_to_volume

# Smaller chunks are read several at a time: a request costs as much as decoding 100 kB.
_READ_BYTES = 1 << 20
_CHUNKS_A_READ = 4096  # each costs some 5 kB while it is read, whatever its size
_SHARD_INDEX_BYTES = 32 << 20


def tensorstore_module() -> Any:
    """The tensorstore package. Raises InputError where it is not installed."""
    try:
        import tensorstore
    except ImportError:
        raise missing_extra("Zarr and precomputed volumes", "tensorstore") from None
    return tensorstore


def missing_extra(what: str, package: str) -> InputError:
    """The complaint about a format whose reader is not installed."""
    return InputError.of(
        "missing_extra",
        f"{what} are read by the package {package}, which is not installed here: "
        "pip install 'axonem[formats]', or convert the labels to HDF5",
    )


def open_store(
    store: Store, folder: str, spec: dict[str, Any], *, sharded: bool, metadata: dict[str, Any] | None = None
) -> Any:
    """Open an array in a folder of the store with tensorstore.

    metadata : used in place of those in the store.
    Raises InputError with tensorstore's reason.
    """
    ts = tensorstore_module()
    cores = usable_cores()
    context = ts.Context(
        {
            # Chunks are read once, so only the index that all chunks of a shard share is kept.
            "cache_pool": {"total_bytes_limit": _SHARD_INDEX_BYTES if sharded else 0},
            "data_copy_concurrency": {"limit": cores},
            "file_io_concurrency": {"limit": cores},
        }
    )
    instead: dict[str, Any] = {} if metadata is None else {"metadata": metadata, "recheck_cached_metadata": False}
    try:
        array = ts.open(
            {**spec, **instead, "kvstore": store.kvstore(folder)},
            open=True,
            read=True,
            assume_metadata=bool(instead),
            context=context,
        ).result()
    except MemoryError:
        raise
    except Exception as error:
        raise store.error("unreadable", f"{folder or 'the array'} cannot be opened: {reason(error, store)}") from None
    # A chunk is decoded whole, also where it reaches far beyond the volume.
    require_small_chunk(
        store.path.name,
        tuple(map(int, array.chunk_layout.read_chunk.shape)),
        array.dtype.numpy_dtype.itemsize,
        store.file_bytes,
    )
    return array


def reason(error: BaseException, store: Store) -> str:
    """tensorstore's message without our paths and without places in its source."""
    text = str(error).split(" [")[0].replace(f"{store.path.absolute()}/", "").replace(str(store.path.absolute()), "")
    return re.sub(r"\s+", " ", text)[:300]


class StoreVolume(LabelVolume):
    """A three-dimensional tensorstore with its origin at 0, axes z,y,x."""

    copies_per_thread = 4

    def __init__(
        self,
        store: Store,
        array: Any,
        chosen: Candidate,
        files: ChunkFiles,
        *,
        form: str,
        compression: str,
        fill_value: int = 0,
    ) -> None:
        super().__init__()
        stated = chosen.stated()
        self.path, self._store, self._array, self._files = store.path, store, array, files
        self._checksums = Checksums(store)
        self.fill_value = fill_value
        z, y, x = (int(n) for n in array.shape)
        self.shape_zyx = (z, y, x)
        self.dtype = np.dtype(array.dtype.numpy_dtype)
        layout = array.chunk_layout
        stored = cut_to_volume(layout.read_chunk.shape, self.shape_zyx)
        self._shard_zyx = cut_to_volume(layout.write_chunk.shape, self.shape_zyx)
        self.chunk_shape_zyx = _enlarged(stored, self._shard_zyx, self.shape_zyx, self.dtype.itemsize)
        require_few_chunks(self.path.name, self.shape_zyx, self.chunk_shape_zyx, store.file_bytes)
        total = files.total(self.shape_zyx)
        there = None if files.present is None else int(np.count_nonzero(files.present))
        self.info = LabelInfo(
            format=form,
            dataset=chosen.name,
            shape_zyx=self.shape_zyx,
            dtype=chosen.dtype,
            chunk_shape_zyx=stored,
            compression=compression,
            voxel_size_nm_zyx=stated.voxel_size_nm_zyx,
            stored_bytes=store.stored_bytes,
            chunks_total=total,
            chunks_stored=there,
            offset=stated.offset,
            offset_nm_zyx=stated.offset_nm_zyx,
            warnings=(
                *stated.warnings(self.path.name),
                *missing_chunks(self.path.name, there, total, f"{files.kind} have no file", fill_value),
            ),
        )

    def stored_chunks(self) -> NDArray[np.bool_] | None:
        return self._files.of_grid(self.chunk_shape_zyx, self.grid_zyx)

    def storage_rank(self) -> NDArray[np.int64]:
        """Chunks shard by shard, in the grid's order within each."""
        place = np.unravel_index(np.arange(self.n_chunks), self.grid_zyx)
        shards = zip(place, self.chunk_shape_zyx, self._shard_zyx, strict=True)
        keys = [p * c // s for p, c, s in shards]
        rank = np.empty(self.n_chunks, np.int64)
        rank[np.lexsort((*place[::-1], *keys[::-1]))] = np.arange(self.n_chunks)
        return rank

    def read_chunk(self, chunk: int) -> Labels:
        return self._read(self.chunk_box(chunk))

    def read(self, box: tuple[slice, slice, slice]) -> Labels:
        return self._read(box)

    def _read(self, box: tuple[slice, slice, slice]) -> Labels:
        self._checksums.require_true()
        try:
            return self._decoded(box)
        except MemoryError:
            raise
        except Exception as error:
            raise self._damaged(box, error) from None

    def _decoded(self, box: tuple[slice, slice, slice]) -> Labels:
        return np.asarray(self._array[box].read(order="C").result())

    def _damaged(self, box: tuple[slice, slice, slice], error: Exception) -> InputError:
        found = first_damage(self._decoded, box, self.info.chunk_shape_zyx, self.shape_zyx)
        first, error = found or (tuple(s.start or 0 for s in box), error)
        why = reason(error, self._store)
        remedy = "The file is damaged: write it again and compare checksums after copying"
        if self.info.format == "Neuroglancer precomputed" and self._packed_by_a_server(why):
            remedy = "It is packed with gzip, as a web server keeps it: unpack all chunk files, `gunzip <FILE >NEW`"
        return self._store.error(
            "damaged_chunk", f"the chunk at voxel {first} ({self.axis_order}) cannot be decoded ({why}). {remedy}"
        )

    def _packed_by_a_server(self, why: str) -> bool:
        """Whether the file that an error names is packed with gzip, which its name does not say."""
        named = re.search(r'file "([^"]+)"', why)
        try:
            return named is not None and self._store.read_bytes(named[1], MAX_CHUNK_BYTES).startswith(b"\x1f\x8b")
        except (InputError, OSError):
            return False

    def close(self) -> None:
        self._array = None
        self._store.close()


def _enlarged(chunk: Triple, shard: Triple, shape_zyx: Triple, itemsize: int) -> Triple:
    """The chunk shape, doubled along its axes until a read is large enough, within one shard where there are shards."""
    size = list(chunk)
    most = min(_READ_BYTES, math.prod(chunk) * itemsize * _CHUNKS_A_READ)
    limit = shard if shard != chunk else shape_zyx
    for axis in (2, 1, 0):
        while 2 * math.prod(size) * itemsize <= most and 2 * size[axis] <= limit[axis]:
            if shard != chunk and shard[axis] % (2 * size[axis]):
                break
            size[axis] *= 2
    return (size[0], size[1], size[2])
