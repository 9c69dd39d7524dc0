"""Train the flood-filling network, on one CPU or on many GPUs by torchrun.

A run that is killed goes on from its last checkpoint and takes the steps that it would have taken: examples depend on
the seed and their number alone, and the checkpoint holds weights, optimiser and the objects at work.
"""

import copy
import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from axonem_eval.errors import InputError
from baselines.common.checkpoint import load_checkpoint, load_weights, save_checkpoint
from baselines.common.data import Volume
from baselines.common.device import move_to, pick_device, use_threads
from baselines.common.precision import autocast
from baselines.common.schedule import average_into, learning_rate
from baselines.common.training_loop import Loop, processes
from baselines.ffn.config import FfnConfig
from baselines.ffn.examples import ExampleOptions, ExampleStream
from baselines.ffn.model import ConvStack
from baselines.ffn.networks import new_network
from baselines.ffn.train_config import FfnTrainConfig
from baselines.ffn.training_objects import Fields, FillOptions, Objects, VoxelCounts

Validate = Callable[[ConvStack], dict[str, float]]


def object_loss(logits_BCDHW: Tensor, target_BCDHW: Tensor, weight_BCDHW: Tensor) -> Tensor:
    """Mean over all voxels of the weighted cross-entropy, as in google/ffn: voxels of weight 0 count as 0."""
    return binary_cross_entropy_with_logits(logits_BCDHW.float(), target_BCDHW, weight=weight_BCDHW)


def optimizer_of(network: nn.Module, options: FfnTrainConfig) -> torch.optim.Optimizer:
    """The configured optimiser."""
    if options.optimizer == "sgd":
        return torch.optim.SGD(network.parameters(), lr=options.learning_rate, momentum=options.momentum)
    return torch.optim.Adam(network.parameters(), lr=options.learning_rate, betas=options.betas)


def take_step(
    network: nn.Module, optimizer: torch.optim.Optimizer, fields: Fields, clip: float, precision: str
) -> tuple[float, Tensor]:
    """Learn from one field of view of each object; returns the loss, and the logits before the weights changed.

    clip : each entry of each gradient is cut to this size; 0 for none.
    """
    image, old = (part.contiguous(memory_format=torch.channels_last_3d) for part in (fields.image, fields.logits))
    with autocast(image.device, precision):
        new = network(image, old)
    loss = object_loss(new, fields.target, fields.weight)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    if clip > 0:
        nn.utils.clip_grad_value_(network.parameters(), clip)
    optimizer.step()
    return float(loss.detach()), new.detach()


