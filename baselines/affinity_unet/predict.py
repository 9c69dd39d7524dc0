"""Predict affinities of a volume of any size: overlapping patches, blended by a bump, streamed to Zarr.

Patches lie on one grid over the whole volume. A worker holds one tile (part of y and x) and goes down z, keeping sums
for one patch depth only; sections that no later patch touches are divided, turned to uint8 and stored chunk by chunk.
Each voxel sums the same patches in the same order however tiles are cut and wherever a run was resumed, so the stored
bytes do not depend on either. Shape suffixes: C channels, D H W = z y x.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import zarr
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from baselines.common.blockwise import Ledger, Triple, bump_weights, patch_starts, summed_weight
from baselines.common.config import PredictConfig
from baselines.common.precision import autocast, choose_precision

CHANNELS = 3


class Readable(Protocol):
    """Anything with a shape that gives a box of grey values."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, box: Any, /) -> NDArray[np.uint8]: ...


@dataclass(frozen=True)
class _Tile:
    """Rows and columns of the volume that one worker holds, half-open."""

    index: int
    y: tuple[int, int]
    x: tuple[int, int]

    @property
    def name(self) -> str:
        return f"tile-{self.index:05d}"


class _Progress:
    """A bar whose time left counts the patches predicted now alone, not those that were stored before."""

    def __init__(self, total: int, quiet: bool, after_patch: Callable[[], None] | None) -> None:
        self.bar = tqdm(total=total, desc="predict", unit="patch", disable=quiet)
        self.after_patch, self.begun = after_patch, False

    def did(self) -> None:
        """Count a patch; the first one is shown at once, with the time that the others will take."""
        self.bar.update()
        if not self.begun:
            self.begun = True
            self.bar.refresh()
        if self.after_patch:
            self.after_patch()

    def skip(self, patches: int) -> None:
        """Count patches that are stored already."""
        if not self.bar.disable:
            self.bar.initial += patches
            self.bar.n += patches
            self.bar.last_print_n += patches
            self.bar.refresh()

    def close(self) -> None:
        self.bar.close()


def transforms(count: int) -> list[tuple[bool, bool, bool, bool]]:
    """(flip z, flip y, flip x, swap y and x) to average over: the first ``count`` of the 16."""
    flips = [(z, y, x, t) for z in (False, True) for t in (False, True) for y in (False, True) for x in (False, True)]
    return flips[:count]


def forward(
    model: nn.Module, grey: NDArray[np.float32], *, test_time: int = 1, precision: str = "auto"
) -> NDArray[np.float32]:
    """Nearest affinities (3,D,H,W) in 0..1 of a batch of patches (B,D,H,W) in 0..1 -> (B,3,D,H,W)."""
    device = next(model.parameters()).device
    total: torch.Tensor | None = None
    chosen = transforms(test_time)
    with torch.inference_mode():
        stack = torch.from_numpy(grey)[:, None].to(device)
        for flip_z, flip_y, flip_x, swap in chosen:
            axes = [axis for axis, wanted in ((2, flip_z), (3, flip_y), (4, flip_x)) if wanted]
            turned = stack.flip(axes)
            turned = turned.transpose(3, 4) if swap else turned
            with autocast(device, precision):
                logits = model(turned.contiguous(memory_format=torch.channels_last_3d))
            affinity = torch.sigmoid(logits[:, :CHANNELS].float())
            affinity = _turned_back(affinity, (flip_z, flip_y, flip_x), swap)
            total = affinity if total is None else total + affinity
    assert total is not None
    return (total / len(chosen)).cpu().numpy()


def _turned_back(affinity: torch.Tensor, flips: Sequence[bool], swap: bool) -> torch.Tensor:
    """Undo a transform. A mirrored link is stored at its other voxel, hence the shift by one along a flipped axis."""
    if swap:
        affinity = affinity.transpose(3, 4)[:, [0, 2, 1]]
    for axis, wanted in enumerate(flips):
        if not wanted:
            continue
        affinity = affinity.flip(axis + 2)
        channel = affinity[:, axis]
        shifted = torch.roll(channel, 1, dims=axis + 1)
        affinity = torch.cat([affinity[:, :axis], shifted[:, None], affinity[:, axis + 1 :]], dim=1)
    return affinity


