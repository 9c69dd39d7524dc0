"""The voxels of every label on disk, as runs along x sorted by label, block by block.

A label's voxels are then read alone, wherever in the volume they lie: what needs a label needs memory for that label
only, not for its box or the volume. A block's file appears whole or not at all, and writing it again changes nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from axonem_eval.files import parse_again, write_atomically
from axonem_eval.spec import Triple

_RUN = np.dtype([("start", "<i8"), ("length", "<i4")])  # start is a flat index into the volume
MOST_OPEN = 32


@dataclass(frozen=True)
class LabelRunIndex:
    """Where the runs of each label lie: one row for each label and block that has it, ascending by label, block.

    label : (n,) uint64.   block : (n,) int32.   first, end : (n,) int64, rows of the block's file.
    """

    label: NDArray[np.uint64]
    block: NDArray[np.int32]
    first: NDArray[np.int64]
    end: NDArray[np.int64]

    def save(self, path: Path) -> None:
        """Write the index, whole or not at all."""
        write_arrays(path, vars(self))

    @classmethod
    def load(cls, path: Path) -> "LabelRunIndex":
        """Read an index that ``save`` wrote."""
        return cls(**read_arrays(path))


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write an uncompressed .npz, whole or not at all."""
    write_atomically(path, lambda file: np.savez(file, allow_pickle=False, **arrays))


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz of ours."""
    with np.load(path, allow_pickle=False) as arrays:
        return {name: parse_again(partial(arrays.__getitem__, name)) for name in arrays.files}


def _runs_path(folder: Path, block: int) -> Path:
    return folder / f"{block:06d}.runs.npy"


def _table_path(folder: Path, block: int) -> Path:
    return folder / f"{block:06d}.labels.npz"


def has_block(folder: Path, block: int) -> bool:
    """Whether a block is written: its table is written last."""
    return _table_path(folder, block).exists()


def write_block(folder: Path, block: int, labels: NDArray[Any], origin_zyx: Triple, shape_zyx: Triple) -> None:
    """Write the runs of the non-zero labels of a block that begins at ``origin_zyx`` of a volume."""
    value, start, length = _find_runs(np.ascontiguousarray(labels), np.asarray(origin_zyx), np.asarray(shape_zyx))
    order = np.argsort(value, kind="stable")
    runs = np.empty(len(order), _RUN)
    runs["start"], runs["length"] = start[order], length[order]
    ids, first = np.unique(value[order], return_index=True)
    voxels = np.add.reduceat(runs["length"], first, dtype=np.int64) if len(ids) else np.empty(0, np.int64)
    end = np.append(first[1:], len(runs)).astype(np.int64)
    write_atomically(_runs_path(folder, block), lambda file: np.save(file, runs))
    table = {"label": ids.astype(np.uint64), "first": first.astype(np.int64), "end": end, "voxels": voxels}
    write_arrays(_table_path(folder, block), table)


@numba.njit(nogil=True, cache=True)
def _find_runs(labels, origin, shape):  # type: ignore[no-untyped-def]
    size_z, size_y, size_x = labels.shape
    n = 0
    for z in range(size_z):
        for y in range(size_y):
            previous = labels.dtype.type(0)
            for x in range(size_x):
                value = labels[z, y, x]
                if value != 0 and value != previous:
                    n += 1
                previous = value
    values, start, length = np.empty(n, labels.dtype), np.empty(n, np.int64), np.zeros(n, np.int32)
    n = -1
    for z in range(size_z):
        for y in range(size_y):
            flat = ((origin[0] + z) * shape[1] + origin[1] + y) * shape[2] + origin[2]
            previous = labels.dtype.type(0)
            for x in range(size_x):
                value = labels[z, y, x]
                if value != 0:
                    if value != previous:
                        n += 1
                        values[n], start[n] = value, flat + x
                    length[n] += 1
                previous = value
    return values, start, length


def index_blocks(folder: Path, n_blocks: int, more_than_voxels: int) -> tuple[LabelRunIndex, NDArray[np.int64]]:
    """Index of the labels with more than so many voxels, and (n,) int64 voxels of the label of each row."""
    tables = [read_arrays(_table_path(folder, block)) for block in range(n_blocks)]
    column = {name: np.concatenate([t[name] for t in tables]) for name in tables[0]}
    owner = np.repeat(np.arange(n_blocks, dtype=np.int32), [len(t["label"]) for t in tables])
    order = np.lexsort((owner, column["label"]))
    ids, place = np.unique(column["label"][order], return_inverse=True)
    voxels = np.zeros(len(ids), np.int64)
    np.add.at(voxels, place, column["voxels"][order])
    keep = voxels[place] > more_than_voxels
    rows = order[keep]
    index = LabelRunIndex(column["label"][rows], owner[rows], column["first"][rows], column["end"][rows])
    return index, voxels[place[keep]]


def _load_runs(folder: Path, block: int) -> NDArray[Any]:
    """Of the type _RUN, not read yet."""
    return parse_again(partial(np.load, _runs_path(folder, block), mmap_mode="r"))


def read_face(folder: Path, blocks: Iterable[int], shape_zyx: Triple, axis: int, at: int) -> NDArray[np.uint64]:
    """Labels of the plane where the coordinate of an axis is ``at``, (rows, columns) along the other two axes.

    blocks : those that the plane crosses.
    """
    _, size_y, size_x = shape_zyx
    face = np.zeros([n for a, n in enumerate(shape_zyx) if a != axis], np.uint64)
    for block in blocks:
        runs = _load_runs(folder, block)
        row, x = np.divmod(runs["start"], size_x)
        z, y = np.divmod(row, size_y)
        hit = (z == at, y == at, (x <= at) & (at < x + runs["length"]))[axis]
        if not hit.any():
            continue
        table = read_arrays(_table_path(folder, block))
        label = np.repeat(table["label"], table["end"] - table["first"])[hit]
        z, y, x, length = z[hit], y[hit], x[hit], runs["length"][hit]
        if axis == 2:
            face[z, y] = label
        else:
            voxel = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
            face[np.repeat(y if axis == 0 else z, length), np.repeat(x, length) + voxel] = np.repeat(label, length)
    return face


class LabelRunReader:
    """Reads the voxels of single labels from the files of a folder."""

    def __init__(self, folder: Path, index: LabelRunIndex, shape_zyx: Triple) -> None:
        """Read from the blocks in a folder, of a volume of that shape."""
        self._index = index
        self._shape = np.asarray(shape_zyx)
        # Each is an open file, and a confined process may have 128.
        self._runs = lru_cache(MOST_OPEN)(partial(_load_runs, folder))

    def voxels(self, label: int) -> NDArray[np.int32]:
        """(n, 3) int32 voxels z,y,x of a label, ascending."""
        runs = np.concatenate([np.empty(0, _RUN), *self._parts(label)])
        order = np.argsort(runs["start"], kind="stable")
        return _expand(runs["start"][order], runs["length"][order], self._shape)  # type: ignore[no-any-return]

    def coarse_voxels(self, label: int, factor: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Voxels ``factor`` times as large that hold at least one of a label's, and the first of the label's in each.

        Both (n, 3) int32 z,y,x, ascending by the large ones. One is enough, so that a thin process of a large cell
        stays whole. The label is read block by block and never held whole.
        """
        cells, members = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for part in self._parts(label):
            cell, member = _coarse_cells(part["start"], part["length"], self._shape, factor)
            found, first = np.unique(cell, return_index=True)  # runs of a block ascend, and so do a cell's members
            cells.append(found)
            members.append(member[first])
        cell, member = np.concatenate(cells), np.concatenate(members)
        order = np.lexsort((member, cell))
        cell, first = np.unique(cell[order], return_index=True)
        large_shape = -(-self._shape // factor)
        large, of_label = (
            np.stack(np.unravel_index(flat, shape), axis=1).astype(np.int32)
            for flat, shape in ((cell, large_shape), (member[order][first], self._shape))
        )
        return large, of_label

    def _parts(self, label: int) -> Iterator[NDArray[Any]]:
        """A label's runs in each block."""
        low, high = (int(np.searchsorted(self._index.label, np.uint64(label), side=s)) for s in ("left", "right"))
        for i in range(low, high):
            yield self._runs(int(self._index.block[i]))[self._index.first[i] : self._index.end[i]]


@numba.njit(nogil=True, cache=True)
def _expand(start, length, shape):  # type: ignore[no-untyped-def]
    out = np.empty((length.sum(), 3), np.int32)
    n = 0
    for r in range(len(start)):
        row, x = start[r] // shape[2], start[r] % shape[2]
        for k in range(length[r]):
            out[n, 0], out[n, 1], out[n, 2] = row // shape[1], row % shape[1], x + k
            n += 1
    return out


@numba.njit(nogil=True, cache=True)
def _coarse_cells(start, length, shape, factor):  # type: ignore[no-untyped-def]
    """Flat indices: the large voxels that each run crosses, and the first voxel of the run in each of them."""
    rows, columns = -(-shape[1] // factor), -(-shape[2] // factor)
    n = 0
    for r in range(len(start)):
        x = start[r] % shape[2]
        n += (x + length[r] - 1) // factor - x // factor + 1
    cell, member = np.empty(n, np.int64), np.empty(n, np.int64)
    n = 0
    for r in range(len(start)):
        row, x = start[r] // shape[2], start[r] % shape[2]
        first = (row // shape[1] // factor * rows + row % shape[1] // factor) * columns
        for column in range(x // factor, (x + length[r] - 1) // factor + 1):
            cell[n], member[n] = first + column, row * shape[2] + max(x, column * factor)
            n += 1
    return cell, member
