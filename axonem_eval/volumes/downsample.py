"""Labels at a coarser, near-isotropic voxel size: the most frequent label of each block.

Skeletons need neither 7 nm pixels nor 16 times the voxels, and the tolerance of the score counts their nodes.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.spec import FloatTriple, Triple
from axonem_eval.volumes.label_volume import Labels, LabelVolume
from axonem_eval.volumes.native import native_unsigned, read_only

BLOCK_VOXELS = 32 << 20
Box = tuple[slice, slice, slice]


def near_isotropic_factor(voxel_size_nm_zyx: FloatTriple, target_voxel_nm: float = 30.0) -> Triple:
    """Integer factor for each axis that brings the voxel closest, in ratio, to the target.

    30 nm gives 28 to 40 nm on the volumes in use (30x8x8 -> 30x32x32, 40x7x7 -> 40x28x28).
    """

    def factor(size: float) -> int:
        return min(range(1, 65), key=lambda f: (abs(np.log(size * f / target_voxel_nm)), f))

    z, y, x = (factor(size) for size in voxel_size_nm_zyx)
    return z, y, x


def small_shape(shape_zyx: Triple, factor: Triple) -> Triple:
    """Shape of the downsampled volume; its last voxels may cover less than a whole block."""
    z, y, x = (-(-n // f) for n, f in zip(shape_zyx, factor, strict=True))
    return z, y, x


def downsample_block(labels: NDArray[Any], factor: Triple) -> NDArray[Any]:
    """(z, y, x) labels by the most frequent one of each ``factor`` block; the last blocks may be smaller."""
    if factor == (1, 1, 1):
        return labels
    from axonem_eval.volumes.most_frequent import most_frequent  # numba: readers that downsample nothing start sooner

    z, y, x = labels.shape
    out = np.empty(small_shape((z, y, x), factor), labels.dtype)
    most_frequent(read_only(np.ascontiguousarray(labels)), *factor, out)
    return out


def blocks(shape: Triple, chunk: Triple, factor: Triple) -> Iterator[Box]:
    """Boxes of about 32 Mvoxel that cover a volume, of whole ``factor`` blocks and, if possible, of whole chunks."""
    step = [int(np.lcm(c, f)) if c * f < 4096 else c * f for c, f in zip(chunk, factor, strict=True)]
    for axis in (2, 1, 0):  # grow along x first: longest runs on disk
        size = int(np.prod([min(s, n) for s, n in zip(step, shape, strict=True)], dtype=np.int64))
        step[axis] *= max(1, min(BLOCK_VOXELS // max(size, 1), -(-shape[axis] // step[axis])))
    for z, y, x in product(*(range(0, n, s) for n, s in zip(shape, step, strict=True))):
        box = (slice(o, min(o + s, n)) for o, s, n in zip((z, y, x), step, shape, strict=True))
        yield tuple(box)  # type: ignore[misc]


def read_small(volume: LabelVolume, box: Box, factor: Triple) -> Labels:
    """Downsampled labels of a box, unsigned and in native byte order.

    Raises InputError for a damaged chunk or a negative label.
    """
    origin = (box[0].start, box[1].start, box[2].start)
    return downsample_block(native_unsigned(volume, volume.read(box), origin), factor)
