"""A near-isotropic copy of a label volume on disk, and the box of each label in it.

Skeletons need neither 7 nm pixels nor 16 times the voxels; the copy is a memory-mapped .npy that worker
processes share.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from axonem_eval.sample import native_unsigned
from axonem_eval.spec import FloatTriple, Triple
from axonem_eval.volume import LabelVolume, Progress

BLOCK_VOXELS = 32 << 20


@dataclass(frozen=True)
class LabelBoxes:
    """Where each non-zero label lies in a volume.

    label : (n,) uint64, ascending.   voxels : (n,) int64.
    lower, upper : (n, 3) int64 z,y,x, the box [lower, upper).
    """

    label: NDArray[np.uint64]
    voxels: NDArray[np.int64]
    lower: NDArray[np.int64]
    upper: NDArray[np.int64]


def near_isotropic_factor(voxel_size_nm_zyx: FloatTriple, target_voxel_nm: float = 30.0) -> Triple:
    """Integer factor for each axis that brings the voxel closest, in ratio, to the target; 30 nm gives 28 to 40 nm
    on the volumes in use (8x8x30 -> 32x32x30, 7x7x40 -> 28x28x40)."""

    def factor(size: float) -> int:
        return min(range(1, 65), key=lambda f: (abs(np.log(size * f / target_voxel_nm)), f))

    z, y, x = (factor(size) for size in voxel_size_nm_zyx)
    return z, y, x


@numba.njit(nogil=True, cache=True)
def _most_frequent(labels, fz, fy, fx, out):  # type: ignore[no-untyped-def]
    """The most frequent label of each block; of equals a non-zero one wins, so that thin axons survive."""
    size_z, size_y, size_x = labels.shape
    values = np.empty(fz * fy * fx, labels.dtype)
    counts = np.empty(fz * fy * fx, np.int64)
    for z in range(out.shape[0]):
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                kinds = 0
                for i in range(z * fz, min((z + 1) * fz, size_z)):
                    for j in range(y * fy, min((y + 1) * fy, size_y)):
                        for k in range(x * fx, min((x + 1) * fx, size_x)):
                            value = labels[i, j, k]
                            place = 0
                            while place < kinds and values[place] != value:
                                place += 1
                            if place == kinds:
                                values[kinds] = value
                                counts[kinds] = 0
                                kinds += 1
                            counts[place] += 1
                best = 0
                for place in range(1, kinds):
                    more = counts[place] > counts[best]
                    if more or (counts[place] == counts[best] and values[best] == 0):
                        best = place
                out[z, y, x] = values[best]


def downsample_block(labels: NDArray[Any], factor: Triple) -> NDArray[Any]:
    """(z, y, x) labels by the most frequent one of each ``factor`` block; the last blocks may be cut."""
    shape = tuple(-(-n // f) for n, f in zip(labels.shape, factor, strict=True))
    if factor == (1, 1, 1):
        return labels
    out = np.empty(shape, labels.dtype)
    _most_frequent(np.ascontiguousarray(labels), *factor, out)
    return out


def _boxes(shape: Triple, chunk: Triple, factor: Triple) -> Iterator[tuple[slice, slice, slice]]:
    """Boxes that cover the volume, whole chunks where that fits and always whole factor blocks."""
    step = [int(np.lcm(c, f)) if c * f < 4096 else c * f for c, f in zip(chunk, factor, strict=True)]
    for axis in (2, 1, 0):  # grow along x first: longest runs on disk
        size = int(np.prod([min(s, n) for s, n in zip(step, shape, strict=True)], dtype=np.int64))
        step[axis] *= max(1, min(BLOCK_VOXELS // max(size, 1), -(-shape[axis] // step[axis])))
    for z in range(0, shape[0], step[0]):
        for y in range(0, shape[1], step[1]):
            for x in range(0, shape[2], step[2]):
                yield (
                    slice(z, min(z + step[0], shape[0])),
                    slice(y, min(y + step[1], shape[1])),
                    slice(x, min(x + step[2], shape[2])),
                )


def downsample_to_npy(
    volume: LabelVolume, factor: Triple, out: Path, on_progress: Progress | None = None
) -> LabelBoxes:
    """Write the downsampled labels to ``out`` (.npy, uint32 or uint64) and return the box of each label in it.

    Raises InputError for a damaged chunk or a negative label.
    """
    z, y, x = (-(-n // f) for n, f in zip(volume.shape_zyx, factor, strict=True))
    unsigned = np.uint32 if volume.dtype.itemsize <= 4 else np.uint64
    copy = np.lib.format.open_memmap(out, mode="w+", dtype=unsigned, shape=(z, y, x))
    boxes = list(_boxes(volume.shape_zyx, volume.chunk_shape_zyx, factor))
    found: list[LabelBoxes] = []
    for done, box in enumerate(boxes, start=1):
        labels = native_unsigned(volume, volume.read(box), (box[0].start, box[1].start, box[2].start))
        small = downsample_block(labels, factor)
        origin = [s.start // f for s, f in zip(box, factor, strict=True)]
        copy[tuple(slice(o, o + n) for o, n in zip(origin, small.shape, strict=True))] = small
        found.append(label_boxes(small, origin))
        if on_progress:
            on_progress(done, len(boxes))
    copy.flush()
    return merge_boxes(found)


@numba.njit(nogil=True, cache=True)
def _extents(index, n):  # type: ignore[no-untyped-def]
    lower = np.full((n, 3), np.iinfo(np.int64).max)
    upper = np.zeros((n, 3), np.int64)
    voxels = np.zeros(n, np.int64)
    for z in range(index.shape[0]):
        for y in range(index.shape[1]):
            for x in range(index.shape[2]):
                i = index[z, y, x]
                voxels[i] += 1
                lower[i, 0], lower[i, 1], lower[i, 2] = min(lower[i, 0], z), min(lower[i, 1], y), min(lower[i, 2], x)
                upper[i, 0] = max(upper[i, 0], z + 1)
                upper[i, 1] = max(upper[i, 1], y + 1)
                upper[i, 2] = max(upper[i, 2], x + 1)
    return voxels, lower, upper


def label_boxes(labels: NDArray[Any], origin_zyx: list[int]) -> LabelBoxes:
    """Voxel count and box of each non-zero label of an array that begins at ``origin_zyx``."""
    ids, index = np.unique(labels, return_inverse=True)
    voxels, lower, upper = _extents(index.reshape(labels.shape), len(ids))
    keep = ids != 0
    origin = np.asarray(origin_zyx, np.int64)
    return LabelBoxes(ids[keep].astype(np.uint64), voxels[keep], lower[keep] + origin, upper[keep] + origin)


def merge_boxes(parts: list[LabelBoxes]) -> LabelBoxes:
    """The boxes of a volume from those of its blocks."""
    if not parts:
        return LabelBoxes(np.empty(0, np.uint64), np.empty(0, np.int64), np.empty((0, 3), int), np.empty((0, 3), int))
    label, index = np.unique(np.concatenate([p.label for p in parts]), return_inverse=True)
    voxels = np.zeros(len(label), np.int64)
    lower = np.full((len(label), 3), np.iinfo(np.int64).max)
    upper = np.zeros((len(label), 3), np.int64)
    np.add.at(voxels, index, np.concatenate([p.voxels for p in parts]))
    np.minimum.at(lower, index, np.concatenate([p.lower for p in parts]))
    np.maximum.at(upper, index, np.concatenate([p.upper for p in parts]))
    return LabelBoxes(label, voxels, lower, upper)
