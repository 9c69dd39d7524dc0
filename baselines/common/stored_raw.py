"""Grey values that stay on disk."""

import numpy as np
from numpy.typing import NDArray

from axonem_eval.volumes import LabelVolume
from baselines.common.coarser import downsampled
from baselines.common.config_types import Triple


class StoredRaw:
    """Grey values read box by box from a file, for volumes larger than memory.

    ``origin`` is where the crop begins in the file, ``shape`` its shape after ``coarser`` voxels became one.
    """

    def __init__(self, volume: LabelVolume, origin: Triple, shape: Triple, coarser: Triple = (1, 1, 1)) -> None:
        self.volume, self.origin, self.shape, self.coarser = volume, origin, shape, coarser

    def __getitem__(self, box: tuple[slice, slice, slice]) -> NDArray[np.uint8]:
        ends = [min(s.stop, n) for s, n in zip(box, self.shape, strict=True)]
        z, y, x = (
            slice(s.start * f + o, e * f + o) for s, o, e, f in zip(box, self.origin, ends, self.coarser, strict=True)
        )
        found = self.volume.read((z, y, x))
        return downsampled(found, self.coarser)