def predict(
    model: nn.Module,
    raw: Readable,
    store: Path,
    config: PredictConfig,
    *,
    job: dict[str, Any] | None = None,
    precision: str = "auto",
    quiet: bool = False,
    after_patch: Callable[[], None] | None = None,
) -> zarr.Array:
    """Predict ``raw`` (z,y,x) uint8 into the Zarr array ``store`` (3,z,y,x) uint8, 255 is a sure link.

    Several processes may call this at once on one store: each takes tiles that nobody holds. A killed run goes on with
    the sections that are not stored yet. job : what the result depends on beside the settings (checksums).
    after_patch : called after each patch, for tests and benchmarks.
    """
    z, y, x = (int(n) for n in raw.shape)
    shape = (z, y, x)
    config = _fitted(config, shape)
    chosen = choose_precision(precision, next(model.parameters()).device).name
    ledger = Ledger(
        store.with_name(store.name + ".progress"),
        {"shape": shape, "patch": config.patch, "overlap": config.overlap, "tile": config.tile, "chunk": config.chunk,
         "test_time": config.test_time, "autocast": chosen, **(job or {})},
    )  # fmt: skip
    target = _open_store(store, shape, config)
    model.eval()
    tiles = _tiles(shape, config)
    starts = [patch_starts(n, p, o) for n, p, o in zip(shape, config.patch, config.overlap, strict=True)]
    patches = {
        tile: len(_touching(starts[1], config.patch[1], tile.y)) * len(_touching(starts[2], config.patch[2], tile.x))
        for tile in tiles
    }
    progress = _Progress(sum(patches.values()) * len(starts[0]), quiet, after_patch)
    pending = tiles
    while pending:
        worked = False
        for tile in pending:
            with ledger.claim(tile.name) as mine:
                if mine:
                    _predict_tile(model, raw, target, config, tile, starts, ledger, chosen, progress)
                    ledger.finish(tile.name)
                    worked = True
                elif ledger.done(tile.name) is not None:  # by an earlier run or another process
                    progress.skip(patches[tile] * len(starts[0]))
        pending = [tile for tile in pending if ledger.done(tile.name) is None]
        if pending and not worked:  # others hold what is left: they finish it, or die and let go of it
            time.sleep(0.5)
    progress.close()
    return target


def _fitted(config: PredictConfig, shape: Triple) -> PredictConfig:
    """The settings with chunks no larger than the volume."""
    chunk = tuple(min(c, n) for c, n in zip(config.chunk, shape, strict=True))
    return PredictConfig(config.patch, config.overlap, config.tile, chunk, config.test_time, config.batch)  # type: ignore[arg-type]


def _open_store(store: Path, shape: Triple, config: PredictConfig) -> zarr.Array:
    if store.exists():
        return zarr.open_array(store, mode="r+")
    return zarr.create_array(
        store, shape=(CHANNELS, *shape), chunks=(CHANNELS, *config.chunk), dtype="uint8", fill_value=0
    )


def _tiles(shape: Triple, config: PredictConfig) -> list[_Tile]:
    high, wide = (t or n for t, n in zip(config.tile, shape[1:], strict=True))
    return [
        _Tile(index, (y, min(y + high, shape[1])), (x, min(x + wide, shape[2])))
        for index, (y, x) in enumerate((y, x) for y in range(0, shape[1], high) for x in range(0, shape[2], wide))
    ]


def _touching(starts: Sequence[int], patch: int, span: tuple[int, int]) -> list[int]:
    return [s for s in starts if s < span[1] and s + patch > span[0]]


