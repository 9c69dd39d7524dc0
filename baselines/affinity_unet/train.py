"""Train the affinity U-Net: one visible loop, on one CPU or on many GPUs by torchrun.

Killed at any moment, the same command goes on from the last checkpoint and takes the very steps it would have taken:
crops depend on the seed and their number alone, and the checkpoint holds weights, optimiser and generators.
"""

import copy
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from baselines.affinity_unet.affinities import affinity_targets
from baselines.affinity_unet.loss import affinity_loss
from baselines.affinity_unet.model import ResidualUNet
from baselines.common.checkpoint import load_checkpoint, load_weights, restore_rng, rng_state, save_checkpoint
from baselines.common.config import ExperimentConfig, TrainConfig
from baselines.common.crops import CropStream
from baselines.common.data import Volume
from baselines.common.precision import autocast

Validate = Callable[[nn.Module], dict[str, float]]
Weights = dict[str, Tensor]
# Batches that each loader process makes ahead.
PREFETCH = 4


class _Batches(Dataset):
    """Items: grey (1,D,H,W) float32, target and mask (C,D,H,W) uint8."""

    def __init__(self, crops: CropStream, config: ExperimentConfig) -> None:
        self.crops, self.offsets = crops, config.model.offsets

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
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


def pick_device(wanted: str) -> torch.device:
    """``auto`` is this process's GPU where there is one."""
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))


