"""The tables [data] and [[folds]]: volumes to learn from, to choose the threshold by and to report on."""

from typing import Literal, Self

from pydantic import model_validator
from pydantic.dataclasses import dataclass

from baselines.common.config_types import STRICT, Count, FloatTriple, Positive, Span, Triple, without


@dataclass(frozen=True, config=STRICT)
class VolumeConfig:
    """Where a volume of grey values and labels comes from.

    kind : pair (files ``raw`` and ``labels``, HDF5 datasets as file.h5:name), fib25, snemi3d, cremi, axonem (``path``
    is the folder or file of that data set), or synthetic (``shape`` and ``seed``; made on the spot).
    mask : 1 where the labels of a pair hold.   ignore : 1 where they do not.
    voxel_size_nm : where it is not the experiment's.
    z, y, x : half-open range of voxels to use, [first, end]; all of them by default.
    coarser : voxels of the file that become one, along each axis. Ranges are those of the file, sizes those after it.
    erode : voxels taken off each label at its boundary before affinities are computed; in the section's plane where
    voxels are anisotropic. erode_spare_thin : bodies that are too thin to lose them keep them.
    raw_offset : first voxel of the labels in ``raw``, where raw is larger (padded).
    scored_z, scored_x : range that is scored; labels around it, which is context, become 0. Not for training.
    axons_only : of kind synthetic; labels that are no axon become 0, so that scores are those of the demo.
    """

    kind: Literal["pair", "fib25", "snemi3d", "cremi", "axonem", "synthetic"] = "pair"
    name: str = ""
    path: str = ""
    raw: str = ""
    labels: str = ""
    mask: str = ""
    ignore: str = ""
    voxel_size_nm: FloatTriple | None = None
    shape: Triple | None = None
    seed: int = 0
    z: Span | None = None
    y: Span | None = None
    x: Span | None = None
    coarser: tuple[Positive, Positive, Positive] = (1, 1, 1)
    raw_offset: Triple = (0, 0, 0)
    erode: Count = 0
    erode_spare_thin: bool = False
    scored_z: Span | None = None
    scored_x: Span | None = None
    axons_only: bool = False


def _for_scoring_alone(trained: tuple[VolumeConfig, ...]) -> list[str]:
    if any(volume.scored_z or volume.scored_x or volume.axons_only for volume in trained):
        return ["train: scored_z, scored_x and axons_only leave voxels without labels; they are for scoring alone"]
    return []


@dataclass(frozen=True, config=STRICT)
class DataConfig:
    """Volumes: ``train`` to learn from, ``validate`` to choose the threshold by, ``test`` to report (by name)."""

    train: tuple[VolumeConfig, ...] = ()
    validate: VolumeConfig | None = None
    test: tuple[VolumeConfig, ...] = ()

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        found = _for_scoring_alone(self.train)
        names = [volume.name for volume in self.test]
        if len({*names, "validate", ""}) < len(names) + 2:
            found.append(f"test: names {names}; each needs its own, not empty and not 'validate'")
        return without(self, found)


@dataclass(frozen=True, config=STRICT)
class FoldConfig:
    """One network of an ensemble: what it learns from, and what is kept from it to choose the threshold by."""

    train: tuple[VolumeConfig, ...] = ()
    validate: VolumeConfig | None = None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        found = _for_scoring_alone(self.train)
        if not (self.train and self.validate):
            found.append("each needs [[folds.train]] and [folds.validate]")
        return without(self, found)
