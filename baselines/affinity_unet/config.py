"""Tables of an affinity U-Net's experiment: network, training, prediction, segmentation, folds."""

import dataclasses
import math
from dataclasses import field
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from baselines.common.config import ExperimentConfig, ScheduleConfig
from baselines.common.config_data import DataConfig, FoldConfig
from baselines.common.config_types import STRICT, Count, FloatTriple, Fraction, Positive, Span, Triple, without

NEAREST: tuple[Triple, ...] = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
LONG_RANGE: tuple[Triple, ...] = (
    (2, 0, 0), (0, 3, 0), (0, 0, 3),
    (3, 0, 0), (0, 9, 0), (0, 0, 9),
    (4, 0, 0), (0, 27, 0), (0, 0, 27),
)  # fmt: skip


@dataclass(frozen=True, config=STRICT)
class ModelConfig:
    """Residual symmetric U-Net. widths : channels per scale. pool : factors between scales.

    stem : stride of the first convolution. The last layer undoes it by spreading channels over space. [1,1,1] is
    published; [2,2,2] takes a quarter of the time on isotropic volumes.
    offsets : (dz,dy,dx) of each output channel. The first three are the nearest neighbours, which inference uses.
    """

    widths: tuple[Positive, ...] = (16, 32, 64, 128)
    pool: tuple[Triple, ...] = ((1, 2, 2), (1, 2, 2), (1, 2, 2))
    io_kernel: Triple = (1, 5, 5)
    stem: Triple = (1, 1, 1)
    norm: Literal["batch", "group"] = "batch"
    offsets: tuple[Triple, ...] = NEAREST + LONG_RANGE

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        found = []
        if len(self.pool) != len(self.widths) - 1:
            found.append(f"pool has {len(self.pool)} factors for {len(self.widths)} widths; expected one fewer")
        if self.offsets[:3] != NEAREST:
            found.append("offsets must begin with the nearest neighbours [1,0,0], [0,1,0], [0,0,1]")
        return without(self, found)

    @property
    def patch_unit_zyx(self) -> Triple:
        """Voxels that a patch must be a multiple of along each axis."""
        z, y, x = (math.prod(factors) for factors in zip(self.stem, *self.pool, strict=True))
        return z, y, x


@dataclass(frozen=True, config=STRICT)
class HolesConfig:
    """More weight for missing links near which no membrane is predicted (baselines/affinity_unet/loss.py).

    hole_weight : 0 for none, as published.
    hole_weight_from_step : the weight is 1 before this step. A network that knows no membranes yet sees holes
    everywhere.
    """

    hole_weight: Annotated[float, Field(ge=0)] = 0.0
    hole_weight_from_step: Count = 0


@dataclass(frozen=True, config=STRICT)
class TrainConfig:
    """How to train. Sizes in voxels; ``batch`` is per process; ``checkpoint_every`` and the like in steps.

    start : what a new training begins with: a checkpoint of the same network (.pt), or a configuration to train first
    (.toml). Random weights where it is empty.
    margin : predictions this close to their target add nothing to the loss.
    average : decay of the running mean of the weights, which inference uses; 0 uses the last weights, as published.
    With a mean and a constant rate, a run can be stopped at any step.
    workers : processes that make crops; 0 makes them in the training process.
    """

    steps: Positive = 1_000_000
    patch: Triple = (20, 256, 256)
    batch: Positive = 1
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    class_balance: bool = True
    long_range_weight: float = 1.0
    margin: Fraction = 0.0
    clip_norm: float = 0.0
    average: Fraction = 0.0
    start: str = ""
    workers: Count = 1
    checkpoint_every: Positive = 500
    validate_every: Count = 0
    log_every: Positive = 20
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    holes: HolesConfig = field(default_factory=HolesConfig)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        found = []
        if self.steps % self.schedule.cycles:
            cycles = self.schedule.cycles
            found.append(f"steps {self.steps} in schedule.cycles {cycles}; expected cycles of equal length")
        return without(self, found)

    @property
    def cycle_steps(self) -> int:
        """Steps of one cycle."""
        return self.steps // self.schedule.cycles


