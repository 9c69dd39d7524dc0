"""Close-ups of places in EM: one section around a voxel, with the segments of interest and a mark."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.report.pictures import PALETTE, Pixels
from axonem_eval.spec import Triple, VolumeSpec

SIDE_PIXELS = 160
# Side of a close-up: several axons wide, so that what lies beside the error is seen too.
SIDE_NM = 2400.0
# Share of colour over the grey values: of the segments of interest, and of all others.
STRONG, FAINT = 0.5, 0.12
OTHERS = np.array([150.0, 150.0, 160.0])
# The mark points at the voxel from four sides: how far off each tick begins and ends, and half of its width. A thin
# axon is 10 pixels wide, so that what the mark points at is seen whole.
TICK_PIXELS = (13.0, 23.0)
HALF_TICK_PIXELS = 1.0


@dataclass(frozen=True)
class Window:
    """A square of one section, as near around a voxel as the volume allows.

    voxel_zyx : the voxel.   start_yx : first voxel of the square.   step_yx : voxels a pixel.   pixels_yx : its size.
    """

    voxel_zyx: Triple
    start_yx: tuple[int, int]
    step_yx: tuple[int, int]
    pixels_yx: tuple[int, int]

    @classmethod
    def around(cls, voxel_zyx: Triple, spec: VolumeSpec) -> "Window":
        """The window around a voxel of a volume; smaller where the volume is."""
        start, steps, pixels = [], [], []
        for axis in (1, 2):
            length = spec.shape_zyx[axis]
            step = max(1, round(SIDE_NM / SIDE_PIXELS / spec.voxel_size_nm_zyx[axis]))
            count = min(SIDE_PIXELS, max(1, length // step))
            steps.append(step)
            pixels.append(count)
            start.append(int(np.clip(voxel_zyx[axis] - count * step // 2, 0, max(0, length - count * step))))
        return cls(voxel_zyx, (start[0], start[1]), (steps[0], steps[1]), (pixels[0], pixels[1]))

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """The voxels of the square, (z, y, x)."""
        z = self.voxel_zyx[0]
        y, x = (slice(a, a + n * step) for a, n, step in zip(self.start_yx, self.pixels_yx, self.step_yx, strict=True))
        return slice(z, z + 1), y, x

    def points_zyx(self) -> NDArray[np.int32]:
        """The voxel in the middle of each pixel, row by row: (pixels, 3)."""
        y, x = (
            a + step * np.arange(n) + step // 2
            for a, n, step in zip(self.start_yx, self.pixels_yx, self.step_yx, strict=True)
        )
        rows, columns = np.meshgrid(y, x, indexing="ij")
        points = np.stack([np.full(rows.size, self.voxel_zyx[0]), rows.ravel(), columns.ravel()], axis=1)
        return points.astype(np.int32)

    def grey(self, section: NDArray[Any]) -> NDArray[np.float64]:
        """Mean of the voxels of each pixel. section : the voxels of ``box``, (1, y, x)."""
        (height, width), (down, across) = self.pixels_yx, self.step_yx
        blocks = section[0].reshape(height, down, width, across)
        mean: NDArray[np.float64] = blocks.mean(axis=(1, 3), dtype=np.float64)
        return mean

    @property
    def mark_yx(self) -> tuple[float, float]:
        """The pixel of the voxel."""
        y, x = (
            (v - a + 0.5) / step - 0.5
            for v, a, step in zip(self.voxel_zyx[1:], self.start_yx, self.step_yx, strict=True)
        )
        return y, x


def close_up_picture(window: Window, section: NDArray[Any], labels: NDArray[Any], segments: Sequence[int]) -> Pixels:
    """EM with the segments of interest in colours, all others faint, and four ticks that point at the voxel.

    section : voxels of ``window.box``, grey values.   labels : (pixels,) at ``window.points_zyx()``.
    segments : at most as many as PALETTE has; each gets its colour in turn. 0 is background and never coloured.
    Returns (y, x, 3) uint8.
    """
    label = labels.reshape(window.pixels_yx)
    colour = np.broadcast_to(OTHERS, (*label.shape, 3)).copy()
    share = np.where(label > 0, FAINT, 0.0)
    for number, segment in enumerate(segments):
        here = (label == segment) & (label > 0)
        colour[here], share[here] = PALETTE[number % len(PALETTE)], STRONG
    picture = window.grey(section)[..., None] * (1 - share[..., None]) + colour * share[..., None]
    return _marked(picture, window.mark_yx).clip(0, 255).round().astype(np.uint8)


def _marked(picture: NDArray[np.float64], centre_yx: tuple[float, float]) -> NDArray[np.float64]:
    """White ticks with a dark edge, seen on every ground."""
    y, x = np.ogrid[: picture.shape[0], : picture.shape[1]]
    down, across = np.abs(y - centre_yx[0]), np.abs(x - centre_yx[1])
    along, beside = np.maximum(down, across), np.minimum(down, across)
    begin, end = TICK_PIXELS
    for edge, grey in ((1, 20), (0, 255)):
        picture[(along >= begin - edge) & (along <= end + edge) & (beside <= HALF_TICK_PIXELS + edge)] = grey
    return picture
