"""The loop that trainings of all methods share: progress, log, scores of the validation volume, checkpoints."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from baselines.common.schedule import learning_rate
from baselines.common.training_log import TrainingLog

Scores = dict[str, float]


class Trained(Protocol):
    """What the loop asks of a training. step : steps that were taken."""

    config: Any
    model: Any
    step: int

    @property
    def for_inference(self) -> Any:
        """The network that inference uses."""


@dataclass(frozen=True)
class Processes:
    """How many processes train together under torchrun, and which one this is."""

    world: int
    rank: int

    def one_for_all(self, network: nn.Module) -> nn.Module:
        """The network that all processes train together."""
        return DistributedDataParallel(network) if self.world > 1 else network


@contextmanager
def processes(device: torch.device) -> Iterator[Processes]:
    """The processes that torchrun started, connected; one where it did not."""
    found = Processes(int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0)))
    if found.world > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    yield found
    if found.world > 1:
        dist.destroy_process_group()


@dataclass(frozen=True)
class Loop:
    """What surrounds the steps of a training.

    folder : holds log.jsonl and, with the extra installed, TensorBoard's files.   first : whether this is the process
    that logs.   validate : scores of a network.   stop_after : stop at that step without finishing, for tests.
    """

    folder: Path
    first: bool
    validate: Callable[[Any], Scores] | None
    stop_after: int | None
    quiet: bool

    def run(
        self,
        training: Trained,
        take_step: Callable[[], float],
        save: Callable[[], None],
        more: Callable[[], Scores] = dict,
    ) -> None:
        """Take steps to the end of the training.

        take_step : takes one and returns its loss.   save : writes a checkpoint.   more : what else goes to the log.
        """
        options = training.config.train
        log = TrainingLog(self.folder, active=self.first)
        hidden = self.quiet or not self.first
        bar = tqdm(total=options.steps, initial=training.step, desc="train", unit="step", disable=hidden)
        end = min(options.steps, self.stop_after or options.steps)
        training.model.train()
        started, since = time.monotonic(), training.step
        while training.step < end:
            loss = take_step()
            step = training.step
            bar.update()
            if step % options.log_every == 0:
                rate = (step - since) / (time.monotonic() - started)
                bar.set_postfix(loss=f"{loss:.4f}")
                values = {"loss": loss, "learning_rate": learning_rate(options, step - 1), "steps_per_s": rate}
                log.write(step, values)
                if scores := more():
                    log.write(step, scores)
            if self.validate and options.validate_every and step % options.validate_every == 0 and self.first:
                training.model.eval()
                log.write(step, self.validate(training.for_inference))
                training.model.train()
            if step % options.checkpoint_every == 0 or step == options.steps:
                save()
        bar.close()
        log.close()
