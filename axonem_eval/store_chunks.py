"""Which chunks of an array have a file in its folder or archive, told from the names alone.

Zarr and precomputed volumes read a chunk without a file as background, whether it was left out on purpose or lost.
"""

import math
import re
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.spec import Triple
from axonem_eval.stores import Store
from axonem_eval.volume import demand_bearable_grid

_PRECOMPUTED = re.compile(r"(-?\d+)--?\d+_(-?\d+)--?\d+_(-?\d+)--?\d+")


@dataclass(frozen=True)
class ChunkFiles:
    """The files that the chunks of an array may lie in; a shard counts as one.

    shape_zyx : voxels that one file covers.   present : (z, y, x) bool, which there are; None where names do not tell.
    looked_for : the name of the first.   others : some of the files that lie there but are none of these.
    kind : "chunks" or "shards".
    """

    shape_zyx: Triple
    present: NDArray[np.bool_] | None
    looked_for: str
    others: tuple[str, ...]
    kind: str = "chunks"

    def total(self, shape_zyx: Triple) -> int:
        """How many files a volume of that shape has where none is missing."""
        return math.prod(-(-n // c) for n, c in zip(shape_zyx, self.shape_zyx, strict=True))

    def of_grid(self, chunk_zyx: Triple, grid_zyx: Triple) -> NDArray[np.bool_] | None:
        """(n_chunks,) whether any file has data for the chunk of that shape; None where names do not tell."""
        if self.present is None:
            return None
        present = self.present
        for axis, (chunk, n, size) in enumerate(zip(chunk_zyx, grid_zyx, self.shape_zyx, strict=True)):
            first = np.arange(n) * chunk // size
            present = np.logical_or.reduceat(present, first, axis) if chunk > size else present.take(first, axis)
        return present.ravel()


def zarr_chunk_files(store: Store, folder: str, metadata: dict[str, Any], sharded: bool) -> ChunkFiles:
    """The chunk files of a Zarr array of three dimensions, after leading ones of length 1."""
    shape, chunk, before, separator = _zarr_keys(metadata)
    names = store.names_below(folder)
    pattern = re.compile(re.escape(before) + re.escape(separator).join([r"(\d+)"] * len(shape)))
    last = _within(chunk[-3:], shape[-3:])
    places: list[list[int]] = []
    others: list[str] = []
    for name in names:
        match = pattern.fullmatch(name)
        if match:
            places.append([int(n) for n in match.groups()])
        elif len(others) < 3:
            others.append(name)
    present = _marked(store, [p[-3:] for p in places if not any(p[:-3])], last, shape[-3:])
    looked_for = before + separator.join("0" * len(shape))
    return ChunkFiles(last, present, looked_for, tuple(others), "shards" if sharded else "chunks")


def _zarr_keys(metadata: dict[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...], str, str]:
    """Shape, what one file covers, what its name begins with, and what stands between the numbers."""
    shape = tuple(metadata["shape"])
    if metadata.get("zarr_format") != 3:
        return shape, tuple(metadata["chunks"]), "", str(metadata.get("dimension_separator") or ".")
    chunk = tuple(metadata["chunk_grid"]["configuration"]["chunk_shape"])
    encoding = metadata.get("chunk_key_encoding") or {}
    name = encoding.get("name", "default") if isinstance(encoding, dict) else str(encoding)
    configuration = (encoding.get("configuration") if isinstance(encoding, dict) else None) or {}
    separator = str(configuration.get("separator") or ("." if name == "v2" else "/"))
    return shape, chunk, "" if name == "v2" else f"c{separator}", separator


def precomputed_chunk_files(store: Store, folder: str, scale: dict[str, Any]) -> ChunkFiles:
    """The chunk files of one scale of a precomputed volume; of shards only whether there is none."""
    shape = tuple(scale["size"][::-1])
    if scale.get("sharding"):
        names = store.names_below(folder)
        shards = sum(name.endswith(".shard") for name in names)
        present = None if shards else np.zeros((1, 1, 1), np.bool_)
        return ChunkFiles(_triple(shape), present, "a file NUMBER.shard", tuple(islice(names, 3)), "shards")
    chunk = _within(scale["chunk_sizes"][0][::-1], shape)
    offset = list(scale.get("voxel_offset") or (0, 0, 0))
    places: list[list[int]] = []
    others: list[str] = []
    for name in store.names_below(folder):
        match = _PRECOMPUTED.fullmatch(name)
        first = [int(n) - o for n, o in zip(match.groups(), offset, strict=True)] if match else []
        if first and all(n % c == 0 for n, c in zip(first, chunk[::-1], strict=True)):
            places.append([n // c for n, c in zip(first[::-1], chunk, strict=True)])
        elif len(others) < 3:
            others.append(name)
    ends = [min(o + c, o + n) for o, c, n in zip(offset, chunk[::-1], shape[::-1], strict=True)]
    looked_for = "_".join(f"{o}-{e}" for o, e in zip(offset, ends, strict=True))
    return ChunkFiles(chunk, _marked(store, places, chunk, shape), looked_for, tuple(others))


def _marked(store: Store, places: list[list[int]], chunk: Triple, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    demand_bearable_grid(store.path.name, _triple(shape), chunk)
    grid = [-(-n // c) for n, c in zip(shape, chunk, strict=True)]
    present = np.zeros(grid, np.bool_)
    if places:
        # Numbers beyond int64 lie outside the grid all the more.
        where = np.array([[min(n, 1 << 62) for n in place] for place in places], np.int64)
        where = where[((where >= 0) & (where < grid)).all(axis=1)]
        present[tuple(where.T)] = True
    return present


def _within(chunk: Any, shape: tuple[int, ...]) -> Triple:
    """What a file covers, where it is more than the volume the volume."""
    return _triple([max(1, min(int(c), int(n))) for c, n in zip(chunk, shape, strict=True)])


def _triple(values: Any) -> Triple:
    z, y, x = values
    return int(z), int(y), int(x)
