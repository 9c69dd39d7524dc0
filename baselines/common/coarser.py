"""Volumes at a lower resolution: grey values, labels, and where the labels hold."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.volumes import downsample_block
from baselines.common.config_types import Triple


def downsampled(image: NDArray[Any], factor_zyx: Triple) -> NDArray[Any]:
    """The mean grey value of each box of ``factor_zyx`` voxels, of the image's dtype; boxes at the end are cut off."""
    if factor_zyx == (1, 1, 1):
        return image
    mean = _boxes(image, factor_zyx).mean(axis=(1, 3, 5), dtype=np.float64)
    found: NDArray[Any] = (np.rint(mean) if image.dtype.kind in "iu" else mean).astype(image.dtype)
    return found


def coarser_labels(labels: NDArray[Any], factor_zyx: Triple) -> NDArray[Any]:
    """The most frequent label of each box of ``factor_zyx`` voxels; boxes at the end are cut off."""
    return downsample_block(labels[_whole_boxes(labels.shape, factor_zyx)], factor_zyx)


def coarser_mask(mask: NDArray[np.bool_], factor_zyx: Triple) -> NDArray[np.bool_]:
    """Where all voxels of a box of ``factor_zyx`` are True; boxes at the end are cut off."""
    if factor_zyx == (1, 1, 1):
        return mask
    found: NDArray[np.bool_] = np.asarray(_boxes(mask, factor_zyx).all(axis=(1, 3, 5)))
    return found


def _whole_boxes(shape_zyx: tuple[int, ...], factor_zyx: Triple) -> tuple[slice, ...]:
    """What whole boxes cover. Raises ValueError where there is none."""
    if any(n < f for n, f in zip(shape_zyx, factor_zyx, strict=True)):
        raise ValueError(f"an image of shape {shape_zyx} has no box of {factor_zyx} voxels (z,y,x)")
    return tuple(slice(0, n // f * f) for n, f in zip(shape_zyx, factor_zyx, strict=True))


def _boxes(values: NDArray[Any], factor_zyx: Triple) -> NDArray[Any]:
    """The values with two axes for each of z, y, x: the box, and the place in it."""
    cut = values[_whole_boxes(values.shape, factor_zyx)]
    (z, fz), (y, fy), (x, fx) = ((n // f, f) for n, f in zip(cut.shape, factor_zyx, strict=True))
    return cut.reshape(z, fz, y, fy, x, fx)
