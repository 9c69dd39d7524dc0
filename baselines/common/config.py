"""One TOML file describes one experiment; it becomes frozen dataclasses, and an unknown key is an error.

All arrays and triples are z,y,x. Paths are relative to the folder of the TOML file unless they are absolute.
"""

import dataclasses
import os
import tomllib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axonem_eval.errors import Complaint, InputError

Triple = tuple[int, int, int]
FloatTriple = tuple[float, float, float]

NEAREST: tuple[Triple, ...] = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
LONG_RANGE: tuple[Triple, ...] = (
    (2, 0, 0), (0, 3, 0), (0, 0, 3),
    (3, 0, 0), (0, 9, 0), (0, 0, 9),
    (4, 0, 0), (0, 27, 0), (0, 0, 27),
)  # fmt: skip
VOLUME_KINDS = ("pair", "fib25", "snemi3d", "cremi", "axonem", "synthetic")


@dataclass(frozen=True)
class VolumeConfig:
    """Where a volume of grey values and labels comes from.

    kind : pair (``raw`` and ``labels`` files, HDF5 datasets as file.h5:name), fib25, snemi3d, cremi, axonem (``path``
    is the folder or file of that data set), or synthetic (``shape`` and ``seed``; made on the spot).
    voxel_size_nm : where it is not the experiment's.
    z, y, x : half-open range of voxels to use, [first, end]; all of them by default.
    erode : voxels taken off each label at its boundary before affinities are computed; in the section's plane where
    voxels are anisotropic. spare_thin : but not where a body is too thin to lose them.
    raw_offset : first voxel of the labels in ``raw`` where raw is larger (padded).
    scored_z : sections that are scored, where those around them are context alone; their labels become 0. Not to train.
    axons_only : of kind synthetic, labels that are no axon become 0, so that scores are those of the demo.
    """

    kind: str = "pair"
    name: str = ""
    path: str = ""
    raw: str = ""
    labels: str = ""
    mask: str = ""
    voxel_size_nm: FloatTriple | None = None
    shape: Triple | None = None
    seed: int = 0
    z: tuple[int, int] | None = None
    y: tuple[int, int] | None = None
    x: tuple[int, int] | None = None
    raw_offset: Triple = (0, 0, 0)
    erode: int = 0
    spare_thin: bool = False
    scored_z: tuple[int, int] | None = None
    axons_only: bool = False


@dataclass(frozen=True)
class DataConfig:
    """Volumes: ``train`` to learn from, ``validate`` to choose the threshold by, ``test`` to report (by name)."""

    train: tuple[VolumeConfig, ...] = ()
    validate: VolumeConfig | None = None
    test: tuple[VolumeConfig, ...] = ()


@dataclass(frozen=True)
class FoldConfig:
    """One network of an ensemble: what it learns from, and what is kept from it to choose the threshold by."""

    train: tuple[VolumeConfig, ...] = ()
    validate: VolumeConfig | None = None


