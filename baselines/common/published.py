"""Segmentations that others published of a volume, cropped like ours and scored by the same code."""

import gzip

import numpy as np
from numpy.typing import NDArray

from baselines.common.config import ExperimentConfig
from baselines.common.config_data import VolumeConfig
from baselines.common.data import compact

# Files in the folder of kind fib25; files that are missing are left out.
FFN, OVERSEGMENTED = "ffn_published_segmentation.npz", "oversegmented_stack_labels.h5.gz"


def published_segmentations(config: ExperimentConfig, spec: VolumeConfig) -> dict[str, NDArray[np.uint32]]:
    """Labels (z,y,x) by title, 0 is background; empty where none are known for this kind of volume."""
    if spec.kind != "fib25":
        return {}
    import h5py

    folder = config.resolve(spec.path)
    box = tuple(slice(*(span or (None,))) for span in (spec.z, spec.y, spec.x))
    found = {}
    if (folder / FFN).exists():
        with np.load(folder / FFN, allow_pickle=False) as arrays:
            found["published FFN"] = compact(arrays["segmentation"][box])
    if (folder / OVERSEGMENTED).exists():
        with gzip.open(folder / OVERSEGMENTED, "rb") as packed, h5py.File(packed, "r") as file:
            found["published over-segmentation"] = compact(file["stack"][()][box])
    return found
