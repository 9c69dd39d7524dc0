"""Tables of a flood-filling network's experiment: network, training, inference, and what follows inference."""

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from baselines.common.config import ComputeConfig, ExperimentConfig
from baselines.common.config_types import STRICT, Count, Fraction, Positive, Triple
from baselines.ffn.train_config import FfnTrainConfig

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
class InferenceConfig:
    """How objects are filled. Sizes in voxels; the defaults are those of the published FIB-25 run.

    seed_probability : probability of the seed at the start.   pad_probability : of voxels that were not visited yet.
    move_probability : the network moves to a place with at least this probability.
    segment_probability : a voxel with at least this probability belongs to the object.
    disconnected : if a larger share of the field of view reaches ``move_probability``, voxels that were unlikely stay
    so; negative switches the rule off.
    min_boundary_distance : least distance of a seed from other objects.   min_voxels : smaller objects are dropped.
    subvolume, overlap : a larger volume is filled in pieces of this size, which share this much with their neighbours.
    same_object : objects of two pieces are one if they share this part of the smaller one in the overlap.
    batch : fields of view in one forward pass, each of another piece.
    save_probabilities : also store the probability with which each voxel belongs to its object.
    fill_blank : at the end, seeds that lie in no object are tried again for objects of at least this many voxels; 0
    switches this off.
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
    """Consensus of two segmentations, which keeps together what both keep together.

    second : how the other segmentation is made: ``reversed`` takes the same seeds in the opposite order; ``coarser``
    fills the image at a lower resolution; ``none`` for no consensus.
    coarser : voxels of the image that become one of the coarser image, along each axis.
    min_voxels : smaller objects of the consensus are dropped.
    """

    second: Literal["none", "reversed", "coarser"] = "none"
    coarser: tuple[Positive, Positive, Positive] = (1, 2, 2)
    min_voxels: Count = 1000


@dataclass(frozen=True, config=STRICT)
class AgglomerateConfig:
    """Agglomeration: where two objects come closest, both are filled again, and the two results are compared.

    Sizes in voxels. The defaults are published for voxels that are twice as long along z; for isotropic ones take
    cubes.
    enabled : off by default, as in the AxonEM paper.   limit_nm : objects that meet when grown this far are a pair.
    max_smaller_voxels : only pairs whose smaller object has at most this many voxels; 0 for all pairs.
    radius : of the canvas around the point.   analysis_radius : of the box in it that is compared.
    exclusion_radius : no seed is tried this near to one that failed.   attempts : seeds to try in each object.
    recovery : a seed fails if it finds less than this share of its own object.   stop_early : do not fill the second
    object if the result of the first one already decides against joining.
    Two objects are joined if
    min_iou : the intersection over union of the two results is above this,
    min_recovery : each result has more than this share of each object, and
    max_deleted : in at least one result, voxels that the network took back, divided by its voxels, are below this.
    """

    enabled: bool = False
    limit_nm: Annotated[float, Field(ge=0)] = 100.0
    max_smaller_voxels: Count = 0
    radius: Triple = (25, 50, 50)
    analysis_radius: Triple = (17, 34, 34)
    exclusion_radius: Triple = (4, 8, 8)
    attempts: Positive = 8
    recovery: Fraction = 0.6
    stop_early: bool = True
    min_iou: Fraction = 0.8
    min_recovery: Fraction = 0.6
    max_deleted: Annotated[float, Field(ge=0)] = 0.02

    def contradictions(self, fov: Triple) -> list[str]:
        """What does not fit together, given the field of view of the network; one line each."""
        found = []
        if any(r < n // 2 for r, n in zip(self.radius, fov, strict=True)):
            found.append(f"agglomerate.radius {self.radius}; no field of view of {fov} fits into such a canvas")
        if any(not 0 <= a <= r for a, r in zip(self.analysis_radius, self.radius, strict=True)):
            found.append(f"agglomerate.analysis_radius {self.analysis_radius}; expected 0 to the radius {self.radius}")
        if min(self.exclusion_radius) < 0:
            found.append(f"agglomerate.exclusion_radius {self.exclusion_radius}; expected no negative numbers")
        if self.stop_early and self.min_recovery < self.recovery:
            found.append(
                f"agglomerate.min_recovery {self.min_recovery} below recovery {self.recovery}, with which stop_early "
                "leaves objects out; expected at least as much, or stop_early = false"
            )
        return found


@dataclass(frozen=True, config=STRICT)
class GrowConfig:
    """Growth of the finished objects into the blank, by watershed on the grey values; membranes, dark, come last.

    limit_nm : no farther than this from an object; 0 for none, as published.
    """

    limit_nm: Annotated[float, Field(ge=0)] = 0.0


@dataclass(frozen=True, config=STRICT)
class FfnComputeConfig(ComputeConfig):
    """What computes. float32 is the reference; bfloat16 is faster and may give other objects.

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
    grow: GrowConfig = field(default_factory=GrowConfig)
    compute: FfnComputeConfig = field(default_factory=FfnComputeConfig)

    def contradictions(self) -> list[str]:
        """What does not fit together, one line each."""
        found = super().contradictions()
        fov, deltas, pieces = self.model.fov, self.model.deltas, self.inference
        if any(n < 1 or n % 2 == 0 for n in fov):
            found.append(f"model.fov {fov}; expected odd numbers of voxels, so that there is a centre")
        if any(d < 0 or 2 * d + 1 > n for d, n in zip(deltas, fov, strict=True)) or not any(deltas):
            found.append(f"model.deltas {deltas}; expected moves that stay inside the field of view {fov}, not all 0")
        if self.train.validate_every and self.data.validate is None:
            found.append(
                f"train.validate_every {self.train.validate_every} needs [data.validate]; expected a volume there"
            )
        if pieces.move_probability > pieces.seed_probability:
            found.append(
                f"inference.move_probability {pieces.move_probability} is above inference.seed_probability "
                f"{pieces.seed_probability}: no object would begin; expected at most that"
            )
        if any(not 0 <= o < n for o, n in zip(pieces.overlap, pieces.subvolume, strict=True)):
            found.append(f"inference.overlap {pieces.overlap}; expected 0 to below the subvolume {pieces.subvolume}")
        if pieces.fill_blank >= pieces.min_voxels:
            found.append(f"inference.fill_blank {pieces.fill_blank}; expected less than min_voxels {pieces.min_voxels}")
        if any(s < n for s, n in zip(pieces.subvolume, fov, strict=True)):
            found.append(f"inference.subvolume {pieces.subvolume}; expected at least the field of view {fov}")
        if self.agglomerate.enabled:
            found += self.agglomerate.contradictions(fov)
        return found
