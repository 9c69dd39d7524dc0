"""Let objects grow into what the network left blank, without the network: membranes last.

A flood-filling network leaves a rim of blank voxels between neighbours, and thin tips. Ground truth that labels every
voxel counts them as errors.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from baselines.common.config_types import FloatTriple


def grown(
    labels: NDArray[Any],
    grey: NDArray[np.uint8],
    voxel_size_nm_zyx: FloatTriple,
    limit_nm: float,
) -> NDArray[Any]:
    """The segmentation (z,y,x) after its objects grew into the blank (0), of the same dtype.

    Watershed on the grey values (z,y,x), bright voxels first, because membranes are dark. limit_nm : voxels farther
    than this from all objects stay blank; so a block needs no more context than this.
    """
    distance = ndimage.distance_transform_edt(labels == 0, sampling=voxel_size_nm_zyx)
    found = watershed(255 - grey, labels.astype(np.int64), mask=distance <= limit_nm)  # type: ignore[no-untyped-call]
    return np.asarray(found, labels.dtype)
