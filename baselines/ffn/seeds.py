"""Where objects begin: places far from edges, in the order in which they are tried."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max

from baselines.ffn.model import Triple

_THRESHOLD_SIGMA = 49.0 / 6.0
_MIN_DISTANCE = 3
_NOISE = 1e-4
_NOISE_SEED = 42


def peak_seeds(image: NDArray[np.float32], margin_zyx: Triple) -> NDArray[np.int64]:
    """Peaks of the distance to edges, (n, 3) int64, ascending in z, y, x.

    image : (z, y, x) float32, normalised grey values.   margin_zyx : half a field of view; seeds nearer to the border
    are left out.
    An edge is where the gradient is above its local mean. The noise breaks ties between equal distances; its seed and
    the order in which it is drawn decide which seeds exist (google/ffn, ``PolicyPeaks``). Distances are in voxels,
    whatever the size of a voxel.
    """
    edges = ndimage.generic_gradient_magnitude(image.astype(np.float32), ndimage.sobel)
    local_mean = np.zeros(edges.shape, np.float32)
    ndimage.gaussian_filter(edges, _THRESHOLD_SIGMA, output=local_mean, mode="reflect")
    distance = ndimage.distance_transform_edt(edges <= local_mean)
    noise = np.random.RandomState(_NOISE_SEED).random_sample(distance.shape) * _NOISE
    height = distance + noise
    peaks = peak_local_max(height, min_distance=_MIN_DISTANCE, threshold_abs=0, threshold_rel=0)  # type: ignore[no-untyped-call]
    peaks = np.asarray(peaks[np.lexsort(peaks.T[::-1])], np.int64)
    margin, shape = np.array(margin_zyx), np.array(image.shape)
    inside = ((peaks - margin >= 0) & (peaks + margin < shape)).all(axis=1)
    return np.ascontiguousarray(peaks[inside])


def reversed_seeds(seeds: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same seeds in the opposite order, for the second segmentation of a consensus."""
    return np.ascontiguousarray(seeds[::-1])
