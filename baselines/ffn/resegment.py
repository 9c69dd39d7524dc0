"""Ask the network at a decision point whether two segments are one: segment there again, from each of the two.

Source: Januszewski et al. 2018, Methods; google/ffn, ``resegmentation.py`` and ``resegmentation_analysis.py``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from baselines.common.blockwise import Box
from baselines.common.config_types import FloatTriple
from baselines.ffn.config import AgglomerateConfig
from baselines.ffn.flood import Canvas, FloodOptions, Step, Work, logit
from baselines.ffn.model import Triple

_WAS_LIKELY = logit(0.8)
EVEN = np.float32(0)  # the logit of 0.5


@dataclass(frozen=True)
class Comparison:
    """What came of one decision point, all within the analysis box.

    iou : of the objects grown from A and from B, at a probability of 0.5.   recovered_XY : share of segment Y in the
    object grown from X, at the segment threshold.   deleted_X, voxels_X : of the object grown from X, how many times a
    voxel fell from 0.8 or more to below 0.5, and how many voxels it has.   steps : of the network, with failed seeds.
    """

    iou: float = 0.0
    recovered_aa: float = 0.0
    recovered_ab: float = 0.0
    recovered_ba: float = 0.0
    recovered_bb: float = 0.0
    deleted_a: int = 0
    deleted_b: int = 0
    voxels_a: int = 0
    voxels_b: int = 0
    steps: int = 0


@dataclass
class _Grown:
    """The object grown from one segment: its mask at 0.5, share of each segment found again, voxels deleted."""

    mask: NDArray[np.bool_]
    recovered: tuple[float, float] = (0.0, 0.0)
    deleted: int = 0


def canvas_box(point_zyx: Triple, radius_zyx: Triple, shape_zyx: Triple) -> Box:
    """The box of a decision point's canvas, cut off where the volume ends."""
    z, y, x = (
        slice(max(0, p - r), min(n, p + r + 1)) for p, r, n in zip(point_zyx, radius_zyx, shape_zyx, strict=True)
    )
    return z, y, x


@dataclass
class Resegmenter:
    """Segments again at decision points.

    step, fov_zyx, deltas_zyx, flood : the network and its rules, as in ``Canvas``.
    """

    step: Step
    fov_zyx: Triple
    deltas_zyx: Triple
    voxel_size_nm_zyx: FloatTriple
    flood: FloodOptions = field(default_factory=FloodOptions)
    options: AgglomerateConfig = field(default_factory=AgglomerateConfig)

    def comparing(
        self, image: NDArray[np.float32], labels: NDArray[Any], point_zyx: Triple, a: int, b: int
    ) -> Work[Comparison]:
        """Grow an object from segment a, and afresh one from b, and compare them.

        image, labels : normalised grey values and ids of the ``canvas_box``.   point_zyx : in coordinates of the box.
        Both segments are cleared; all others stay, and nothing grows into them.
        """
        canvas = Canvas(image, self.step, self.fov_zyx, self.deltas_zyx, self.flood)
        pair = (labels == a, labels == b)
        canvas.segmentation[:] = (labels > 0) & ~pair[0] & ~pair[1]
        box = canvas_box(point_zyx, self.options.analysis_radius, triple(image.shape))
        from_a = yield from self._grow(canvas, pair, 0, box)
        if self.options.stop_early and min(from_a.recovered) < self.options.recovery:
            return _comparison(from_a, _Grown(np.zeros_like(from_a.mask)), canvas.counts.steps)
        from_b = yield from self._grow(canvas, pair, 1, box)
        return _comparison(from_a, from_b, canvas.counts.steps)

    def _grow(
        self, canvas: Canvas, pair: tuple[NDArray[np.bool_], NDArray[np.bool_]], own: int, box: Box
    ) -> Work[_Grown]:
        """The object of the first seed that finds enough of its own segment again, else of the last seed."""
        grown = _Grown(np.zeros(canvas.image[box].shape, bool))
        for seed in self._seeds(pair[own]):
            watch = _Deleted(box)
            canvas.watch = watch
            yield from canvas.flooding(seed)
            # Comparisons with NaN are false: what no field of view met is not of the object.
            logits = canvas.logits[box]
            likely = logits >= logit(self.flood.segment_probability)
            recovered = _share(likely, pair[0][box]), _share(likely, pair[1][box])
            grown = _Grown(logits >= EVEN, recovered, watch.deleted)
            if recovered[own] >= self.options.recovery:
                break
        return grown

    def _seeds(self, segment: NDArray[np.bool_]) -> Iterator[Triple]:
        """The places of a segment that lie deepest in it, from which a field of view stays within the canvas."""
        depth = ndimage.distance_transform_edt(segment, sampling=self.voxel_size_nm_zyx)
        inside = tuple(slice(f // 2, n - f // 2) for f, n in zip(self.fov_zyx, segment.shape, strict=True))
        allowed = np.zeros(segment.shape, bool)
        allowed[inside] = True
        depth[~allowed] = 0
        for _ in range(self.options.attempts):
            place = triple(np.unravel_index(int(depth.argmax()), depth.shape))
            if not depth[place]:
                return
            yield place
            depth[canvas_box(place, self.options.exclusion_radius, triple(depth.shape))] = 0


@dataclass
class _Deleted:
    """Counts voxels that fall from likely to unlikely, over the steps whose centre lies in a box."""

    box: Box
    deleted: int = 0

    def __call__(self, position: Triple, old: NDArray[np.float32], new: NDArray[np.float32]) -> None:
        if all(s.start <= p < s.stop for s, p in zip(self.box, position, strict=True)):
            self.deleted += int(np.count_nonzero((old >= _WAS_LIKELY) & (new < EVEN)))


def _comparison(from_a: _Grown, from_b: _Grown, steps: int) -> Comparison:
    return Comparison(
        iou=_share(from_a.mask & from_b.mask, from_a.mask | from_b.mask),
        recovered_aa=from_a.recovered[0],
        recovered_ab=from_a.recovered[1],
        recovered_ba=from_b.recovered[0],
        recovered_bb=from_b.recovered[1],
        deleted_a=from_a.deleted,
        deleted_b=from_b.deleted,
        voxels_a=int(np.count_nonzero(from_a.mask)),
        voxels_b=int(np.count_nonzero(from_b.mask)),
        steps=steps,
    )


def _share(found: NDArray[np.bool_], whole: NDArray[np.bool_]) -> float:
    """Share of ``whole`` that is found; 0 of nothing."""
    size = int(np.count_nonzero(whole))
    return int(np.count_nonzero(found & whole)) / size if size else 0.0


def triple(values: Any) -> Triple:
    """Three integers as a tuple, z, y, x."""
    z, y, x = (int(v) for v in values)
    return z, y, x
