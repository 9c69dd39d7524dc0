"""Where labels lie and what they touch: one pass over a volume each, compiled."""

from collections.abc import Iterator

import numpy as np
from numba import njit
from numpy.typing import NDArray

Labels = NDArray[np.unsignedinteger]
Box = tuple[slice, slice, slice]
Position = tuple[int, int, int]


class Boxes:
    """Bounding boxes of the labels of a volume, and their voxel counts, so that work on a label stays in its box."""

    def __init__(self, labels: Labels) -> None:
        """Find the boxes in one pass over the labels."""
        self.ids = distinct(labels)
        self.box, self.voxels = _boxes(labels, self.ids)
        self._extra: dict[int, NDArray[np.int64]] = {}

    def of(self, label: int) -> NDArray[np.int64]:
        """Lower and upper corner (upper not included), (2,3); an empty box for a label that is not there."""
        if label in self._extra:
            return self._extra[label]
        at = int(np.searchsorted(self.ids, label))
        if at == len(self.ids) or int(self.ids[at]) != label:
            return np.zeros((2, 3), np.int64)
        return self.box[at]  # type: ignore[no-any-return]

    def cover(self, label: int, other: int) -> None:
        """Let `label` reach over the box of `other` too."""
        a, b = self.of(label), self.of(other)
        filled = a if (a[1] > a[0]).all() else b
        self._extra[label] = np.stack([np.minimum(filled[0], b[0]), np.maximum(filled[1], b[1])])


def distinct(labels: Labels) -> Labels:
    """Sorted distinct labels; looks at each run along x only once, and at a slab at a time."""
    found = [np.zeros(0, labels.dtype)]
    for z in range(0, len(labels), 16):
        flat = labels[z : z + 16].reshape(-1)
        starts = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        found.append(np.unique(np.append(flat[starts], flat[:1])))
    return np.unique(np.concatenate(found))


@njit(cache=True)  # type: ignore[untyped-decorator]
def _boxes(labels: Labels, ids: Labels) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    nz, ny, nx = labels.shape
    box = np.zeros((len(ids), 2, 3), np.int64)
    voxels = np.zeros(len(ids), np.int64)
    box[:, 0] = 2**62
    for z in range(nz):
        for y in range(ny):
            k = 0
            for x in range(nx):
                if x == 0 or labels[z, y, x] != labels[z, y, x - 1]:
                    k = np.searchsorted(ids, labels[z, y, x])
                    box[k, 0, 0] = min(box[k, 0, 0], z)
                    box[k, 0, 1] = min(box[k, 0, 1], y)
                    box[k, 0, 2] = min(box[k, 0, 2], x)
                    box[k, 1, 0] = max(box[k, 1, 0], z + 1)
                    box[k, 1, 1] = max(box[k, 1, 1], y + 1)
                box[k, 1, 2] = max(box[k, 1, 2], x + 1)
                voxels[k] += 1
    return box, voxels


@njit(cache=True)  # type: ignore[untyped-decorator]
def substitute(labels: Labels, old: Labels, new: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Each old[i] (sorted) becomes new[i]; uint64 (z,y,x)."""
    nz, ny, nx = labels.shape
    out = np.empty(labels.shape, np.uint64)
    for z in range(nz):
        for y in range(ny):
            value = new[0]
            for x in range(nx):
                if x == 0 or labels[z, y, x] != labels[z, y, x - 1]:
                    value = new[np.searchsorted(old, labels[z, y, x])]
                out[z, y, x] = value
    return out


def region(labels: Labels, label: int, boxes: Boxes | None, border: int = 0) -> tuple[Labels, NDArray[np.int64]]:
    """View of `labels` around a label (all of them without boxes) and the view's lower corner, z,y,x."""
    if boxes is None:
        return labels, np.zeros(3, np.int64)
    low, high = boxes.of(label)
    low, high = np.maximum(low - border, 0), np.minimum(high + border, labels.shape)
    return labels[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))], low


def contacts(labels: Labels, label: int, boxes: Boxes | None = None) -> tuple[NDArray[np.int64], Labels]:
    """Voxels (n,3) of other labels than 0 that share a face with `label`, and their labels (n,); one row a face."""
    part, low = region(labels, label, boxes, border=1)
    part = np.ascontiguousarray(part)
    where, whose = _contacts(part, part.dtype.type(label))
    return np.stack(np.unravel_index(where, part.shape), axis=1) + low if len(where) else np.zeros((0, 3), int), whose


@njit(cache=True)  # type: ignore[untyped-decorator]
def _contacts(labels: Labels, label: int) -> tuple[NDArray[np.int64], Labels]:
    nz, ny, nx = labels.shape
    count = 0
    where = np.empty(1024, np.int64)
    whose = np.empty(1024, labels.dtype)
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if labels[z, y, x] != label:
                    continue
                for s in range(6):
                    k, j, i = z, y, x
                    step = 1 if s % 2 else -1
                    if s < 2:
                        k += step
                    elif s < 4:
                        j += step
                    else:
                        i += step
                    if k < 0 or j < 0 or i < 0 or k >= nz or j >= ny or i >= nx:
                        continue
                    other = labels[k, j, i]
                    if other == 0 or other == label:
                        continue
                    if count == len(where):
                        where = np.concatenate((where, np.empty_like(where)))
                        whose = np.concatenate((whose, np.empty_like(whose)))
                    where[count] = (k * ny + j) * nx + i
                    whose[count] = other
                    count += 1
    return where[:count], whose[:count]


@njit(cache=True)  # type: ignore[untyped-decorator]
def _boundary(labels: Labels, pixels: int) -> NDArray[np.bool_]:
    nz, ny, nx = labels.shape
    out = np.zeros(labels.shape, np.bool_)
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                v = labels[z, y, x]
                if v == 0:
                    continue
                for k in range(1, pixels + 1):
                    if (
                        (y >= k and labels[z, y - k, x] != v)
                        or (y + k < ny and labels[z, y + k, x] != v)
                        or (x >= k and labels[z, y, x - k] != v)
                        or (x + k < nx and labels[z, y, x + k] != v)
                    ):
                        out[z, y, x] = True
                        break
    return out


def boundary_mask(labels: Labels, pixels: int) -> NDArray[np.bool_]:
    """Voxels within `pixels` of another label (or 0) along y or x in their section, (z,y,x)."""
    return _boundary(labels, pixels)  # type: ignore[no-any-return]


class Turns(Iterator[int]):
    """Gives out labels in turn without end, so that errors spread over all candidates."""

    def __init__(self, ids: Labels) -> None:
        """Begin with the first label."""
        self.ids, self.count = [int(i) for i in ids], 0

    def __next__(self) -> int:
        """The next label."""
        self.count += 1
        return self.ids[(self.count - 1) % len(self.ids)]
