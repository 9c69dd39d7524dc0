"""What the TOML file of any experiment may hold. Every value that a file leaves out is the published one.

Each method has its own tables besides: baselines/affinity_unet/config.py, baselines/ffn/config.py.

All arrays and triples are z,y,x. Paths are relative to the folder of the TOML file unless they are absolute.
"""

import os
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, TypeAdapter, model_validator
from pydantic.dataclasses import dataclass

from baselines.common.config_data import DataConfig, VolumeConfig
from baselines.common.config_types import STRICT, Count, FloatTriple, Fraction, Positive, Span, without


@dataclass(frozen=True, config=STRICT)
class AugmentConfig:
    """Probability of each augmentation per crop, and its reach. Pixels are in the section's plane.

    slip_share : share of misalignments that move one section alone, instead of all sections from there on.
    missing : sections are blank, wholly or in part. lost : a section is gone. blur : sections out of focus, sigma up
    to ``blur_sigma``.
    """

    flip: bool = True
    grey: Fraction = 0.7
    grey_contrast: float = 0.5
    grey_brightness: float = 0.5
    misalign: Fraction = 0.5
    misalign_pixels: Count = 25
    slip_share: Fraction = 0.3
    missing: Fraction = 0.3
    missing_sections: Count = 5
    lost: Fraction = 0.1
    blur: Fraction = 0.5
    blur_sections: Count = 5
    blur_sigma: float = 5.0
    box: Fraction = 0.5
    box_pixels: Span = (6, 30)
    noise: float = 0.0
    warp: Fraction = 0.7
    rotate_degrees: float = 45.0
    scale: tuple[float, float] = (0.9, 1.1)
    shear_degrees: float = 3.0
    elastic_pixels: float = 4.0
    elastic_spacing: Positive = 32


@dataclass(frozen=True, config=STRICT)
class ScheduleConfig:
    """Learning rate over the steps.

    kind : constant as published; cosine; or trapezoid, which is constant, then falls linearly to a hundredth over the
    last ``cooldown_steps``. Until those begin, the number of steps can still be changed.
    cycles : how often the schedule is repeated, warm-up included, each time in ``steps / cycles`` steps. Inference
    averages the networks at the ends of the cycles (snapshot ensembles: Huang et al. 2017).
    """

    kind: Literal["constant", "cosine", "trapezoid"] = "constant"
    warmup_steps: Count = 0
    cooldown_steps: Count = 0
    cycles: Positive = 1

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        found = []
        if (self.kind == "trapezoid") != (self.cooldown_steps > 0):
            found.append(
                f"cooldown_steps {self.cooldown_steps} with kind {self.kind!r}; only the trapezoid needs a number "
                "above 0"
            )
        return without(self, found)


@dataclass(frozen=True, config=STRICT)
class EvaluateConfig:
    """Scoring. choose_by : the score that chooses the threshold; the lowest error, or the highest ERL.

    threshold_window : each threshold is judged by the mean score of all thresholds this close; 0 for itself alone.
    """

    tolerance_nodes: Positive = 50
    target_voxel_nm: float = 30.0
    min_length_um: float = 0.0
    choose_by: Literal["arand_error", "voi_sum", "erl"] = "voi_sum"
    threshold_window: Annotated[float, Field(ge=0)] = 0.0


@dataclass(frozen=True, config=STRICT)
class ComputeConfig:
    """What computes. precision : number type of training and inference; auto uses what the device is fast at.

    threads : of PyTorch on CPU; 0 for its default, one a core. Results depend on their number by rounding.
    compile_network, compile_loss : torch.compile. On CPU only the loss gains.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    threads: Count = 0
    compile_network: bool = False
    compile_loss: bool = False


@dataclass(frozen=True, config=STRICT)
class ExperimentConfig:
    """What experiments of all methods share; each method adds its own tables.

    benchmark : slug of the benchmark on the server that its test volumes belong to; their names are the volumes' slugs.
    checkpoint : weights to use instead of training.
    method : what segments, by the name of its package.
    folder : where the TOML file lies; not a key of it.
    """

    name: str
    voxel_size_nm: FloatTriple
    method: str = ""
    seed: int = 0
    benchmark: str = ""
    checkpoint: str = ""
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    folder: str = "."

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        return without(self, self.contradictions())

    def contradictions(self) -> list[str]:
        """What does not fit together, one line each; a method adds its own."""
        if min(self.voxel_size_nm) <= 0:
            return [f"voxel_size_nm {self.voxel_size_nm} has a length that is not positive"]
        return []

    @property
    def isotropic(self) -> bool:
        """Whether sections are no thicker than 1.5 pixels, so that z is an axis like the others."""
        z, y, x = self.voxel_size_nm
        return z <= 1.5 * min(y, x)

    def voxel_size_of(self, volume: VolumeConfig) -> FloatTriple:
        """nm along z, y, x of a volume."""
        return volume.voxel_size_nm or self.voxel_size_nm

    def resolve(self, path: str) -> Path:
        """A path of the TOML file, relative to its folder; a dataset (file.h5:name) stays."""
        return Path(path) if os.path.isabs(path) else Path(self.folder) / path

    def to_json(self) -> dict[str, Any]:
        """The experiment as plain JSON, without where the file lay."""
        values: dict[str, Any] = TypeAdapter(type(self)).dump_python(self, mode="json", exclude={"folder"})
        return values
