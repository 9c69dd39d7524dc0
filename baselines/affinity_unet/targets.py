"""Affinities of labels. One convention everywhere: z,y,x, stored at the destination voxel.

``affinity[c, v]`` is the link between voxel v - offsets[c] and voxel v. At the first planes of an axis, where
v - offset lies outside, there is no link: affinity 0, mask 0. The link is 1 where both labels are equal and not 0.
"""

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

Triple = tuple[int, int, int]


def affinity_targets(
    labels_zyx: NDArray[np.integer], mask_zyx: NDArray[np.bool_], offsets: Sequence[Triple]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Affinities and where they hold, both (c,z,y,x) uint8 of 0 and 1; offsets must not be negative.

    A link holds where both its voxels are in the mask and in the volume.
    """
    if any(min(offset) < 0 for offset in offsets):
        raise ValueError(f"offsets {list(offsets)}: negative ones are not supported; swap the two voxels")
    found: tuple[NDArray[np.uint8], NDArray[np.uint8]] = _targets(
        np.ascontiguousarray(labels_zyx), np.ascontiguousarray(mask_zyx), np.asarray(offsets, np.int64).reshape(-1, 3)
    )
    return found


@njit(cache=True, nogil=True)
def _targets(labels, mask, offsets):  # type: ignore[no-untyped-def]
    depth, height, width = labels.shape
    target = np.zeros((len(offsets), depth, height, width), np.uint8)
    valid = np.zeros((len(offsets), depth, height, width), np.uint8)
    for c in range(len(offsets)):
        dz, dy, dx = offsets[c]
        for z in range(dz, depth):
            for y in range(dy, height):
                for x in range(dx, width):
                    here, there = labels[z, y, x], labels[z - dz, y - dy, x - dx]
                    target[c, z, y, x] = here == there and here != 0
                    valid[c, z, y, x] = mask[z, y, x] and mask[z - dz, y - dy, x - dx]
    return target, valid
