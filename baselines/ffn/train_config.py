"""The table [train] of a flood-filling network's experiment."""

from dataclasses import field
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from baselines.common.config import ScheduleConfig
from baselines.common.config_types import STRICT, Count, Fraction, Positive, without


@dataclass(frozen=True, config=STRICT)
class FfnTrainConfig:
    """How to train. A step is one field of view of each of the ``batch`` objects (per process) that advance at once.

    Thresholds and the probabilities of the first voxel and of voxels not visited yet are those of inference.
    movement : ``fixed`` tries all 26 moves by one delta, ``max_pred_moves`` goes where the output is strongest.
    fov_moves : moves along one axis that an example has room for; more than 1 only with ``max_pred_moves``.
    min_object_voxels : smaller objects are no class of examples.
    given_share : share of the examples that begin with a part of the object around the first voxel, up to the half of
    the field of view, so that a network learns sooner to follow what it is told. 0, as published: the voxel alone.
    steps, optimizer : those of the published FIB-25 network. On one processor or GPU take ``adam`` and fewer steps.
    clip : each entry of a gradient is cut to this size; 0 for none.
    still_steps : so many first steps an object has one field of view, without moves. Moves lead through thick objects
    alone until the network knows thin ones, which it then hardly sees. 0, as published: moves from the beginning.
    average : decay of the running mean of the weights, which inference uses; 0 uses the last weights, as published.
    start : what a new training begins with: a checkpoint of the same network (.pt). Random weights where it is empty.
    workers : threads that make examples ahead; 0 makes each when it is needed.
    """

    steps: Positive = 27_465_036
    batch: Positive = 4
    optimizer: Literal["adam", "sgd"] = "sgd"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    momentum: Fraction = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    clip: Annotated[float, Field(ge=0)] = 0.7
    movement: Literal["fixed", "max_pred_moves"] = "fixed"
    fov_moves: Positive = 1
    min_object_voxels: Count = 10_000
    given_share: Fraction = 0.0
    still_steps: Count = 0
    average: Fraction = 0.0
    start: str = ""
    workers: Count = 1
    checkpoint_every: Positive = 500
    validate_every: Count = 0
    log_every: Positive = 20
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        found = []
        if self.movement == "fixed" and self.fov_moves != 1:
            found.append(f"fov_moves {self.fov_moves} with movement 'fixed', which moves once; expected 1")
        if self.optimizer == "adam" and self.momentum:
            found.append(f"momentum {self.momentum} with optimizer 'adam', which has betas; expected 0")
        if self.schedule.cycles != 1:
            found.append(f"schedule.cycles {self.schedule.cycles}; expected 1: inference uses one network")
        return without(self, found)

    @property
    def cycle_steps(self) -> int:
        """Steps of the schedule."""
        return self.steps