def learning_rate(config: TrainConfig, step: int) -> float:
    """Rate of a step: linear warm-up, then constant, a half cosine to a hundredth, or a line to it at the end.

    With several cycles each goes through all of that again (warm restarts: Loshchilov and Hutter 2017, section 3).
    """
    rate, steps = config.learning_rate, config.cycle_steps
    step -= steps * min(step // steps, config.cycles - 1)
    if step < config.warmup_steps:
        return rate * (step + 1) / config.warmup_steps
    if config.schedule == "cosine":
        done = (step - config.warmup_steps) / max(1, steps - config.warmup_steps)
        rate *= 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    elif config.schedule == "trapezoid":
        left = max(0, steps - step) / config.cooldown_steps
        rate *= 0.01 + 0.99 * min(1.0, left)
    return rate


def train(
    config: ExperimentConfig,
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
    options = config.train
    world, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    if options.threads:
        torch.set_num_threads(options.threads)
    device = pick_device(options.device)
    if world > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    torch.manual_seed(config.seed)
    model = ResidualUNet(config.model).to(device, memory_format=torch.channels_last_3d)
    if start:
        load_weights(model, load_checkpoint(start), start)
    optimizer = torch.optim.Adam(model.parameters(), lr=options.learning_rate, betas=options.betas)
    mean = copy.deepcopy(model).requires_grad_(False) if options.average > 0 else None
    path, step = folder / "last.pt", 0
    earlier: list[Weights] = []
    if path.exists():
        step, earlier = _resume(path, model, mean, optimizer)
    loader = _loader(config, volumes, step, world, rank)
    learner: nn.Module = DistributedDataParallel(model) if world > 1 else model
    if options.compile:
        learner = torch.compile(learner)
    loss_of = _compiled(affinity_loss, device) if options.compile_loss else affinity_loss
    log = _Log(folder, active=rank == 0)
    bar = tqdm(total=options.steps, initial=step, desc="train", unit="step", disable=quiet or rank > 0)
    end = min(options.steps, stop_after or options.steps)
    model.train()
    started, since = time.monotonic(), step
    for grey, target, mask in loader:
        if step >= end:
            break
        if len(earlier) < step // options.cycle_steps:  # a cycle has ended
            earlier.append(copy.deepcopy((mean or model).state_dict()))
        batch = [t.to(device, non_blocking=True) for t in (grey, target, mask)]
        loss = _step(learner, loss_of, optimizer, config, step, batch)
        if not math.isfinite(loss):
            raise RuntimeError(f"loss {loss} at step {step}; lower train.learning_rate or inspect crop {step}")
        if mean is not None:
            _average(mean, model, min(options.average, (step + 1) / (step + 10)))
        step += 1
        bar.update()
        if step % options.log_every == 0:
            rate = (step - since) / (time.monotonic() - started)
            bar.set_postfix(loss=f"{loss:.4f}")
            log.write(step, {"loss": loss, "learning_rate": learning_rate(options, step - 1), "steps_per_s": rate})
        if validate and options.validate_every and step % options.validate_every == 0 and rank == 0:
            model.eval()
            log.write(step, validate(mean or model))
            model.train()
        if rank == 0 and (step % options.checkpoint_every == 0 or step == options.steps):
            save_checkpoint(path, _state(config, step, model, mean, earlier, optimizer))
    bar.close()
    log.close()
    if world > 1:
        dist.destroy_process_group()
    return path


def _step(
    model: nn.Module,
    loss_of: Callable[..., Tensor],
    optimizer: torch.optim.Optimizer,
    config: ExperimentConfig,
    step: int,
    batch: list[Tensor],
) -> float:
    options = config.train
    grey_BCDHW, target_BCDHW, mask_BCDHW = batch
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(options, step)
    with autocast(grey_BCDHW.device, options.autocast):
        logits_BCDHW = model(grey_BCDHW.contiguous(memory_format=torch.channels_last_3d))
    loss = loss_of(
        logits_BCDHW,
        target_BCDHW,
        mask_BCDHW,
        long_range_weight=options.long_range_weight,
        balance=options.class_balance,
        margin=options.margin,
        hole_weight=options.hole_weight if step >= options.hole_from else 0.0,
    )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if options.clip_norm > 0:
        nn.utils.clip_grad_norm_(model.parameters(), options.clip_norm)
    optimizer.step()
    return float(loss.detach())


def _loader(config: ExperimentConfig, volumes: list[Volume], step: int, world: int, rank: int) -> DataLoader:
    """Batches of the steps to come, the same whatever the number of workers."""
    options = config.train
    crops = CropStream(volumes, options.patch, config.augment, config.seed, isotropic=config.isotropic)
    # A voxel of a batch: grey values in float32, target and mask in one byte a channel each.
    batch_bytes = options.batch * math.prod(options.patch) * (4 + 2 * len(config.model.offsets))
    workers = fitting_workers(options.workers, batch_bytes)
    return DataLoader(
        _Batches(crops, config),
        batch_sampler=_Order(range(step, options.steps), options.batch, world, rank),
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


def _compiled(function: Callable[..., Tensor], device: torch.device) -> Callable[..., Tensor]:
    """The function by torch.compile; as it is where torch.compile would need a C++ compiler that is not there."""
    if device.type == "cpu" and not any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++")):
        print("no C++ compiler (g++, clang++, $CXX): the loss is not compiled, which is slower", file=sys.stderr)
        return function
    return torch.compile(function)


def _one_thread(_worker: int) -> None:
    torch.set_num_threads(1)


@torch.no_grad()
def _average(mean: nn.Module, model: nn.Module, decay: float) -> None:
    """mean = decay * mean + (1 - decay) * model, statistics of norms included."""
    for kept, value in zip(mean.state_dict().values(), model.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(value, 1 - decay)
        else:
            kept.copy_(value)


def _state(
    config: ExperimentConfig,
    step: int,
    model: nn.Module,
    mean: nn.Module | None,
    earlier: list[Weights],
    optimizer: torch.optim.Optimizer,
) -> dict[str, Any]:
    """``model`` is what inference takes, with ``earlier``, the same at the ends of the cycles before; ``learning`` the
    weights that training goes on with, where they differ."""
    return {
        "step": step,
        "model": (mean or model).state_dict(),
        "earlier": earlier,
        "learning": model.state_dict() if mean is not None else None,
        "optimizer": optimizer.state_dict(),
        "rng": rng_state(),
        "config": json.dumps(config.to_json()),
    }


def _resume(
    path: Path, model: nn.Module, mean: nn.Module | None, optimizer: torch.optim.Optimizer
) -> tuple[int, list[Weights]]:
    """Step and weights at the ends of earlier cycles."""
    checkpoint = load_checkpoint(path)
    load_weights(model, checkpoint, path)
    if mean is not None:
        load_weights(mean, checkpoint, path)
        model.load_state_dict(checkpoint["learning"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    restore_rng(checkpoint["rng"])
    return int(checkpoint["step"]), checkpoint.get("earlier", [])


class _Log:
    """One JSON object a line in log.jsonl, and TensorBoard where it is installed."""

    def __init__(self, folder: Path, *, active: bool) -> None:
        self.file = self.board = None
        if active:
            folder.mkdir(parents=True, exist_ok=True)
            self.file = open(folder / "log.jsonl", "a")  # noqa: SIM115  closed in close()
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                return
            self.board = SummaryWriter(str(folder / "tensorboard"))

    def write(self, step: int, values: dict[str, float]) -> None:
        if self.file is None:
            return
        self.file.write(json.dumps({"step": step, **values}) + "\n")
        self.file.flush()
        for name, value in values.items() if self.board else ():
            self.board.add_scalar(name, value, step)

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
        if self.board is not None:
            self.board.close()
