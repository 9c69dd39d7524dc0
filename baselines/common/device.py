"""Where a network computes."""

import os
from typing import TypeVar, cast

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def pick_device(wanted: str) -> torch.device:
    """``cpu``, ``cuda``, or ``auto`` for this process's GPU where there is one."""
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))


def move_to(device: torch.device, network: Network) -> Network:
    """The network on a device, channels last in memory, in which convolutions are faster."""
    # PyTorch's types do not know that ``to`` takes a memory format.
    return cast(Network, network.to(device, memory_format=torch.channels_last_3d))  # type: ignore[call-overload]


def use_threads(threads: int) -> None:
    """Let PyTorch compute in so many threads on CPU; 0 leaves its default."""
    if threads:
        torch.set_num_threads(threads)
