"""An annotator who cuts a merged segment by points, simulated: two points first, then one more at a time.

The first two lie 200 to 800 nm from the contact, one in each axon, anywhere in the thicker fifth of what is there. Each
further point lies in the middle of the largest piece that is on the wrong side.
"""

import time
from pathlib import Path

import numpy as np
from scipy import ndimage

from axonem_eval.synthetic import Merge
from axonem_eval.volumes import downsample_block, open_labels
from axonem_eval.workshop import MERGER, SPREAD_NM, Correction, Sides, part_by_points

# Both axons together.
POINTS = (2, 3, 4, 5, 6, 8, 10)
NEAR_NM = (200.0, 800.0)
THICKER = 0.8
# An annotator does not look for smaller pieces.
LEAST_VOXELS = 50
_TOUCHING = np.ones((3, 3, 3))


class Annotator:
    """Knows the untouched labels, sees the two sides, and places points."""

    def __init__(self, clean, planted, labels: Path, merge: Merge, voxel_nm, rng: np.random.Generator) -> None:
        self.labels, self.voxel_nm, self.rng = labels, np.asarray(voxel_nm), rng
        self.at = np.asarray(merge.position_zyx)
        self.segment = int(planted[merge.position_zyx])
        within = planted == self.segment
        # A later merger or cut may have taken an axon elsewhere.
        self.axons = [within & (clean == axon) for axon in (merge.label, merge.absorbed)]
        self.seconds: list[float] = []

    def corrections(self) -> list[Correction]:
        """The cut after so many points as POINTS says; none where an axon is not in the segment."""
        if not all(axon.any() for axon in self.axons):
            return []
        points = [[self._first(axon)] for axon in self.axons]
        found = []
        for n in range(2, POINTS[-1] + 1):
            correction = Correction(MERGER, (self.segment,), tuple(points[0]), tuple(points[1]))
            if n in POINTS:
                found.append(correction)
            wrong = self._worst(self._seen(correction), points)
            if wrong is None:
                break
            side, point = wrong
            points[side].append(point)
        return [*found, *[correction] * (len(POINTS) - len(found))]

    def _first(self, axon: np.ndarray) -> tuple[int, int, int]:
        reach = np.ceil(NEAR_NM[1] / self.voxel_nm).astype(int)
        low = np.maximum(self.at - reach, 0)
        near = axon[tuple(slice(a, b) for a, b in zip(low, self.at + reach + 1, strict=True))]
        distance = ndimage.distance_transform_edt(np.pad(near, 1), sampling=self.voxel_nm)[1:-1, 1:-1, 1:-1]
        zyx = np.argwhere(near)
        away = np.linalg.norm((zyx + low - self.at) * self.voxel_nm, axis=1)
        there = (away > NEAR_NM[0]) & (away < NEAR_NM[1])
        zyx = zyx[there] if there.any() else zyx
        thick = distance[tuple(zyx.T)]
        zyx = zyx[thick >= np.quantile(thick, THICKER)]
        return _triple(zyx[self.rng.integers(len(zyx))] + low)

    def _seen(self, correction: Correction) -> Sides:
        begun = time.monotonic()
        with open_labels(self.labels) as volume:
            size = tuple(self.voxel_nm.tolist())
            sides = part_by_points(volume, self.segment, correction.this_side, correction.other_side, size)
        self.seconds.append(time.monotonic() - begun)
        return sides

    def _worst(self, sides: Sides, points: list) -> tuple[int, tuple[int, int, int]] | None:
        """The axon that has the largest piece on the wrong side, and the middle of that piece."""
        box = tuple(slice(o * f, (o + n) * f) for o, n, f in zip(sides.origin, sides.shape, sides.factor, strict=True))
        found, best, allowed = sides.array(), None, self._allowed(sides, points)
        for side, axon in enumerate(self.axons):
            own = downsample_block(axon[box].view(np.uint8), sides.factor) > 0
            piece, _ = ndimage.label(own & (found == 2 - side) & allowed, _TOUCHING)
            size = np.bincount(piece.reshape(-1))
            size[0] = 0
            if size.max() >= LEAST_VOXELS and (best is None or size.max() > best[0]):
                number = int(size.argmax())
                around = ndimage.find_objects(piece, number)[number - 1]
                best = int(size.max()), side, piece[around] == number, [s.start for s in around]
        if best is None:
            return None
        _, side, wrong, low = best
        inside = ndimage.distance_transform_edt(np.pad(wrong, 1), sampling=self.voxel_nm * sides.factor)
        middle = np.array(np.unravel_index(inside.argmax(), inside.shape)) - 1 + low
        corner = (middle + sides.origin) * sides.factor
        block = self.axons[side][tuple(slice(c, c + f) for c, f in zip(corner, sides.factor, strict=True))]
        return side, _triple(np.argwhere(block)[0] + corner)

    def _allowed(self, sides: Sides, points: list) -> np.ndarray:
        """Voxels of the box where another point is not too far from the others."""
        placed = np.array(points[0] + points[1]) * self.voxel_nm
        allowed = np.ones(sides.shape, bool)
        for axis, (o, n, f) in enumerate(zip(sides.origin, sides.shape, sides.factor, strict=True)):
            nm = (np.arange(o, o + n) + 0.5) * f * self.voxel_nm[axis]
            size = f * self.voxel_nm[axis]
            near = (nm > placed[:, axis].max() - SPREAD_NM + size) & (nm < placed[:, axis].min() + SPREAD_NM - size)
            allowed &= near.reshape([-1 if k == axis else 1 for k in range(3)])
        return allowed


def _triple(values: np.ndarray) -> tuple[int, int, int]:
    z, y, x = (int(v) for v in values)
    return z, y, x
