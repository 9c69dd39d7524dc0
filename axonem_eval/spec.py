"""The shape and voxel size that a submitted segmentation must have."""

import math
from dataclasses import dataclass

from axonem_eval.errors import InputError

Triple = tuple[int, int, int]
FloatTriple = tuple[float, float, float]


@dataclass(frozen=True)
class VolumeSpec:
    """Shape and voxel size that a segmentation of a volume must have.

    shape_zyx : voxels along z, y, x.
    voxel_size_nm_zyx : nm along z, y, x.
    """

    shape_zyx: Triple
    voxel_size_nm_zyx: FloatTriple

    @property
    def voxels(self) -> int:
        z, y, x = self.shape_zyx
        return z * y * x

    def __post_init__(self) -> None:
        if len(self.shape_zyx) != 3 or min(self.shape_zyx) < 1:
            raise InputError.of("bad_spec", f"shape {self.shape_zyx} is not three positive integers (z, y, x)")
        if len(self.voxel_size_nm_zyx) != 3 or not all(0 < v < math.inf for v in self.voxel_size_nm_zyx):
            raise InputError.of(
                "bad_spec",
                f"voxel size {self.voxel_size_nm_zyx} is not three positive lengths (z, y, x) in nm",
            )


def format_triple(values: tuple[float, ...] | tuple[int, ...]) -> str:
    """Three numbers as people write them: ``30 x 8 x 8``."""
    return " x ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)
