"""The shape and voxel size that a submitted segmentation must have, and a part of it."""

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


@dataclass(frozen=True)
class Region:
    """A box of voxels: start_zyx is its first voxel, stop_zyx the first one beyond it, along z, y, x."""

    start_zyx: Triple
    stop_zyx: Triple

    def __post_init__(self) -> None:
        """Raises InputError where the box is empty or begins before the volume."""
        if min(self.start_zyx) < 0 or any(a >= b for a, b in zip(self.start_zyx, self.stop_zyx, strict=True)):
            raise InputError.of(
                "bad_region",
                f"region from {self.start_zyx} to {self.stop_zyx} (z, y, x) is empty or begins before voxel 0; "
                "expected 0 <= start < stop along each axis",
            )

    def require_inside(self, shape_zyx: Triple) -> None:
        """Raises InputError where a volume of that shape does not contain the box."""
        if any(stop > size for stop, size in zip(self.stop_zyx, shape_zyx, strict=True)):
            raise InputError.of(
                "region_outside",
                f"the region that is scored ends at voxel {self.stop_zyx}, the volume has {format_triple(shape_zyx)} "
                "voxels (z,y,x); score a volume that contains the region",
            )

    @property
    def in_words(self) -> str:
        """`25–75, 97–928, 97–928`: first voxel, and first voxel beyond, along each axis."""
        return ", ".join(f"{a}–{b}" for a, b in zip(self.start_zyx, self.stop_zyx, strict=True))

    def to_json(self) -> list[list[int]]:
        """First voxel and first voxel beyond."""
        return [list(self.start_zyx), list(self.stop_zyx)]


def format_triple(values: tuple[float, ...] | tuple[int, ...]) -> str:
    """Three numbers as people write them: ``30 x 8 x 8``."""
    return " x ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)
