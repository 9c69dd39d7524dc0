"""What lies around a likely error: a small box of labels, for its picture."""

import numpy as np
from numpy.typing import NDArray

from axonem_eval.spec import FloatTriple
from axonem_eval.volumes import LabelVolume, near_isotropic_factor, read_small
from axonem_eval.workshop.decisions import Correction
from axonem_eval.workshop.point_cut import part_by_points

# So far around the place, at voxels of about so many nm: the course of both axons, and how they touch.
REACH_NM, VOXEL_NM = 2000.0, 50.0


def place_of(correction: Correction) -> tuple[float, float, float]:
    """Where a correction acts, in voxels z,y,x: in the middle of its two sides, or of its cut."""
    ends = (correction.this_side[0], correction.other_side[0])
    if correction.cut:
        ends = (correction.cut.point_zyx, correction.cut.point_zyx)
    z, y, x = ((a + b) / 2 for a, b in zip(*ends, strict=True))
    return z, y, x


def surroundings(
    volume: LabelVolume, correction: Correction, voxel_size_nm_zyx: FloatTriple
) -> tuple[NDArray[np.uint8], FloatTriple]:
    """Labels within ``REACH_NM`` of a correction along each axis, and the size of their voxels in nm.

    1 is its one side, 2 the other, 0 everything else: of a split the two segments, of a merger the parts of its segment
    on the two sides of the plane. Of a cut by points it is all that the points part, however far they reach.
    Raises InputError for a damaged chunk, and as ``part_by_points`` does.
    """
    if correction.is_by_points:
        sides = part_by_points(
            volume, correction.segments[0], correction.this_side, correction.other_side, voxel_size_nm_zyx
        )
        dz, dy, dx = (f * size for f, size in zip(sides.factor, voxel_size_nm_zyx, strict=True))
        return sides.array(), (dz, dy, dx)
    factor = np.asarray(near_isotropic_factor(voxel_size_nm_zyx, VOXEL_NM))
    size = np.asarray(voxel_size_nm_zyx)
    middle = np.asarray(place_of(correction))
    low = np.maximum(middle - REACH_NM / size, 0).astype(np.int64) // factor * factor
    high = np.minimum(middle + REACH_NM / size + 1, volume.shape_zyx).astype(np.int64)
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    fz, fy, fx = (int(f) for f in factor)
    labels = read_small(volume, (z, y, x), (fz, fy, fx))
    found = np.zeros(labels.shape, np.uint8)
    for side, segment in enumerate(correction.segments, start=1):
        found[labels == labels.dtype.type(segment)] = side
    if correction.cut:
        there = np.argwhere(found)
        nm = ((there + 0.5) * factor + low - correction.cut.point_zyx - 0.5) * size
        normal = np.asarray(correction.cut.normal_zyx)
        begin = (np.asarray(correction.this_side[0]) - correction.cut.point_zyx) * size
        found[tuple(there.T)] = np.where((nm @ normal > 0) == (begin @ normal > 0), 1, 2)
    dz, dy, dx = (float(v) for v in size * factor)
    return found, (dz, dy, dx)