@dataclass
class Training:
    """What training changes and a checkpoint keeps. mean : the running mean of the weights, None without one."""

    config: FfnConfig
    model: ConvStack
    mean: ConvStack | None
    optimizer: torch.optim.Optimizer
    objects: Objects
    step: int = 0

    @classmethod
    def begin(cls, config: FfnConfig, objects: Objects, device: torch.device, start: Path | None) -> "Training":
        """A new training with random weights, or with those of the checkpoint ``start``."""
        torch.manual_seed(config.seed)
        model = move_to(device, new_network(config.model))
        if start:
            load_weights(model, load_checkpoint(start), start)
        mean = copy.deepcopy(model).requires_grad_(False) if config.train.average > 0 else None
        return cls(config, model, mean, optimizer_of(model, config.train), objects)

    @property
    def for_inference(self) -> ConvStack:
        """The network that inference uses."""
        return self.mean or self.model

    def save(self, path: Path, slots: list[dict[str, Any]]) -> None:
        """Write a checkpoint: ``model`` for inference, ``learning`` where training differs, slots of all processes."""
        state = {
            "step": self.step,
            "model": self.for_inference.state_dict(),
            "learning": self.model.state_dict() if self.mean is not None else None,
            "optimizer": self.optimizer.state_dict(),
            "slots": slots,
            "counts": dataclasses.asdict(self.objects.counts),
            "config": json.dumps(self.config.to_json()),
        }
        save_checkpoint(path, state)

    def resume(self, path: Path, world: int, rank: int) -> None:
        """Go on from a checkpoint of the same training. Raises InputError where it had other objects at a time."""
        checkpoint = load_checkpoint(path)
        load_weights(self.model, checkpoint, path)
        batch = self.config.train.batch
        if len(checkpoint["slots"]) != world * batch:
            raise InputError.of(
                "other_batch",
                f"{path}: {len(checkpoint['slots'])} objects are at work in it, and train.batch {batch} on {world} "
                f"processes makes {world * batch}. Go on with the same number, or train in another folder",
            )
        if self.mean is not None:
            load_weights(self.mean, checkpoint, path)
            self.model.load_state_dict(checkpoint["learning"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.objects.restore(checkpoint["slots"][rank * batch : (rank + 1) * batch])
        self.objects.counts = VoxelCounts(**checkpoint["counts"]) if rank == 0 else VoxelCounts()
        self.step = int(checkpoint["step"])

    def count_step(self) -> None:
        """Put the weights of a step into their mean."""
        if self.mean is not None:
            average_into(self.mean, self.model, self.config.train.average, self.step)
        self.step += 1


def objects_of(config: FfnConfig, volumes: list[Volume], world: int = 1, rank: int = 0) -> Objects:
    """The objects that process ``rank`` of ``world`` learns from. Raises InputError where volumes are too small."""
    model, options, inference = config.model, config.train, config.inference
    what = ExampleOptions(
        model.fov, model.deltas, options.fov_moves, options.min_object_voxels, model.grey_mean, model.grey_std,
        config.isotropic, options.given_share,
    )  # fmt: skip
    how = FillOptions(
        model.fov, model.deltas, inference.seed_probability, inference.pad_probability, inference.move_probability,
        follow=options.movement == "max_pred_moves", moves=options.fov_moves,
    )  # fmt: skip
    stream = ExampleStream(volumes, what, config.augment, config.seed)
    first, n_slots = rank * options.batch, world * options.batch
    return Objects(stream, how, options.batch, first=first, n_slots=n_slots, workers=options.workers)


def train(
    config: FfnConfig,
    volumes: list[Volume],
    folder: Path,
    *,
    start: Path | None = None,
    validate: Validate | None = None,
    stop_after: int | None = None,
    quiet: bool = False,
) -> Path:
    """Train to ``config.train.steps`` and return the last checkpoint; goes on where an earlier run stopped.

    folder : holds last.pt, log.jsonl and, with the extra installed, TensorBoard's files.
    start : checkpoint whose weights a new run begins with.
    stop_after : stop at that step without finishing, for tests.
    """
    path = folder / "last.pt"
    use_threads(config.compute.threads)
    device = pick_device(config.compute.device)
    with processes(device) as ours:
        training = Training.begin(config, objects_of(config, volumes, ours.world, ours.rank), device, start)
        if path.exists():
            training.resume(path, ours.world, ours.rank)
        learner = ours.one_for_all(training.model)
        if config.compute.compile_network:
            learner.compile()
        Loop(folder, ours.rank == 0, validate, stop_after, quiet).run(
            training,
            lambda: _step(learner, training, device),
            lambda: _save(training, path, ours.world, ours.rank),
            lambda: _fill_scores(training),
        )
        training.objects.close()
    return path


def _step(learner: nn.Module, training: Training, device: torch.device) -> float:
    """One step of all objects; returns the loss. Raises RuntimeError where it is not finite."""
    config = training.config
    for group in training.optimizer.param_groups:
        group["lr"] = learning_rate(config.train, training.step)
    fields = training.objects.take().to(device)
    loss, new = take_step(learner, training.optimizer, fields, config.train.clip, config.compute.precision)
    if not math.isfinite(loss):
        raise RuntimeError(f"loss {loss} at step {training.step}; lower train.learning_rate")
    training.objects.put(new, last=training.step < config.train.still_steps)
    training.count_step()
    return loss


def _fill_scores(training: Training) -> dict[str, float]:
    """Voxel precision, recall and accuracy of the objects that were finished since the last call."""
    counts, training.objects.counts = training.objects.counts, VoxelCounts()
    return {f"train/{name}": value for name, value in counts.scores().items()}


def _save(training: Training, path: Path, world: int, rank: int) -> None:
    """Write a checkpoint with the objects of all processes."""
    slots = [training.objects.state()]
    if world > 1:
        gathered: list[Any] = [None] * world
        dist.all_gather_object(gathered, slots[0])
        slots = gathered
    if rank == 0:
        training.save(path, [slot for part in slots for slot in part])
