"""What trainings share: the learning rate of a step, and the running mean of the weights."""

import math
from typing import Protocol

import torch
from torch import nn

from baselines.common.config import ScheduleConfig


class Scheduled(Protocol):
    """A configuration with a learning rate and its schedule."""

    @property
    def learning_rate(self) -> float: ...
    @property
    def cycle_steps(self) -> int: ...
    @property
    def schedule(self) -> ScheduleConfig: ...


def learning_rate(config: Scheduled, step: int) -> float:
    """Rate of a step: linear warm-up, then constant, a half cosine to a hundredth, or a line to it at the end.

    Each cycle repeats the whole schedule (warm restarts: Loshchilov and Hutter 2017, section 3).
    """
    rate, steps, schedule = config.learning_rate, config.cycle_steps, config.schedule
    step -= steps * min(step // steps, schedule.cycles - 1)
    if step < schedule.warmup_steps:
        return rate * (step + 1) / schedule.warmup_steps
    if schedule.kind == "cosine":
        done = (step - schedule.warmup_steps) / max(1, steps - schedule.warmup_steps)
        rate *= 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    elif schedule.kind == "trapezoid":
        left = max(0, steps - step) / schedule.cooldown_steps
        rate *= 0.01 + 0.99 * min(1.0, left)
    return rate


@torch.no_grad()
def average_into(mean: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Put the weights after ``step`` into their running mean, statistics of norms included.

    mean = decay * mean + (1 - decay) * model, with a smaller decay in the first steps.
    """
    decay = min(decay, (step + 1) / (step + 10))
    for kept, value in zip(mean.state_dict().values(), model.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(value, 1 - decay)
        else:
            kept.copy_(value)
