"""Which chunks of an array have a file in its folder or archive, found by the names alone.

Nothing is decoded here; `tensorstore_volume.py` does that. Zarr and precomputed volumes read a chunk without a file as
background, whether it was left out on purpose or lost.
"""

import math
import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.spec import Triple
from axonem_eval.volumes.bounds import require_few_chunks
from axonem_eval.volumes.precomputed_shards import chunks_with_shard
from axonem_eval.volumes.store import Store
from axonem_eval.volumes.zarr_metadata import ZarrArray, ZarrStorage

_PRECOMPUTED = re.compile(r"(-?\d{1,18})--?\d+_(-?\d{1,18})--?\d+_(-?\d{1,18})--?\d+")
# Beyond 18 digits no chunk is meant, and int() would take long.
_INDEX = r"(0|[1-9]\d{0,17})"


@dataclass(frozen=True)
class ChunkFiles:
    """The files that store the chunks of an array; a shard is one file.

    shape_zyx : voxels that one file covers.
    present : (z, y, x) bool, whether each file exists; None where names do not show it.
    looked_for : name of the first file by the metadata.   kind : "chunks" or "shards".
    others : if no such file exists, some files that lie there instead and what to do about them.
    """

    shape_zyx: Triple
    present: NDArray[np.bool_] | None
    looked_for: str
    others: str = ""
    kind: str = "chunks"

    def require_some(self, store: Store) -> None:
        """Raise InputError where no chunk has a file: all would read as background, whatever was meant."""
        if self.present is not None and self.present.size and not self.present.any():
            raise store.error(
                "no_chunks",
                f"none of its {self.kind} has a file: the metadata lead to {self.looked_for}, "
                + (self.others or "and no other file lies there. Write the labels, and copy all files"),
            )

    def total(self, shape_zyx: Triple) -> int:
        """Number of files of a complete volume of that shape."""
        return math.prod(-(-n // c) for n, c in zip(shape_zyx, self.shape_zyx, strict=True))

    def of_grid(self, chunk_zyx: Triple, grid_zyx: Triple) -> NDArray[np.bool_] | None:
        """(n_chunks,) whether a file exists for each chunk of that shape; None where names do not show it."""
        if self.present is None:
            return None
        present = self.present
        for axis, (chunk, n, size) in enumerate(zip(chunk_zyx, grid_zyx, self.shape_zyx, strict=True)):
            first = np.arange(n) * chunk // size
            present = np.logical_or.reduceat(present, first, axis) if chunk > size else present.take(first, axis)
        return present.ravel()


def zarr_chunk_files(
    store: Store, folder: str, array: ZarrArray, storage: ZarrStorage, axes: Sequence[int]
) -> ChunkFiles:
    """The chunk files of a Zarr array of which three axes count, and the others have length 1."""
    extent = tuple(array.shape[i] for i in axes)
    covered = cut_to_volume([storage.file_shape[i] for i in axes], extent)
    names = list(store.names_below(folder))
    places = _zarr_places(names, storage.prefix, storage.separator, len(array.shape))
    first = [p for p in places if not any(n for i, n in enumerate(p) if i not in axes)]
    present = _marked(store, [[p[i] for i in axes] for p in first], covered, extent)
    return ChunkFiles(
        covered,
        present,
        storage.prefix + storage.separator.join("0" * len(array.shape)),
        "" if places else _zarr_others(names, array, storage),
        "shards" if storage.sharded else "chunks",
    )


def _zarr_places(names: Iterable[str], before: str, separator: str, n_axes: int) -> list[list[int]]:
    pattern = re.compile(re.escape(before) + re.escape(separator).join([_INDEX] * n_axes))
    return [[int(n) for n in match.groups()] for match in map(pattern.fullmatch, names) if match]


def _zarr_others(names: list[str], array: ZarrArray, storage: ZarrStorage) -> str:
    """What lies there instead, and how to change the metadata so that they name it."""
    if not names:
        return ""
    n_axes, version = len(array.shape), array.version
    for prefix, other in (("", "/"), ("", "."), ("c/", "/"), ("c.", ".")):
        if (prefix, other) == (storage.prefix, storage.separator) or not _zarr_places(names, prefix, other, n_axes):
            continue
        if version == 2 and prefix:
            remedy = "the names are those of Zarr v3: write the array again, or rename them"
        elif version == 2:
            remedy = f'add "dimension_separator": "{other}" to .zarray'
        else:
            encoding = f'{{"name": "{"default" if prefix else "v2"}", "configuration": {{"separator": "{other}"}}}}'
            remedy = f'write "chunk_key_encoding": {encoding} in zarr.json'
        return f"and there lies {prefix}{other.join('0' * n_axes)} or its like: {remedy}"
    return f"and there lies {_some(names)}. Write the array again, or rename the files"


def _some(names: Iterable[str]) -> str:
    return ", ".join(islice(names, 3))


@dataclass(frozen=True)
class PrecomputedGrid:
    """Where the chunks of one scale lie, in the order x, y, z of its info file.

    key : the folder of its files.   sharding : as in the info file; empty where each chunk has a file of its own.
    """

    key: str
    shape_xyz: tuple[int, ...]
    chunk_xyz: tuple[int, ...]
    offset_xyz: tuple[int, ...]
    sharding: dict[str, Any]


def precomputed_chunk_files(
    store: Store, folder: str, grid: PrecomputedGrid, other_keys: Container[str] = ()
) -> ChunkFiles:
    """The chunk files of one scale of a precomputed volume that tensorstore has opened; a chunk's file may be a shard.

    other_keys : keys of its other scales.
    """
    shape = grid.shape_xyz[::-1]
    names = list(store.names_below(folder))
    inside = f"{grid.key}/"
    chunk, offset = cut_to_volume(grid.chunk_xyz[::-1], shape), grid.offset_xyz
    if grid.sharding:
        require_few_chunks(store.path.name, shape, chunk, store.file_bytes)
        n_chunks_xyz = [-(-n // c) for n, c in zip(grid.shape_xyz, chunk[::-1], strict=True)]
        present, first = chunks_with_shard(n_chunks_xyz, grid.sharding, names)
        others = "" if present.any() else _precomputed_others(store, names, inside, other_keys)
        return ChunkFiles(chunk, present, inside + first, others)
    places = []
    for name in names:
        match = _PRECOMPUTED.fullmatch(name)
        place = (
            [(int(n) - o) // c for n, o, c in zip(match.groups(), offset, chunk[::-1], strict=True)] if match else []
        )
        if place and name == _precomputed_name(place, chunk[::-1], shape[::-1], offset):
            places.append(place[::-1])
    return ChunkFiles(
        chunk,
        _marked(store, places, chunk, shape),
        inside + _precomputed_name([0, 0, 0], chunk[::-1], shape[::-1], offset),
        "" if places else _precomputed_others(store, names, inside, other_keys),
    )


def _precomputed_name(place: list[int], chunk: tuple[int, ...], shape: tuple[int, ...], offset: tuple[int, ...]) -> str:
    """The name of a chunk's file; all in the order x, y, z."""
    axes = zip(place, chunk, shape, offset, strict=True)
    return "_".join(f"{p * c + o}-{min((p + 1) * c, n) + o}" for p, c, n, o in axes)


def _precomputed_others(store: Store, names: list[str], inside: str, other_keys: Container[str]) -> str:
    if names:
        return (
            f"and there lies {inside}{_some(names)}. Correct size, chunk_sizes and voxel_offset in the info file, or "
            "write the volume again"
        )
    for other, files in store.others.items():
        found = next((n for n in files if _PRECOMPUTED.fullmatch(n) or n.endswith(".shard")), None)
        if found:
            key = other.rpartition("/")[2]
            if key in other_keys:
                return (
                    f"and there lies {key}/{found}, which is of another scale. Only the first scale is read: remove "
                    "the scales before it from the info file"
                )
            return f'and there lies {key}/{found}: write "key": "{key}" in the info file, or rename that folder'
    return ""


def _marked(store: Store, places: list[list[int]], chunk: Triple, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    require_few_chunks(store.path.name, _triple(shape), chunk, store.file_bytes)
    grid = [-(-n // c) for n, c in zip(shape, chunk, strict=True)]
    present = np.zeros(grid, np.bool_)
    if places:
        where = np.array(places, np.int64)
        where = where[((where >= 0) & (where < grid)).all(axis=1)]
        present[tuple(where.T)] = True
    return present


def cut_to_volume(chunk: Any, shape: tuple[int, ...]) -> Triple:
    """A chunk shape, no larger than the volume; None or 0 stands for the whole axis."""
    return _triple([max(1, min(int(c or n), int(n))) for c, n in zip(chunk, shape, strict=True)])


def _triple(values: Any) -> Triple:
    z, y, x = values
    return int(z), int(y), int(x)
