"""Random crops. A crop depends on the seed and its number alone, so that a resumed run sees the crops it would have."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.common.augment import Rng, Sample, augment, source_shape, with_drawn_moves
from baselines.common.config import AugmentConfig
from baselines.common.config_types import Triple
from baselines.common.data import Volume


class CropStream:
    """An endless, random-access list of augmented crops: the same seed and index give the same bytes.

    Volumes are drawn by their number of voxels.
    """

    def __init__(
        self, volumes: Sequence[Volume], patch: Triple, config: AugmentConfig, seed: int, *, isotropic: bool
    ) -> None:
        self.volumes = list(volumes)
        self.patch, self.config, self.seed, self.isotropic = patch, config, seed, isotropic
        voxels = np.array([v.raw.size for v in self.volumes], np.float64)
        self.share = voxels / voxels.sum()

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng([self.seed, index])
        volume = self.volumes[int(rng.choice(len(self.volumes), p=self.share))]
        config = with_drawn_moves(self.config, rng)
        sample = cut(volume, source_shape(self.patch, config, isotropic=self.isotropic), rng)
        return augment(sample, self.patch, config, rng, isotropic=self.isotropic)


def cut(volume: Volume, shape: Triple, rng: Rng) -> Sample:
    """A crop at a random place; what lies outside a small volume is mirrored and masked out."""
    start = [int(rng.integers(0, max(1, n - s + 1))) for n, s in zip(volume.shape_zyx, shape, strict=True)]
    box = tuple(slice(o, o + s) for o, s in zip(start, shape, strict=True))
    return _padded(_sample(volume, box), shape)


def cut_around(volume: Volume, centre: Triple, shape: Triple) -> Sample:
    """A crop with a voxel at its centre; what lies outside the volume is mirrored and masked out."""
    start = [c - s // 2 for c, s in zip(centre, shape, strict=True)]
    box = tuple(slice(max(0, o), o + s) for o, s in zip(start, shape, strict=True))
    sample = _sample(volume, box)
    before = [max(0, -o) for o in start]
    width = [(b, s - b - n) for b, s, n in zip(before, shape, sample.grey.shape, strict=True)]
    if not np.any(width):
        return sample
    grey = np.pad(sample.grey, width, mode="symmetric")
    return Sample(grey, np.pad(sample.labels, width), np.pad(sample.mask, width))


def _sample(volume: Volume, box: tuple[slice, ...]) -> Sample:
    assert volume.labels is not None
    grey: NDArray[np.float32] = volume.raw[box].astype(np.float32) / np.float32(255)
    mask = np.ones(grey.shape, bool) if volume.mask is None else volume.mask[box]
    return Sample(grey, _small_numbers(volume.labels[box]), mask)


def _small_numbers(labels: NDArray[np.uint32]) -> NDArray[np.int32]:
    """The same partition in numbers that float32 holds exactly, as the warp needs; 0 stays 0 (background)."""
    if labels.max(initial=0) < 2**24:
        return labels.astype(np.int32)
    found, number = np.unique(labels, return_inverse=True)
    return (number.reshape(labels.shape) + int(found[0] != 0)).astype(np.int32)


def _padded(sample: Sample, shape: Triple) -> Sample:
    if sample.grey.shape == shape:
        return sample
    lack = [s - n for n, s in zip(sample.grey.shape, shape, strict=True)]
    width = [(n // 2, n - n // 2) for n in lack]

    def zeros(array: NDArray[Any]) -> NDArray[Any]:
        return np.pad(array, width)

    large = all(n > max(w) for n, w in zip(sample.grey.shape, width, strict=True))
    grey = np.pad(sample.grey, width, mode="reflect" if large else "symmetric")
    return Sample(grey, zeros(sample.labels), zeros(sample.mask))
