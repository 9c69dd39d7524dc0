"""Small affinities, and when two segmentations are the same."""

import numpy as np
from scipy import ndimage


def row(*links: float) -> np.ndarray:
    """Affinities of voxels in a row along x; links[i] joins voxel i and i + 1."""
    affinity = np.zeros((3, 1, 1, len(links) + 1), np.uint8)
    affinity[2, 0, 0, 1:] = np.rint(np.array(links) * 255)
    return affinity


def smooth(shape, seed: int, coarse: int = 0) -> np.ndarray:
    """Affinities like a network's: smooth in space; ``coarse`` > 0 gives few values, so many plateaus."""
    rng = np.random.default_rng(seed)
    field = np.stack([ndimage.gaussian_filter(rng.random(shape), 1.0) for _ in range(3)])
    field = np.clip(2.2 * (field - field.min()) / np.ptp(field) - 0.6, 0, 1)
    return (np.rint(field * coarse) * (255 // coarse) if coarse else np.rint(field * 255)).astype(np.uint8)


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    return len(np.unique(pairs[0])) == pairs.shape[1] == len(np.unique(pairs[1]))
