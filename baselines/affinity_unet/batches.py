"""Batches to learn from, the same whatever the number of processes that make them."""

import math
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from baselines.affinity_unet.config import UnetConfig
from baselines.affinity_unet.targets import affinity_targets
from baselines.common.crops import CropStream
from baselines.common.data import Volume

Batch = tuple[Tensor, Tensor, Tensor]
# Batches that each loader process makes ahead.
PREFETCH = 4


class _Crops(Dataset[Batch]):
    """Items: grey (1,D,H,W) float32, target and mask (C,D,H,W) uint8."""

    def __init__(self, crops: CropStream, config: UnetConfig) -> None:
        self.crops, self.offsets = crops, config.model.offsets

    def __getitem__(self, index: int) -> Batch:
        sample = self.crops[index]
        target, mask = affinity_targets(sample.labels, sample.mask, self.offsets)
        return torch.from_numpy(sample.grey)[None], torch.from_numpy(target), torch.from_numpy(mask)


class _Order:
    """Crop numbers of each batch to come; no two processes share one."""

    def __init__(self, steps: range, batch: int, world: int, rank: int) -> None:
        self.steps, self.batch, self.world, self.rank = steps, batch, world, rank

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[int]]:
        for step in self.steps:
            first = (step * self.world + self.rank) * self.batch
            yield list(range(first, first + self.batch))


def batches(config: UnetConfig, volumes: list[Volume], steps: range, world: int, rank: int) -> DataLoader[Batch]:
    """Batches (B,...) of the given steps for process ``rank`` of ``world``."""
    options = config.train
    crops = CropStream(volumes, options.patch, config.augment, config.seed, isotropic=config.isotropic)
    # A voxel of a batch: grey values in float32, target and mask in one byte a channel each.
    batch_bytes = options.batch * math.prod(options.patch) * (4 + 2 * len(config.model.offsets))
    workers = fitting_workers(options.workers, batch_bytes)
    return DataLoader(
        _Crops(crops, config),
        batch_sampler=_Order(steps, options.batch, world, rank),
        num_workers=workers,
        worker_init_fn=_one_thread,
        pin_memory=torch.cuda.is_available(),
        prefetch_factor=PREFETCH if workers else None,
    )


def fitting_workers(wanted: int, batch_bytes: int, shared: Path = Path("/dev/shm")) -> int:
    """Number of loader processes whose batches fit into shared memory: ``wanted``, or 0 where it is too small.

    Loader processes hand their batches over there; a container has 64 MB of it by default, and a process that finds it
    full is killed by a bus error.
    """
    if not wanted or not shared.exists():
        return wanted
    free, needed = shutil.disk_usage(shared).free, wanted * (PREFETCH + 1) * batch_bytes
    if needed <= free:
        return wanted
    print(
        f"{shared} has {free / 1e6:.0f} MB free, and {wanted} loader processes need {needed / 1e6:.0f} MB: crops are "
        "made by the training process itself, which is slower. Give the container more (docker run --shm-size)",
        file=sys.stderr,
    )
    return 0


def _one_thread(_worker: int) -> None:
    torch.set_num_threads(1)
