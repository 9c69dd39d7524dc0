"""Tasks for workers, which import them by name; each leaves a line in a file when it begins."""

import os
import signal
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from axonem_eval.errors import InputError
from baselines.affinity_unet.model import ResidualUNet
from baselines.common.config_file import config_from
from tests.training.cells import SMALL, cells


def begin(folder: Path, item: int) -> int:
    """Note that a task begins; returns how often it has begun."""
    with open(folder / f"begun-{item}", "a") as file:
        file.write(f"{os.getpid()}\n")
    return len((folder / f"begun-{item}").read_text().split())


def square(folder: Path, item: int) -> dict[str, Any]:
    """The square of the item, stored in a file."""
    begin(folder, item)
    (folder / f"square-{item}").write_text(str(item**2))
    return {"square": item**2}


def slow_square(folder: Path, item: int) -> dict[str, Any]:
    """As ``square``, after a while."""
    time.sleep(0.3)
    return square(folder, item)


def die_once(folder: Path, item: int) -> dict[str, Any]:
    """Item 2 kills its worker the first time."""
    if begin(folder, item) == 1 and item == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"square": item**2}


def die_always(folder: Path, item: int) -> None:
    """Item 1 kills each worker."""
    if item == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def refuse(folder: Path, item: int) -> None:
    """Item 1 has bad input."""
    if item == 1:
        raise InputError.of("bad", "item 1: two is expected")


def fail(folder: Path, item: int) -> None:
    """Item 1 divides by nothing."""
    if item == 1:
        raise ZeroDivisionError("by nothing")


@lru_cache(maxsize=1)
def small_network() -> tuple[nn.Module, np.ndarray]:
    """An untrained network and (10,40,44) grey values, the same in each process."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = ResidualUNet(config_from(SMALL).model).eval()
    nn.init.normal_(model.head.weight, std=0.3)
    return model, cells((10, 40, 44))[0]