def _predict_tile(
    model: nn.Module,
    raw: Readable,
    target: zarr.Array,
    config: PredictConfig,
    tile: _Tile,
    starts: list[list[int]],
    ledger: Ledger,
    precision: str,
    progress: _Progress,
) -> None:
    """Go down z with sums for the sections that are still open; store whole chunks of finished sections."""
    depth, patch = raw.shape[0], config.patch
    step_z = config.chunk[0]
    (y0, y1), (x0, x1) = tile.y, tile.x
    rows, columns = _touching(starts[1], patch[1], tile.y), _touching(starts[2], patch[2], tile.x)
    weight = bump_weights(patch)
    summed = [summed_weight(n, p, s) for n, p, s in zip(raw.shape, patch, starts, strict=True)]
    stored = int((ledger.done(f"rows-{tile.index:05d}") or {"stored": 0})["stored"])
    first = min((z for z in starts[0] if z + patch[0] > stored), default=depth)
    base, held = first, np.zeros((CHANNELS, 0, y1 - y0, x1 - x0), np.float32)
    for place, z in enumerate(starts[0]):
        if z + patch[0] <= stored:
            progress.skip(len(rows) * len(columns))
            continue
        grow = min(z + patch[0], max(depth, patch[0])) - (base + held.shape[1])
        held = np.concatenate([held, np.zeros((CHANNELS, max(0, grow), *held.shape[2:]), np.float32)], axis=1)
        corners = [(z, y, x) for y in rows for x in columns]
        for i in range(0, len(corners), config.batch):
            group = corners[i : i + config.batch]
            grey = np.stack([_patch(raw, corner, patch) for corner in group])
            affinity = forward(model, grey, test_time=config.test_time, precision=precision)
            for corner, values in zip(group, affinity, strict=True):
                _add(held, values * weight, corner, (base, y0, x0))
                progress.did()
        ready = starts[0][place + 1] if place + 1 < len(starts[0]) else depth
        while stored < ready and (stored + step_z <= ready or ready == depth):
            end = min(stored + step_z, depth)
            done = held[:, stored - base : end - base]
            whole = summed[0][stored:end, None, None] * summed[1][y0:y1, None] * summed[2][x0:x1]
            target[:, stored:end, y0:y1, x0:x1] = _to_uint8(done / whole, stored, (y0, x0))
            stored = end
            ledger.finish(f"rows-{tile.index:05d}", stored=stored)
        keep = min(stored, ready)
        held, base = held[:, max(0, keep - base) :], max(base, keep)


def _patch(raw: Readable, corner: Triple, patch: Triple) -> NDArray[np.float32]:
    """Grey values 0..1; a volume smaller than the patch is mirrored."""
    box = tuple(slice(o, o + p) for o, p in zip(corner, patch, strict=True))
    grey = np.asarray(raw[box]).astype(np.float32) / 255
    lack = [(0, p - n) for p, n in zip(patch, grey.shape, strict=True)]
    return np.pad(grey, lack, mode="symmetric") if any(after for _, after in lack) else grey


def _add(held: NDArray[np.float32], values: NDArray[np.float32], corner: Triple, base: Triple) -> None:
    """Add a patch to the sums, cut to what they cover."""
    into, of = [slice(None)], [slice(None)]
    for axis in range(3):
        start = corner[axis] - base[axis]
        end = min(start + values.shape[axis + 1], held.shape[axis + 1])
        into.append(slice(max(start, 0), end))
        of.append(slice(max(-start, 0), end - start))
    held[tuple(into)] += values[tuple(of)]


def _to_uint8(affinity: NDArray[np.float32], z: int, yx: tuple[int, int]) -> NDArray[np.uint8]:
    """0..1 to 0..255, rounded; links that would leave the volume are 0."""
    stored = np.clip(np.rint(affinity * 255), 0, 255).astype(np.uint8)
    for channel, first in enumerate((z, *yx)):
        if first == 0:
            edge: list[Any] = [channel, slice(None), slice(None), slice(None)]
            edge[channel + 1] = 0
            stored[tuple(edge)] = 0
    return stored
