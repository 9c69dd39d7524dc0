"""Tables of a flood-filling network's experiment: network, training, inference, consensus, agglomeration."""

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from baselines.common.config import ComputeConfig, ExperimentConfig
from baselines.common.config_types import STRICT, Count, Fraction, Positive, Triple

# Of a logit: neither 0 nor 1 has one.
Probability = Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True, config=STRICT)
class FfnModelConfig:
    """Residual stack of convolutions. The defaults are those of the AxonEM paper, for 7 x 7 x 40 and 8 x 8 x 30 nm.

    depth : modules of two convolutions.   features : channels between.   fov : voxels of the field of view, odd.
    deltas : voxels of a move.   grey_mean, grey_std : a grey value enters as (value - mean) / std, in training as in
    inference.
    """

    depth: Annotated[int, Field(ge=2)] = 9
    features: Positive = 32
    fov: Triple = (17, 33, 33)
    deltas: Triple = (4, 8, 8)
    grey_mean: float = 128.0
    grey_std: Annotated[float, Field(gt=0)] = 33.0


@dataclass(frozen=True, config=STRICT)
class FfnTrainConfig:
    """How to train; ``batch`` objects at a time, each of which advances by itself.

    clip : each entry of a gradient is cut to this size.   fov_moves : moves from the centre that an example reaches.
    movement : ``fixed`` moves by one delta in all 26 directions; ``max_pred_moves`` where the output is strongest.
    """

    steps: Positive = 10_000_000
    batch: Positive = 4
    learning_rate: float = 1e-3
    clip: float = 0.7
    seed_probability: Probability = 0.95
    pad_probability: Probability = 0.05
    move_probability: Probability = 0.9
    movement: Literal["fixed", "max_pred_moves"] = "fixed"
    fov_moves: Positive = 1
    checkpoint_every: Positive = 500
    validate_every: Count = 0
    log_every: Positive = 20


@dataclass(frozen=True, config=STRICT)
class InferenceConfig:
    """How objects are filled. Sizes in voxels; the defaults are those of the published FIB-25 run.

    seed_probability, pad_probability : of the first voxel, and of voxels not visited yet.
    move_probability : the network moves to a place from this on.   segment_probability : a voxel belongs from this on.
    disconnected : share of the field of view at which voxels that were unlikely may not become likely again;
    negative switches the rule off.
    min_boundary_distance : an object begins no nearer to another one.   min_voxels : smaller ones are dropped.
    subvolume, overlap : a larger volume is filled in pieces of this size, which share this much with their neighbours.
    same_object : two objects of neighbouring pieces are one where they share this much of the smaller in the overlap.
    batch : fields of view of one forward pass, each of another object or piece.
    save_probabilities : also store the probability of each voxel's object.
    fill_blank : then fill what was left blank, with objects from this many voxels on; 0 leaves it blank.
    """

    seed_probability: Probability = 0.95
    pad_probability: Probability = 0.05
    move_probability: Probability = 0.9
    segment_probability: Probability = 0.6
    disconnected: float = 0.0
    min_boundary_distance: Triple = (1, 1, 1)
    min_voxels: Positive = 1000
    subvolume: Triple = (256, 512, 512)
    overlap: Triple = (32, 64, 64)
    same_object: Fraction = 0.5
    batch: Positive = 1
    save_probabilities: bool = False
    fill_blank: Count = 0


@dataclass(frozen=True, config=STRICT)
class ConsensusConfig:
    """Consensus of two segmentations, which keeps what both hold together."""


@dataclass(frozen=True, config=STRICT)
class AgglomerateConfig:
    """Agglomeration by filling again where two objects touch."""


@dataclass(frozen=True, config=STRICT)
class FfnComputeConfig(ComputeConfig):
    """What computes. float32 is the reference; bfloat16 moves some objects' borders.

    channels_last : order of the network's values in memory. Convolutions are faster so; sums differ by rounding.
    """

    precision: Literal["auto", "bfloat16", "float32"] = "float32"
    channels_last: bool = True


@dataclass(frozen=True, config=STRICT)
class FfnConfig(ExperimentConfig):
    """Everything about one experiment of the flood-filling network.

    checkpoint : ours (.pt), or the prefix of one that TensorFlow wrote for google/ffn.
    """

    method: Literal["ffn"] = "ffn"
    model: FfnModelConfig = field(default_factory=FfnModelConfig)
    train: FfnTrainConfig = field(default_factory=FfnTrainConfig)
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    consensus: ConsensusConfig = field(default_factory=ConsensusConfig)
    agglomerate: AgglomerateConfig = field(default_factory=AgglomerateConfig)
    compute: FfnComputeConfig = field(default_factory=FfnComputeConfig)

    def contradictions(self) -> list[str]:
        """What does not fit together, one line each."""
        found = super().contradictions()
        fov, deltas, pieces = self.model.fov, self.model.deltas, self.inference
        if any(n < 1 or n % 2 == 0 for n in fov):
            found.append(f"model.fov {fov}; expected odd numbers of voxels, so that there is a centre")
        if any(d < 0 or 2 * d + 1 > n for d, n in zip(deltas, fov, strict=True)) or not any(deltas):
            found.append(f"model.deltas {deltas}; expected moves that stay inside the field of view {fov}, not all 0")
        if any(not 0 <= o < n for o, n in zip(pieces.overlap, pieces.subvolume, strict=True)):
            found.append(f"inference.overlap {pieces.overlap}; expected 0 to below the subvolume {pieces.subvolume}")
        if any(s < n for s, n in zip(pieces.subvolume, fov, strict=True)):
            found.append(f"inference.subvolume {pieces.subvolume}; expected at least the field of view {fov}")
        return found
