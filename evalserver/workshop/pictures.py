"""Pictures for annotators: the surface of each segment, and of what lies around each likely error."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from axonem_eval.report import render_axons, webp
from axonem_eval.spec import FloatTriple
from axonem_eval.volumes import LabelVolume
from axonem_eval.workshop import Candidate, Sides, surroundings

# A larger segment is drawn coarser: a picture is small.
PICTURE_VOXELS, PICTURE_WIDTH, CANDIDATE_WIDTH = 160, 320, 280
# A tall and narrow one would be a picture many times as high.
MOST_HEIGHT = 400


def segment_picture(zyx: NDArray[np.int32], voxel_nm_zyx: FloatTriple) -> bytes:
    """The surface of a segment as WebP. zyx : its (n, 3) voxels."""
    low = zyx.min(axis=0)
    factor = max(1, int(np.ceil((np.ptp(zyx, axis=0) + 1).max() / PICTURE_VOXELS)))
    place = (zyx - low) // factor
    box = np.zeros(place.max(axis=0) + 1, np.uint8)
    box[tuple(place.T)] = 1
    z, y, x = (size * factor for size in voxel_nm_zyx)
    return _rendered(box, [1], (z, y, x), PICTURE_WIDTH)


def candidate_picture(volume: LabelVolume, candidate: Candidate, voxel_size_nm_zyx: FloatTriple) -> bytes:
    """The two sides of a likely error in two colours, as WebP; empty where neither is seen at the picture's voxels."""
    labels, voxel_nm = surroundings(volume, candidate.correction, voxel_size_nm_zyx)
    return _rendered(labels, [1, 2], voxel_nm, CANDIDATE_WIDTH) if labels.any() else b""


def sides_picture(sides: Sides, voxel_size_nm_zyx: FloatTriple) -> bytes:
    """The two sides of a cut by points in two colours, as WebP."""
    z, y, x = (f * size for f, size in zip(sides.factor, voxel_size_nm_zyx, strict=True))
    return _rendered(sides.array(), [1, 2], (z, y, x), 2 * CANDIDATE_WIDTH)


def _rendered(labels: NDArray[np.uint8], ids: Sequence[int], voxel_nm: FloatTriple, width: int) -> bytes:
    return webp(render_axons(labels, ids, voxel_nm, width=width, most_height=MOST_HEIGHT))
