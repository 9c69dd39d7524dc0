"""What was done to labels on purpose, and where: one record an error. Positions are voxels z,y,x."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Position = tuple[int, int, int]


@dataclass(frozen=True)
class Split:
    """`label` was cut at a plane; voxels v with (v - position) . normal > 0 became `new_label`."""

    label: int
    new_label: int
    position_zyx: Position
    normal_zyx: tuple[float, float, float]
    voxels: int


@dataclass(frozen=True)
class Merge:
    """All of `absorbed` became `label`; they touch at `position_zyx`."""

    label: int
    absorbed: int
    position_zyx: Position
    voxels: int


@dataclass(frozen=True)
class SmallMerge:
    """The part of `neighbour` within `radius_nm` of `position_zyx` became `label`."""

    label: int
    neighbour: int
    position_zyx: Position
    radius_nm: float
    voxels: int


@dataclass(frozen=True)
class Hole:
    """The part of `label` within `radius_nm` of `position_zyx` became 0."""

    label: int
    position_zyx: Position
    radius_nm: float
    voxels: int


@dataclass(frozen=True)
class Erosion:
    """Voxels within `pixels` of another label, in the section's plane, became 0."""

    pixels: int
    voxels: int


@dataclass(frozen=True)
class DroppedSection:
    """The whole section became 0."""

    section: int


@dataclass(frozen=True)
class ShiftedSection:
    """The section moved by `offset_yx` voxels; what came in from outside is 0."""

    section: int
    offset_yx: tuple[int, int]


@dataclass(frozen=True)
class Relabelling:
    """Every label got a random 64-bit id: old[i] became new[i]."""

    old: NDArray[np.uint64]
    new: NDArray[np.uint64]


Record = Split | Merge | SmallMerge | Hole | Erosion | DroppedSection | ShiftedSection | Relabelling
