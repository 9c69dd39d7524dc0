"""Pictures of volumes: axons in 3-D from their labels, sections of EM with labels over them. For small volumes."""

from collections.abc import Iterator, Sequence
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from axonem_eval.spec import FloatTriple

Pixels = NDArray[np.uint8]

# Told apart by colour-blind readers as far as so many can be; light enough for a dark page, dark enough for a light.
PALETTE = np.array(
    [
        *((0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (213, 94, 0)),
        *((120, 94, 240), (170, 150, 60), (70, 130, 120), (190, 80, 90)),
    ],
    np.float64,
)
LIGHT_ZYX = np.array([0.6, -0.55, -0.58])
# Drawn so many times larger and averaged, against jagged edges.
FINER = 2
# What has fewer voxels across is drawn smaller than the picture: a voxel covers few pixels, however few there are.
LEAST_VOXELS = 40


def render_axons(
    labels: NDArray[Any],
    ids: Sequence[int],
    voxel_size_nm_zyx: FloatTriple,
    *,
    width: int = 1200,
    most_height: float = np.inf,
    turn: float = 0.6,
) -> Pixels:
    """The surfaces of some labels, seen from the front and turned about the y axis.

    labels : (z, y, x).   width : of the picture in pixels; less where it would be higher than ``most_height``, or where
    so few voxels lie across that each would be large.   turn : radians.
    Returns (h, w, 4) uint8, transparent where there is nothing.
    """
    parts = zip(*_surfaces(labels, ids, voxel_size_nm_zyx), strict=True)
    points, normals, colours = (np.concatenate(part) for part in parts)
    if not len(points):  # thinner than smoothing leaves anything of
        return np.zeros((1, 1, 4), np.uint8)
    spin, tilt = _rotation(turn, 0), _rotation(0.45, 1)
    points, normals = points @ spin.T @ tilt.T, normals @ spin.T @ tilt.T
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    room = np.maximum(extent, LEAST_VOXELS * max(voxel_size_nm_zyx))
    scale = FINER * float(min(width / room[2], most_height / room[1]))
    voxel = min(voxel_size_nm_zyx) * scale
    pixel = np.floor((points - low)[:, 1:] * scale).astype(np.int64)
    high, wide = int(extent[1] * scale) + 2, int(extent[2] * scale) + 2
    depth = (points[:, 0] - low[0]) / max(extent[0], 1.0)
    # Brighter where the surface faces the light, fainter far away.
    facing = 0.55 + 0.55 * np.clip(normals @ LIGHT_ZYX, 0, 1)
    colour = np.clip(colours * facing[:, None] * (0.7 + 0.3 * depth[:, None]), 0, 255).astype(np.uint8)
    order = np.argsort(depth, kind="stable")
    nearest = _splat(pixel[order], depth[order], (high, wide), int(np.ceil(voxel * 0.75)))
    picture = np.zeros((high, wide, 4), np.uint8)
    seen = nearest >= 0
    picture[seen, :3] = colour[order][nearest[seen]]
    picture[seen, 3] = 255
    return averaged(picture)


def _surfaces(
    labels: NDArray[Any], ids: Sequence[int], voxel_size_nm_zyx: FloatTriple
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]]:
    """Points on the surface of each label in nm, their outward normals, and the label's colour at each."""
    size = np.asarray(voxel_size_nm_zyx)
    # Along z voxels are thicker: as many thin ones in their place.
    times = max(1, round(float(size[0] / size[1:].mean())))
    size = size / (times, 1, 1)
    for number, label in enumerate(ids):
        inside = np.argwhere(labels == label)
        if not len(inside):
            continue
        low, high = inside.min(axis=0), inside.max(axis=0) + 1
        box = (labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] == label).repeat(times, axis=0)
        solid: NDArray[Any] = np.pad(box, 3).astype(np.float32)
        for _ in range(2):
            for axis in range(3):
                solid = (np.roll(solid, 1, axis) + solid + np.roll(solid, -1, axis)) / np.float32(3)
        where = np.argwhere((solid > 0.5) & (_least_around(solid) <= 0.5))
        slope = np.stack([-np.gradient(solid, axis=axis)[tuple(where.T)] for axis in range(3)], axis=1) / size
        normal = slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-12)
        points = (where - 3 + low * (times, 1, 1)) * size
        yield points, normal, np.broadcast_to(PALETTE[number % len(PALETTE)], points.shape)


def _least_around(values: NDArray[Any]) -> NDArray[Any]:
    least = values
    for axis in range(3):
        least = np.minimum(least, np.minimum(np.roll(values, 1, axis), np.roll(values, -1, axis)))
    return least


def _rotation(angle: float, axis: int) -> NDArray[np.float64]:
    """About y (0: mixes z and x) or x (1: mixes z and y); vectors are z, y, x."""
    a, b = (0, 2) if axis == 0 else (0, 1)
    matrix = np.eye(3)
    matrix[a, a] = matrix[b, b] = np.cos(angle)
    matrix[a, b], matrix[b, a] = -np.sin(angle), np.sin(angle)
    return matrix


def _splat(
    pixel: NDArray[np.int64], depth: NDArray[np.float64], shape: tuple[int, int], radius: int
) -> NDArray[np.int64]:
    """For each pixel the index of the nearest point that covers it, -1 for none. Points come farthest first."""
    nearest = np.full(shape, -1, np.int64)
    number = np.arange(len(pixel))
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            y = np.clip(pixel[:, 0] + dy, 0, shape[0] - 1)
            x = np.clip(pixel[:, 1] + dx, 0, shape[1] - 1)
            here = np.full(shape, -1, np.int64)
            here[y, x] = number  # the last one written is the nearest
            closer = (here >= 0) & ((nearest < 0) | (depth[here] > depth[nearest]))
            nearest[closer] = here[closer]
    return nearest


def averaged(picture: Pixels) -> Pixels:
    """Each FINER x FINER pixels as one; colours weighed by how opaque they are."""
    high, wide = (n // FINER * FINER for n in picture.shape[:2])
    cut = picture[:high, :wide].astype(np.float64)
    blocks = cut.reshape(high // FINER, FINER, wide // FINER, FINER, 4)
    alpha = blocks[..., 3:].sum(axis=(1, 3))
    colour = (blocks[..., :3] * blocks[..., 3:]).sum(axis=(1, 3)) / np.maximum(alpha, 1)
    return np.concatenate([colour, alpha / FINER**2], axis=2).round().astype(np.uint8)


def section_picture(raw: NDArray[np.uint8], labels: NDArray[Any] | None = None, *, strength: float = 0.45) -> Pixels:
    """A section of EM with its labels in colours over it; both (y, x). Returns (y, x, 3) uint8."""
    grey = np.repeat(raw[..., None].astype(np.float64), 3, axis=2)
    if labels is not None:
        # Neighbouring ids must differ in colour, so they are scattered over the palette.
        colour = PALETTE[(labels.astype(np.uint64) * np.uint64(2654435761) >> np.uint64(16)) % np.uint64(len(PALETTE))]
        share = np.where(labels[..., None] > 0, strength, 0.0)
        grey = grey * (1 - share) + colour * share
    return np.clip(grey, 0, 255).astype(np.uint8)


def webp(picture: Pixels, quality: int = 82) -> bytes:
    """A picture as a WebP file."""
    return bytes(imagecodecs.webp_encode(np.ascontiguousarray(picture), level=quality))