@dataclass(frozen=True, config=STRICT)
class PredictConfig:
    """Inference: patches on a grid with the given overlap (fraction), blended by a bump.

    tile : rows and columns that one worker holds at a time; 0 for the whole section.
    chunk : chunk of the affinity store. test_time : number of flips and transposes to average.
    """

    patch: Triple = (20, 256, 256)
    overlap: FloatTriple = (0.5, 0.5, 0.5)
    tile: Span = (0, 0)
    chunk: Triple = (32, 128, 128)
    test_time: Literal[1, 4, 8, 16] = 1
    batch: Positive = 1

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        found = []
        if not all(0 <= o < 1 for o in self.overlap):
            found.append(f"overlap {self.overlap}; expected fractions from 0 to below 1")
        if any(tile % chunk for tile, chunk in zip(self.tile, self.chunk[1:], strict=True)):
            found.append(f"tile {self.tile} must be a multiple of chunk {self.chunk[1:]} (y, x)")
        return without(self, found)


@dataclass(frozen=True, config=STRICT)
class LargeRuleConfig:
    """Two segments of at least ``large_segment_voxels`` each join only at a mean affinity of ``min_affinity`` or above.

    The rule holds however low the threshold is. 0 voxels: no rule, as published.
    """

    large_segment_voxels: Count = 0
    min_affinity: Fraction = 0.5


@dataclass(frozen=True, config=STRICT)
class SegmentConfig:
    """Watershed and agglomeration. Affinities and thresholds in 0..1, sizes in voxels.

    high, low : links at or above ``high`` always join, links at or below ``low`` never do.
    min_fragment_voxels : smaller fragments join their strongest neighbour. dust : smaller segments become background.
    block, halo : blocks of the volume, and the context around each.
    thresholds : those that are compared. threshold : the one to write; without it the best on the validation volume.
    """

    high: Fraction = 0.99
    low: Fraction = 0.01
    min_fragment_voxels: Count = 200
    dust: Count = 200
    threshold: Fraction | None = None
    thresholds: tuple[Fraction, ...] = tuple(round(0.05 * i, 2) for i in range(2, 19))
    block: Triple = (64, 512, 512)
    halo: Triple = (8, 32, 32)
    large_rule: LargeRuleConfig = field(default_factory=LargeRuleConfig)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        found = []
        if self.low >= self.high:
            found.append(f"low {self.low} and high {self.high}; expected low below high")
        return without(self, found)


@dataclass(frozen=True, config=STRICT)
class UnetConfig(ExperimentConfig):
    """Everything about one experiment of the affinity U-Net.

    folds : instead of data.train and data.validate. A network is trained for each, and inference averages all of them.
    The threshold is the best on what was kept from the networks, each part predicted by the one that did not learn it.
    """

    method: Literal["affinity_unet"] = "affinity_unet"
    folds: tuple[FoldConfig, ...] = ()
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    predict: PredictConfig = field(default_factory=PredictConfig)
    segment: SegmentConfig = field(default_factory=SegmentConfig)

    def contradictions(self) -> list[str]:
        """What does not fit together, one line each."""
        found = super().contradictions()
        for name, patch in (("train.patch", self.train.patch), ("predict.patch", self.predict.patch)):
            for axis, (n, unit) in enumerate(zip(patch, self.model.patch_unit_zyx, strict=True)):
                if n < 1 or n % unit:
                    found.append(f"{name} {patch} must be a multiple of {unit} along axis {'zyx'[axis]} (pooling)")
        if self.folds and (self.data.train or self.data.validate or self.checkpoint):
            found.append("folds have their own volumes and networks; data.train, data.validate and checkpoint must go")
        return found

    def fold(self, index: int) -> "UnetConfig":
        """The experiment of one fold: its own volumes and seed, nothing to report on."""
        fold = self.folds[index]
        return dataclasses.replace(
            self, name=f"{self.name}-{index}", seed=self.seed + index, data=DataConfig(fold.train, fold.validate),
            folds=(), benchmark="",
        )  # fmt: skip
