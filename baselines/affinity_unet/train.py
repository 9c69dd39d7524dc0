"""Train the affinity U-Net, on one CPU or on many GPUs by torchrun.

A run that is killed goes on from its last checkpoint and takes the steps that it would have taken: crops depend on the
seed and their number alone, and the checkpoint holds weights, optimiser and random generators.
"""

import copy
import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from baselines.affinity_unet.batches import batches
from baselines.affinity_unet.config import UnetConfig
from baselines.affinity_unet.loss import affinity_loss
from baselines.affinity_unet.model import ResidualUNet
from baselines.common.checkpoint import load_checkpoint, load_weights, restore_rng, rng_state, save_checkpoint
from baselines.common.data import Volume
from baselines.common.device import move_to, pick_device, use_threads
from baselines.common.precision import autocast
from baselines.common.schedule import average_into, learning_rate
from baselines.common.training_loop import Loop, processes

Validate = Callable[[nn.Module], dict[str, float]]
Loss = Callable[..., Tensor]
Weights = dict[str, Tensor]


@dataclass
class Training:
    """What training changes and a checkpoint keeps.

    mean : the running mean of the weights, None without one. earlier : the weights for inference at the ends of the
    cycles before.
    """

    config: UnetConfig
    model: ResidualUNet
    mean: ResidualUNet | None
    optimizer: torch.optim.Optimizer
    step: int = 0
    earlier: list[Weights] = field(default_factory=list)

    @classmethod
    def begin(cls, config: UnetConfig, device: torch.device, start: Path | None) -> "Training":
        """A new training with random weights, or with those of the checkpoint ``start``."""
        torch.manual_seed(config.seed)
        model = move_to(device, ResidualUNet(config.model))
        if start:
            load_weights(model, load_checkpoint(start), start)
        options = config.train
        optimizer = torch.optim.Adam(model.parameters(), lr=options.learning_rate, betas=options.betas)
        mean = copy.deepcopy(model).requires_grad_(False) if options.average > 0 else None
        return cls(config, model, mean, optimizer)

    @property
    def for_inference(self) -> ResidualUNet:
        """The network that inference uses."""
        return self.mean or self.model

    def save(self, path: Path) -> None:
        """Write a checkpoint: ``model`` and ``earlier`` for inference, ``learning`` where training differs."""
        state = {
            "step": self.step,
            "model": self.for_inference.state_dict(),
            "earlier": self.earlier,
            "learning": self.model.state_dict() if self.mean is not None else None,
            "optimizer": self.optimizer.state_dict(),
            "rng": rng_state(),
            "config": json.dumps(self.config.to_json()),
        }
        save_checkpoint(path, state)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint of the same training."""
        checkpoint = load_checkpoint(path)
        load_weights(self.model, checkpoint, path)
        if self.mean is not None:
            load_weights(self.mean, checkpoint, path)
            self.model.load_state_dict(checkpoint["learning"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        restore_rng(checkpoint["rng"])
        self.step, self.earlier = int(checkpoint["step"]), checkpoint.get("earlier", [])

    def keep_cycle(self) -> None:
        """Keep the weights where a cycle has ended."""
        if len(self.earlier) < self.step // self.config.train.cycle_steps:
            self.earlier.append(copy.deepcopy(self.for_inference.state_dict()))

    def count_step(self) -> None:
        """Put the weights of a step into their mean."""
        if self.mean is not None:
            average_into(self.mean, self.model, self.config.train.average, self.step)
        self.step += 1


def train(
    config: UnetConfig,
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
        training = Training.begin(config, device, start)
        if path.exists():
            training.resume(path)
        learner, loss_of = _compiled(config, ours.one_for_all(training.model), device)
        crops = iter(batches(config, volumes, range(training.step, config.train.steps), ours.world, ours.rank))

        def take_step() -> float:
            batch = [part.to(device, non_blocking=True) for part in next(crops)]
            training.keep_cycle()
            loss = _step(learner, loss_of, training, batch)
            training.count_step()
            return loss

        def save() -> None:
            if ours.rank == 0:
                training.save(path)

        Loop(folder, ours.rank == 0, validate, stop_after, quiet).run(training, take_step, save)
    return path


def _step(network: nn.Module, loss_of: Loss, training: Training, batch: Sequence[Tensor]) -> float:
    """Take one step; returns the loss. Raises RuntimeError where the loss is not finite."""
    options, step = training.config.train, training.step
    grey_BCDHW, target_BCDHW, mask_BCDHW = batch
    for group in training.optimizer.param_groups:
        group["lr"] = learning_rate(options, step)
    with autocast(grey_BCDHW.device, training.config.compute.precision):
        logits_BCDHW = network(grey_BCDHW.contiguous(memory_format=torch.channels_last_3d))
    loss = loss_of(
        logits_BCDHW,
        target_BCDHW,
        mask_BCDHW,
        long_range_weight=options.long_range_weight,
        balance=options.class_balance,
        margin=options.margin,
        hole_weight=options.holes.hole_weight if step >= options.holes.hole_weight_from_step else 0.0,
    )
    training.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    if options.clip_norm > 0:
        nn.utils.clip_grad_norm_(training.model.parameters(), options.clip_norm)
    training.optimizer.step()
    value = float(loss.detach())
    if not math.isfinite(value):
        raise RuntimeError(f"loss {value} at step {step}; lower train.learning_rate or inspect crop {step}")
    return value


def _compiled(config: UnetConfig, network: nn.Module, device: torch.device) -> tuple[nn.Module, Loss]:
    """The network that is trained and the loss; compiled where the configuration says so.

    The loss stays as it is where torch.compile would need a C++ compiler that is not there.
    """
    if config.compute.compile_network:
        network.compile()
    if not config.compute.compile_loss:
        return network, affinity_loss
    if device.type == "cpu" and not any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++")):
        print("no C++ compiler (g++, clang++, $CXX): the loss is not compiled, which is slower", file=sys.stderr)
        return network, affinity_loss
    return network, torch.compile(affinity_loss)
