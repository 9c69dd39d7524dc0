"""A skeleton as a shaded tube in 3-D."""

import numpy as np
from numpy.typing import NDArray

from axonem_eval.report.pictures import FINER, LIGHT_ZYX, Pixels, averaged
from axonem_eval.skeletons import SkeletonGraph

WIDTH, MAX_HEIGHT, MIN_HEIGHT, MARGIN = 300, 150, 40, 6
RADIUS = 2.2
# Points along an edge, at most so many pixels apart.
APART = 1.0
MOST_POINTS = 200_000


def render_skeleton(graph: SkeletonGraph, skeleton: int, colour: NDArray[np.float64]) -> tuple[Pixels, float]:
    """One skeleton, turned so that its longest direction lies across, seen along its shortest.

    So the picture tells the course of the axon, and neither its place nor its direction.
    colour : red, green, blue, 0 to 255.
    Returns (h, w, 4) uint8, transparent around the tube, and the width of the picture in nm.
    """
    edge = np.flatnonzero(graph.edge_skeleton == skeleton)
    ends = np.stack([graph.centre_nm_zyx(graph.edge_u[edge]), graph.centre_nm_zyx(graph.edge_v[edge])])
    ends = _turned(ends)
    low, extent = ends.min(axis=(0, 1)), np.ptp(ends, axis=(0, 1))
    room = np.array([MAX_HEIGHT, WIDTH]) - 2 * MARGIN
    scale = FINER * float((room / np.maximum(extent[1:], 1.0)).min())
    points = _along((ends - low) * scale)
    radius = RADIUS * FINER
    margin = MARGIN * FINER
    height = int(max(MIN_HEIGHT * FINER, extent[1] * scale + 2 * margin))
    wide = WIDTH * FINER
    points[:, 1] += (height - extent[1] * scale) / 2
    points[:, 2] += (wide - extent[2] * scale) / 2
    depth, shade = _tube(points, radius, (height, wide))
    seen = np.isfinite(depth)
    picture = np.zeros((height, wide, 4), np.uint8)
    near = (depth - points[:, 0].min()) / max(float(np.ptp(points[:, 0])), 1.0)
    light = np.where(seen, shade * (0.72 + 0.28 * np.clip(near, 0, 1)), 0.0)
    picture[..., :3] = np.clip(colour * light[..., None], 0, 255)
    picture[seen, 3] = 255
    return averaged(picture), wide / scale


def _turned(ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2, n, 3) in the axes of largest spread: the last has most, the first least."""
    points = ends.reshape(-1, 3)
    middle = points.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov((points - middle).T))  # by rising spread
    # The sign of an axis is free: the larger part of the course lies on its positive side, in every run.
    axes = axes * np.where(((points - middle) @ axes).max(axis=0) < -((points - middle) @ axes).min(axis=0), -1, 1)
    turned: NDArray[np.float64] = (ends - middle) @ axes
    return turned


def _along(ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 3) points along edges, close together; ends are (2, n, 3) in pixels."""
    length = np.linalg.norm(ends[1] - ends[0], axis=1)
    apart = max(APART, float(length.sum()) / MOST_POINTS)
    count = np.ceil(length / apart).astype(np.int64) + 1
    which = np.repeat(np.arange(len(length)), count)
    place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    share = (place / np.maximum(count[which] - 1, 1))[:, None]
    points: NDArray[np.float64] = ends[0][which] * (1 - share) + ends[1][which] * share
    return points


def _tube(
    points: NDArray[np.float64], radius: float, shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Depth and brightness of each pixel: a ball around each point; -inf and 0 where there is none."""
    depth, shade = np.full(shape, -np.inf), np.zeros(shape)
    y, x = points[:, 1].astype(np.int64), points[:, 2].astype(np.int64)
    reach = int(np.ceil(radius))
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            out = 1 - (dy * dy + dx * dx) / radius**2
            if out <= 0:
                continue
            normal = np.array([out**0.5, dy / radius, dx / radius])
            light = 0.55 + 0.6 * max(0.0, float(normal @ LIGHT_ZYX))
            rows, columns = np.clip(y + dy, 0, shape[0] - 1), np.clip(x + dx, 0, shape[1] - 1)
            here = np.full(shape, -np.inf)
            np.maximum.at(here, (rows, columns), points[:, 0] + normal[0] * radius)
            nearer = here > depth
            depth[nearer], shade[nearer] = here[nearer], light
    return depth, shade
