"""Augmentations that serial-section EM needs, after Lee et al. 2017 and the configurations of DeepEM.

No library at hand has the section defects (missing, lost, slipped sections), so they are array code here; the warp
is one call of PyTorch's grid_sample, the blur one of SciPy's gaussian_filter.

Every function takes a Sample and a random generator and returns a Sample; the order is in ``augment``. Geometry moves
grey values, labels and mask together, defects of the image leave the labels alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from baselines.common.config import AugmentConfig
from baselines.common.config_types import Triple

Rng = np.random.Generator


@dataclass(frozen=True)
class Sample:
    """A crop: grey (z,y,x) float32 in 0..1, labels (z,y,x) int32, mask (z,y,x) bool where the labels hold."""

    grey: NDArray[np.float32]
    labels: NDArray[np.int32]
    mask: NDArray[np.bool_]


def with_drawn_moves(config: AugmentConfig, rng: Rng) -> AugmentConfig:
    """The config of one crop: what moves voxels is drawn, probability 0 or 1 from here on.

    A crop that nothing moves needs no margin then, and so may lie at the volume's faces as often as elsewhere: with a
    margin always, the outer sections of a thin volume were hardly ever learnt from.
    """
    lost, misalign, warp = (float(rng.random() < share) for share in (config.lost, config.misalign, config.warp))
    return replace(config, lost=lost, misalign=misalign, warp=warp)


def source_shape(patch: Triple, config: AugmentConfig, *, isotropic: bool = False) -> Triple:
    """Size of the crop to take so that misalignment, warp and lost sections find real data to move in.

    A cube where the patch is one and voxels are isotropic, so that it can be turned about all axes.
    """
    in_plane = 0
    if config.misalign > 0:
        in_plane += config.misalign_pixels
    if config.warp > 0:
        # A rotated square needs its diagonal; half of that growth keeps crops small, the rest is masked out.
        in_plane += int(0.1 * max(patch[1:])) + int(config.elastic_pixels)
    shape = (_depth(patch, config), patch[1] + 2 * in_plane, patch[2] + 2 * in_plane)
    return (max(shape),) * 3 if isotropic and len(set(patch)) == 1 else shape


def _depth(patch: Triple, config: AugmentConfig) -> int:
    """Sections that the patch needs before one may be lost."""
    return patch[0] + (1 if config.lost > 0 else 0)


def augment(sample: Sample, patch: Triple, config: AugmentConfig, rng: Rng, *, isotropic: bool) -> Sample:
    """Geometry on the large crop, cut to ``patch``, then defects of the image."""
    if config.flip:
        sample = flip(sample, rng, isotropic=isotropic and len(set(sample.grey.shape)) == 1)
    sample = centre_crop(sample, (_depth(patch, config), *sample.grey.shape[1:]))
    if rng.random() < config.lost:
        sample = lose_section(sample, rng)
    if rng.random() < config.misalign:
        sample = misalign(sample, rng, config.misalign_pixels, slip=bool(rng.random() < config.slip_share))
    if rng.random() < config.warp:
        sample = warp(sample, patch, config, rng)
    sample = centre_crop(sample, patch)
    if rng.random() < config.grey:
        sample = change_grey(sample, rng, config.grey_contrast, config.grey_brightness)
    if rng.random() < config.missing:
        sample = miss_sections(sample, rng, config.missing_sections)
    if rng.random() < config.box:
        sample = occlude(sample, rng, config.box_pixels, isotropic=isotropic)
    if rng.random() < config.blur:
        sample = blur_sections(sample, rng, config.blur_sections, config.blur_sigma)
    if config.noise > 0:
        grey = sample.grey + rng.normal(0, rng.uniform(0, config.noise), sample.grey.shape).astype(np.float32)
        sample = replace(sample, grey=np.clip(grey, 0, 1))
    return sample


def _each(sample: Sample, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Sample:
    return Sample(
        np.ascontiguousarray(change(sample.grey)),
        np.ascontiguousarray(change(sample.labels)),
        np.ascontiguousarray(change(sample.mask)),
    )


def centre_crop(sample: Sample, patch: Triple) -> Sample:
    """The middle of a crop."""
    start = [(n - p) // 2 for n, p in zip(sample.grey.shape, patch, strict=True)]
    box = tuple(slice(s, s + p) for s, p in zip(start, patch, strict=True))
    return _each(sample, lambda a: a[box])


def flip(sample: Sample, rng: Rng, *, isotropic: bool = False) -> Sample:
    """Mirror each axis with probability one half and swap y and x; any order of axes where z is like them."""
    axes = tuple(int(a) for a in np.flatnonzero(rng.random(3) < 0.5))
    order: tuple[int, ...] = (0, 1, 2)
    if isotropic:
        order = tuple(int(a) for a in rng.permutation(3))
    elif rng.random() < 0.5 and sample.grey.shape[1] == sample.grey.shape[2]:
        order = (0, 2, 1)
    return _each(sample, lambda a: np.flip(a, axes).transpose(order))


def lose_section(sample: Sample, rng: Rng) -> Sample:
    """Take one section out of the stack; what follows moves up."""
    z = int(rng.integers(1, max(2, len(sample.grey) - 1)))
    return _each(sample, lambda a: np.delete(a, z, axis=0))


def _moved(array: NDArray[Any], dy: int, dx: int) -> NDArray[Any]:
    """Sections shifted in their plane; what comes in from outside is 0 (False)."""
    out = np.zeros_like(array)
    h, w = array.shape[-2:]
    out[..., max(dy, 0) : h + min(dy, 0), max(dx, 0) : w + min(dx, 0)] = array[
        ..., max(-dy, 0) : h + min(-dy, 0), max(-dx, 0) : w + min(-dx, 0)
    ]
    return out


def misalign(sample: Sample, rng: Rng, pixels: int, *, slip: bool) -> Sample:
    """Shift one section (slip) or it and all later ones (translation) by up to ``pixels`` in y and x.

    Labels go along in a translation. A slip moves only the image: the truth stays where the tissue was.
    """
    z = int(rng.integers(1, max(2, len(sample.grey) - 1)))
    dy, dx = (int(d) for d in rng.integers(-pixels, pixels + 1, 2))
    grey, labels, mask = sample.grey.copy(), sample.labels.copy(), sample.mask.copy()
    part = slice(z, z + 1) if slip else slice(z, None)
    grey[part] = _moved(grey[part], dy, dx)
    if not slip:
        labels[part] = _moved(labels[part], dy, dx)
        mask[part] = _moved(mask[part], dy, dx)
    return Sample(grey, labels, mask)


def warp(sample: Sample, patch: Triple, config: AugmentConfig, rng: Rng) -> Sample:
    """Rotate, scale and shear in the section's plane, and bend elastically; the output has ``patch``'s y and x size.

    Sections stay sections: nothing moves along z. Labels and mask take the nearest voxel.
    """
    import torch
    from torch.nn.functional import grid_sample

    depth, height, width = sample.grey.shape
    out_h, out_w = patch[1:]
    shift = _displacement((depth, out_h, out_w), config, rng)
    angle = np.deg2rad(rng.uniform(-config.rotate_degrees, config.rotate_degrees))
    shear = np.tan(np.deg2rad(rng.uniform(-config.shear_degrees, config.shear_degrees)))
    scale = 1 / rng.uniform(*config.scale, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[1, shear], [0, 1]]) @ np.diag(scale)
    y, x = np.meshgrid(np.arange(out_h) - (out_h - 1) / 2, np.arange(out_w) - (out_w - 1) / 2, indexing="ij")
    at_y = matrix[0, 0] * y + matrix[0, 1] * x + shift[0] + (height - 1) / 2
    at_x = matrix[1, 0] * y + matrix[1, 1] * x + shift[1] + (width - 1) / 2
    inside = (at_y >= 0) & (at_y <= height - 1) & (at_x >= 0) & (at_x <= width - 1)
    grid = torch.from_numpy(np.stack([2 * at_x / (width - 1) - 1, 2 * at_y / (height - 1) - 1], -1).astype(np.float32))

    def move(array: NDArray[Any], mode: str) -> NDArray[Any]:
        stack = torch.from_numpy(array.astype(np.float32))[:, None]
        return grid_sample(stack, grid, mode=mode, padding_mode="border", align_corners=True)[:, 0].numpy()

    # Labels are small numbers within a crop (see crops.py), so float32 holds them exactly.
    return Sample(
        move(sample.grey, "bilinear"),
        np.rint(move(sample.labels, "nearest")).astype(np.int32),
        (move(sample.mask, "nearest") > 0.5) & inside,
    )


def _displacement(shape: Triple, config: AugmentConfig, rng: Rng) -> NDArray[np.float32]:
    """Smooth random field (2, z,y,x) in pixels: random values on a coarse grid, interpolated in all three axes."""
    if config.elastic_pixels <= 0:
        return np.zeros((2, *shape), np.float32)
    coarse = [max(2, -(-n // config.elastic_spacing) + 1) for n in shape]
    knots = rng.normal(0, config.elastic_pixels / 2, (2, *coarse)).astype(np.float32)
    import torch

    field = torch.nn.functional.interpolate(
        torch.from_numpy(knots)[None], size=tuple(shape), mode="trilinear", align_corners=True
    )
    return field[0].numpy()


def change_grey(sample: Sample, rng: Rng, contrast: float, brightness: float) -> Sample:
    """Contrast, brightness and gamma, drawn for each section, on all of it or on random quadrants."""
    grey = sample.grey.copy()
    whole = rng.random() < 0.5
    for section in grey:
        for part in _parts(section, rng, whole):
            value = part * (1 + (rng.random() - 0.5) * contrast) + (rng.random() - 0.5) * brightness
            part[...] = np.clip(value, 0, 1) ** (2.0 ** rng.uniform(-1, 1))
    return replace(sample, grey=grey)


def _parts(section: NDArray[Any], rng: Rng, whole: bool) -> list[NDArray[Any]]:
    """The section itself, or a random choice of the four quadrants around a random point (views)."""
    if whole:
        return [section]
    y, x = (int(rng.integers(1, max(2, n))) for n in section.shape)
    quadrants = [section[:y, :x], section[:y, x:], section[y:, :x], section[y:, x:]]
    return [q for q in quadrants if rng.random() < 0.5 and q.size]


def _some_sections(depth: int, most: int, rng: Rng) -> list[int]:
    count = int(rng.integers(1, min(most, depth) + 1))
    return [int(z) for z in rng.choice(depth, count, replace=False)]


def miss_sections(sample: Sample, rng: Rng, most: int) -> Sample:
    """Blank up to ``most`` sections, whole or in quadrants, with black or one random grey. Labels stay."""
    grey = sample.grey.copy()
    fill = 0.0 if rng.random() < 0.5 else float(rng.random())
    for z in _some_sections(len(grey), most, rng):
        for part in _parts(grey[z], rng, whole=bool(rng.random() < 0.5)):
            part[...] = fill
    return replace(sample, grey=grey)


def blur_sections(sample: Sample, rng: Rng, most: int, sigma: float) -> Sample:
    """Put up to ``most`` sections out of focus, whole or in quadrants."""
    grey = sample.grey.copy()
    for z in _some_sections(len(grey), most, rng):
        for part in _parts(grey[z], rng, whole=bool(rng.random() < 0.5)):
            part[...] = ndimage.gaussian_filter(part, rng.uniform(0, sigma), mode="nearest", truncate=2.5)
    return replace(sample, grey=grey)


def occlude(sample: Sample, rng: Rng, pixels: tuple[int, int], *, isotropic: bool) -> Sample:
    """Fill random boxes with one grey each, until up to 30% of the crop is covered at most."""
    grey = sample.grey.copy()
    budget = rng.uniform(0, 0.3) * grey.size
    while budget > 0:
        size = rng.integers(pixels[0], pixels[1] + 1, 3)
        size[0] = size[0] if isotropic else max(1, size[0] // 5)
        size = np.minimum(size, grey.shape)
        start = [int(rng.integers(0, n - s + 1)) for n, s in zip(grey.shape, size, strict=True)]
        grey[tuple(slice(s, s + n) for s, n in zip(start, size, strict=True))] = rng.random()
        budget -= int(np.prod(size))
    return replace(sample, grey=grey)