@dataclass(frozen=True)
class ModelConfig:
    """Residual symmetric U-Net. widths : channels per scale. pool : factors between scales.

    stem : stride of the first convolution, undone at the end by spreading channels over space; [1,1,1] is published,
    [2,2,2] costs a fourth on isotropic volumes.
    offsets : (dz,dy,dx) of each output channel; the first three are the nearest neighbours and reach inference.
    """

    widths: tuple[int, ...] = (16, 32, 64, 128)
    pool: tuple[Triple, ...] = ((1, 2, 2), (1, 2, 2), (1, 2, 2))
    io_kernel: Triple = (1, 5, 5)
    stem: Triple = (1, 1, 1)
    norm: str = "batch"
    offsets: tuple[Triple, ...] = NEAREST + LONG_RANGE


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Sizes in voxels; ``batch`` is per process; ``log_every`` and the like in steps.

    schedule : constant as published, cosine, or trapezoid: constant, then linear to a hundredth over the last
    ``cooldown_steps``. Until those begin, the number of steps may still be changed.
    cycles : how often the schedule is run through, warm-up included, each time in ``steps / cycles`` steps. Inference
    takes the mean of the networks at the ends of the cycles (snapshot ensembles: Huang et al. 2017).
    average : decay of the running mean of the weights that inference takes; 0 takes the last weights, as published.
    With a mean and a constant rate, a run may be stopped at any step.
    start : what a new training begins with, a checkpoint of the same network (.pt) or a configuration to train first
    (.toml); random weights where it is empty.
    hole_weight : more weight for missing links near which no membrane is predicted (baselines/affinity_unet/loss.py),
    from step ``hole_from`` on: before a network knows membranes, every place is a hole. 0 for none, as published.
    autocast : number type of training and inference, bfloat16 or float32; auto takes what the device is fast at.
    compile, compile_loss : torch.compile of the network, of the loss. On CPU the loss alone gains.
    """

    steps: int = 1_000_000
    start: str = ""
    patch: Triple = (20, 256, 256)
    batch: int = 1
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: str = "constant"
    warmup_steps: int = 0
    cooldown_steps: int = 0
    cycles: int = 1
    clip_norm: float = 0.0
    average: float = 0.0
    long_range_weight: float = 1.0
    class_balance: bool = True
    margin: float = 0.0
    hole_weight: float = 0.0
    hole_from: int = 0
    workers: int = 1
    threads: int = 0
    device: str = "auto"
    autocast: str = "auto"
    compile: bool = False
    compile_loss: bool = False
    checkpoint_every: int = 500
    validate_every: int = 0
    log_every: int = 20

    @property
    def cycle_steps(self) -> int:
        """Steps of one cycle."""
        return self.steps // self.cycles


@dataclass(frozen=True)
class AugmentConfig:
    """Probability of each augmentation per crop, and its reach. Pixels are in the section's plane.

    slip : one section lies aside. translation : all sections from there on do. lost : a section is gone.
    missing : sections are blank, wholly or in part. blur : sections out of focus, sigma up to ``blur_sigma``.
    """

    flip: bool = True
    grey: float = 0.7
    grey_contrast: float = 0.5
    grey_brightness: float = 0.5
    misalign: float = 0.5
    misalign_pixels: int = 25
    slip_share: float = 0.3
    missing: float = 0.3
    missing_sections: int = 5
    lost: float = 0.1
    blur: float = 0.5
    blur_sections: int = 5
    blur_sigma: float = 5.0
    box: float = 0.5
    box_pixels: tuple[int, int] = (6, 30)
    noise: float = 0.0
    warp: float = 0.7
    rotate_degrees: float = 45.0
    scale: tuple[float, float] = (0.9, 1.1)
    shear_degrees: float = 3.0
    elastic_pixels: float = 4.0
    elastic_spacing: int = 32


@dataclass(frozen=True)
class PredictConfig:
    """Inference: patches on a grid with the given overlap (fraction), blended by a bump.

    tile : rows and columns that one worker holds at a time; 0 for the whole section.
    chunk : chunk of the affinity store. test_time : flips and transposes to average, 1, 4, 8 or 16.
    """

    patch: Triple = (20, 256, 256)
    overlap: FloatTriple = (0.5, 0.5, 0.5)
    tile: tuple[int, int] = (0, 0)
    chunk: Triple = (32, 128, 128)
    test_time: int = 1
    batch: int = 1


@dataclass(frozen=True)
class SegmentConfig:
    """Watershed and agglomeration. Affinities and thresholds in 0..1, sizes in voxels.

    high, low : affinities at or above ``high`` always join, at or below ``low`` never. size : fragments smaller than
    this join their strongest neighbour. dust : segments smaller than this become background. block, halo : voxels.
    large, large_threshold : two segments of at least ``large`` voxels each join only at a mean affinity of
    ``large_threshold`` or above, however low the threshold; 0 for no such rule, as published.
    thresholds : the sweep; threshold : the one to write, -1 to take the best of the sweep on the validation volume.
    """

    high: float = 0.99
    low: float = 0.01
    size: int = 200
    large: int = 0
    large_threshold: float = 0.5
    dust: int = 200
    block: Triple = (64, 512, 512)
    halo: Triple = (8, 32, 32)
    thresholds: tuple[float, ...] = tuple(round(0.05 * i, 2) for i in range(2, 19))
    threshold: float = -1.0
    processes: int = 1


@dataclass(frozen=True)
class EvaluateConfig:
    """Scoring: tolerance of ERL in nodes; ``choose_by`` is arand_error, voi_sum or erl (highest).

    choose_within : thresholds are compared by the mean score of all that are this near; 0 takes each by itself.
    """

    tolerance_nodes: int = 50
    target_voxel_nm: float = 30.0
    min_length_um: float = 0.0
    choose_by: str = "voi_sum"
    choose_within: float = 0.0


@dataclass(frozen=True)
class ExperimentConfig:
    """Everything about one experiment.

    benchmark : slug of the benchmark on the server that its test volumes belong to; their names are the volumes' slugs.
    checkpoint : shipped weights to use instead of training.
    folds : instead of data.train and data.validate; a network is trained for each, inference takes the mean of all. The
    threshold is the best on all that was kept from one of them, predicted by the network that did not learn from it.
    """

    name: str
    voxel_size_nm: FloatTriple
    seed: int = 0
    benchmark: str = ""
    checkpoint: str = ""
    data: DataConfig = field(default_factory=DataConfig)
    folds: tuple[FoldConfig, ...] = ()
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    predict: PredictConfig = field(default_factory=PredictConfig)
    segment: SegmentConfig = field(default_factory=SegmentConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    folder: str = field(default=".", metadata={"internal": True})

    @property
    def isotropic(self) -> bool:
        """Whether sections are no thicker than 1.5 pixels, so that z is an axis like the others."""
        z, y, x = self.voxel_size_nm
        return z <= 1.5 * min(y, x)

    def voxel_size_of(self, volume: VolumeConfig) -> FloatTriple:
        """nm along z, y, x of a volume."""
        return volume.voxel_size_nm or self.voxel_size_nm

    def fold(self, index: int) -> "ExperimentConfig":
        """The experiment of one fold by itself: its own volumes and seed, nothing to report on."""
        fold = self.folds[index]
        data = DataConfig(fold.train, fold.validate)
        return dataclasses.replace(
            self, name=f"{self.name}-{index}", seed=self.seed + index, data=data, folds=(), benchmark=""
        )

    def resolve(self, path: str) -> Path:
        """A path of the TOML file, relative to its folder; a dataset (file.h5:name) stays."""
        return Path(path) if os.path.isabs(path) else Path(self.folder) / path

    def to_json(self) -> dict[str, Any]:
        """The experiment as plain JSON, without where the file lay."""
        values = dataclasses.asdict(self)
        del values["folder"]
        return values


def load_config(path: str | Path) -> ExperimentConfig:
    """Read a TOML file. Raises InputError with every complaint about it."""
    file = Path(path)
    try:
        values = tomllib.loads(file.read_text())
    except FileNotFoundError:
        raise InputError.of("no_config", f"{file}: no such file; the shipped ones are in baselines/configs") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError.of("bad_toml", f"{file}: not valid TOML: {error}") from None
    return config_from(values, where=str(file), folder=str(file.parent))


def config_from(values: dict[str, Any], *, where: str = "config", folder: str = ".") -> ExperimentConfig:
    """Experiment from plain values. Raises InputError with every complaint about them."""
    complaints: list[Complaint] = []
    config = _build(ExperimentConfig, values, where, complaints)
    if config is not None:
        complaints += [Complaint("bad_value", f"{where}: {text}") for text in _contradictions(config)]
    if complaints:
        raise InputError(complaints)
    assert config is not None
    return dataclasses.replace(config, folder=folder)


def _build(kind: type, values: Any, where: str, complaints: list[Complaint]) -> Any:
    """A dataclass from a table; complains of unknown, missing and ill-typed keys, and returns None then."""
    if not isinstance(values, dict):
        complaints.append(Complaint("bad_type", f"{where}: found {values!r}, expected a table"))
        return None
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind) if "internal" not in f.metadata}
    before = len(complaints)
    for key in sorted(set(values) - set(fields)):
        known = ", ".join(fields)
        complaints.append(Complaint("unknown_key", f"{where}: unknown key {key!r}; it may have {known}"))
    arguments = {}
    for name, spec in fields.items():
        if name in values:
            arguments[name] = _convert(hints[name], values[name], f"{where}: {name}", complaints)
        elif spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
            complaints.append(Complaint("missing_key", f"{where}: key {name!r} is missing"))
    return kind(**arguments) if len(complaints) == before else None


def _convert(kind: Any, value: Any, where: str, complaints: list[Complaint]) -> Any:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _convert(next(a for a in args if a is not type(None)), value, where, complaints)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _build(kind, value, where, complaints)
    if origin is tuple:
        return _convert_tuple(args, value, where, complaints)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        complaints.append(Complaint("bad_type", f"{where}: found {value!r}, expected {kind.__name__}"))
    return value


def _convert_tuple(args: tuple[Any, ...], value: Any, where: str, complaints: list[Complaint]) -> Any:
    if not isinstance(value, list | tuple):
        complaints.append(Complaint("bad_type", f"{where}: found {value!r}, expected a list"))
        return ()
    if args[-1] is Ellipsis:
        return tuple(_convert(args[0], v, f"{where}[{i}]", complaints) for i, v in enumerate(value))
    if len(value) != len(args):
        complaints.append(Complaint("bad_length", f"{where}: {len(value)} values, expected {len(args)}"))
        return ()
    return tuple(_convert(a, v, f"{where}[{i}]", complaints) for i, (a, v) in enumerate(zip(args, value, strict=True)))


def _contradictions(config: ExperimentConfig) -> list[str]:
    """What no single field shows."""
    model, train, predict, segment = config.model, config.train, config.predict, config.segment
    found = []
    if min(config.voxel_size_nm) <= 0:
        found.append(f"voxel_size_nm {config.voxel_size_nm} has a length that is not positive")
    if len(model.pool) != len(model.widths) - 1:
        found.append(f"model.pool has {len(model.pool)} factors for {len(model.widths)} widths; expected one fewer")
    if model.norm not in ("batch", "group"):
        found.append(f"model.norm {model.norm!r}; expected batch or group")
    if model.offsets[:3] != NEAREST:
        found.append("model.offsets must begin with the nearest neighbours [1,0,0], [0,1,0], [0,0,1]")
    for name, patch in (("train.patch", train.patch), ("predict.patch", predict.patch)):
        for axis in range(3):
            factor = model.stem[axis]
            for pool in model.pool:
                factor *= pool[axis]
            if patch[axis] < 1 or patch[axis] % factor:
                found.append(f"{name} {patch} must be a multiple of {factor} along axis {'zyx'[axis]} (pooling)")
    for name, value, allowed in (
        ("train.schedule", train.schedule, ("constant", "cosine", "trapezoid")),
        ("train.autocast", train.autocast, ("auto", "bfloat16", "float32")),
        ("train.device", train.device, ("auto", "cpu", "cuda")),
        ("predict.test_time", predict.test_time, (1, 4, 8, 16)),
        ("evaluate.choose_by", config.evaluate.choose_by, ("arand_error", "voi_sum", "erl")),
    ):
        if value not in allowed:
            found.append(f"{name} {value!r}; expected one of {', '.join(map(str, allowed))}")
    if config.evaluate.choose_within < 0:
        found.append(f"evaluate.choose_within {config.evaluate.choose_within}; expected 0 or more")
    if (train.schedule == "trapezoid") != (train.cooldown_steps > 0):
        found.append(
            f"train.cooldown_steps {train.cooldown_steps} with schedule {train.schedule!r}; the trapezoid, and "
            "it alone, needs a positive number"
        )
    if train.cycles < 1 or train.steps % train.cycles:
        found.append(f"train.steps {train.steps} in train.cycles {train.cycles}; expected cycles of equal length")
    if not all(0 <= o < 1 for o in predict.overlap):
        found.append(f"predict.overlap {predict.overlap}; expected fractions from 0 to below 1")
    if not 0 <= segment.low < segment.high <= 1:
        found.append(f"segment.low {segment.low} and high {segment.high}; expected 0 <= low < high <= 1")
    if segment.large < 0 or not 0 <= segment.large_threshold <= 1:
        found.append(
            f"segment.large {segment.large}, large_threshold {segment.large_threshold}; expected voxels and an "
            "affinity from 0 to 1"
        )
    if any(tile % chunk for tile, chunk in zip(predict.tile, predict.chunk[1:], strict=True)):
        found.append(f"predict.tile {predict.tile} must be a multiple of predict.chunk {predict.chunk[1:]} (y, x)")
    if config.folds and (config.data.train or config.data.validate or config.checkpoint):
        found.append("folds have their own volumes and networks; data.train, data.validate and checkpoint must go")
    if config.folds and any(not (fold.train and fold.validate) for fold in config.folds):
        found.append("folds: each needs [[folds.train]] and [folds.validate]")
    trained = [*config.data.train, *(volume for fold in config.folds for volume in fold.train)]
    kept = [volume for volume in (config.data.validate, *(fold.validate for fold in config.folds)) if volume]
    for volume in (*trained, *config.data.test, *kept):
        if volume.kind not in VOLUME_KINDS:
            found.append(f"data: kind {volume.kind!r}; expected one of {', '.join(VOLUME_KINDS)}")
    if any(volume.scored_z or volume.axons_only for volume in trained):
        found.append("data.train: scored_z and axons_only leave voxels without labels; they are for scoring alone")
    names = [volume.name for volume in config.data.test]
    if len({*names, "validate", ""}) < len(names) + 2:
        found.append(f"data.test: names {names}; each needs its own, not empty and not 'validate'")
    return found
