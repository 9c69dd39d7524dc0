"""Predict affinities of a volume of any size: overlapping patches, blended by a bump, streamed to Zarr.

`forward` runs the network on a batch of patches. Patches lie on one grid over the whole volume. A worker holds one
tile (part of y and x) and goes down z, keeping sums for one patch depth only; sections that no later patch touches are
divided, turned to uint8 and stored chunk by chunk. Each voxel sums the same patches in the same order, so the stored
bytes depend neither on the tiles nor on where a run was resumed. Segmentation later reads these bytes block by block.
Shape suffixes: C channels, D H W = z y x.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import zarr
from numpy.typing import NDArray
from torch import nn

from baselines.affinity_unet.config import PredictConfig
from baselines.common.blockwise import Ledger, Triple, bump_weights, fitted, patch_starts, summed_weight
from baselines.common.cluster import HERE, Cluster, run_tasks
from baselines.common.precision import autocast, choose_precision
from baselines.common.progress import Progress

CHANNELS = 3


class Readable(Protocol):
    """Anything with a shape that gives a box of grey values."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, box: Any, /) -> NDArray[np.uint8]: ...


@dataclass(frozen=True)
class Source:
    """What predicts, and what is predicted.

    open : gives the network and the volume. On a cluster it is picklable, and each worker calls it for each tile.
    shape : (z,y,x) of the volume. precision : ``float32`` or ``bfloat16``.
    """

    open: Callable[[], tuple[nn.Module, Readable]]
    shape: Triple
    precision: str


@dataclass(frozen=True)
class _Tile:
    """Rows and columns of the volume that one worker holds, half-open; z and corners (y, x) of the patches there."""

    index: int
    y: tuple[int, int]
    x: tuple[int, int]
    z: list[int]
    corners: list[tuple[int, int]]

    @property
    def name(self) -> str:
        return f"tile-{self.index:05d}"

    @property
    def rows_name(self) -> str:
        """Name of the note about how many sections of the tile are stored."""
        return f"rows-{self.index:05d}"

    @property
    def patches(self) -> int:
        return len(self.z) * len(self.corners)


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
    precision: str = "auto",
    **options: Any,
) -> "zarr.Array[Any]":
    """Predict ``raw`` (z,y,x) uint8 in this process. Store and options as ``predict_from`` takes them."""
    z, y, x = (int(n) for n in raw.shape)
    chosen = choose_precision(precision, next(model.parameters()).device).name
    return predict_from(Source(lambda: (model, raw), (z, y, x), chosen), store, config, **options)


def predict_from(
    source: Source,
    store: Path,
    config: PredictConfig,
    *,
    job: dict[str, Any] | None = None,
    cluster: Cluster = HERE,
    quiet: bool = False,
    after_patch: Callable[[], None] | None = None,
) -> "zarr.Array[Any]":
    """Predict a volume into the Zarr array ``store`` (3,z,y,x) uint8, 255 is a sure link.

    A killed run goes on with the sections that are not stored yet. job : what else the result depends on (checksums).
    after_patch : called after each patch in this process, for tests and benchmarks.
    """
    shape = source.shape
    config = replace(config, chunk=fitted(config.chunk, shape))
    ledger = Ledger(
        store.with_name(store.name + ".progress"),
        {"shape": shape, "patch": config.patch, "overlap": config.overlap, "tile": config.tile, "chunk": config.chunk,
         "test_time": config.test_time, "precision": source.precision, **(job or {})},
    )  # fmt: skip
    target = _open_store(store, shape, config)
    tiles = {tile.name: tile for tile in _tiles(shape, config)}
    progress = Progress(
        sum(tile.patches for tile in tiles.values()), "predict", "patch", quiet=quiet, after=after_patch
    )

    def report(tile: _Tile, now: bool) -> None:
        if not now:
            progress.skip(tile.patches)
        elif not cluster.is_here:  # here each patch is counted when it is done
            progress.did(tile.patches)

    if cluster.is_here:
        task = _Volume(*source.open(), target, config, source.precision, ledger, progress).predict_tile
    else:
        if len(tiles) < max(cluster.workers, 2):
            print(f"predict: {len(tiles)} tiles, so no more workers than that; set predict.tile", file=sys.stderr)
        task = partial(_predict_tile, source, store, config, ledger)
    run_tasks(task, tiles, ledger, cluster, report)
    progress.close()
    return target


def _predict_tile(source: Source, store: Path, config: PredictConfig, ledger: Ledger, tile: _Tile) -> None:
    """Predict a tile on a worker."""
    progress = Progress(tile.patches, "predict", "patch", quiet=True)
    target = zarr.open_array(store, mode="r+")
    _Volume(*source.open(), target, config, source.precision, ledger, progress).predict_tile(tile)


def _open_store(store: Path, shape: Triple, config: PredictConfig) -> "zarr.Array[Any]":
    if store.exists():
        return zarr.open_array(store, mode="r+")
    return zarr.create_array(
        store, shape=(CHANNELS, *shape), chunks=(CHANNELS, *config.chunk), dtype="uint8", fill_value=0
    )


def _tiles(shape: Triple, config: PredictConfig) -> list[_Tile]:
    """Tiles of a volume, and the corners of the patches that touch each."""
    high, wide = (t or n for t, n in zip(config.tile, shape[1:], strict=True))
    z, y, x = (patch_starts(n, p, o) for n, p, o in zip(shape, config.patch, config.overlap, strict=True))
    found = []
    for index, (y0, x0) in enumerate((y0, x0) for y0 in range(0, shape[1], high) for x0 in range(0, shape[2], wide)):
        rows, columns = (y0, min(y0 + high, shape[1])), (x0, min(x0 + wide, shape[2]))
        corners = [(v, w) for v in _touching(y, config.patch[1], rows) for w in _touching(x, config.patch[2], columns)]
        found.append(_Tile(index, rows, columns, z, corners))
    return found


def _touching(starts: Sequence[int], patch: int, span: tuple[int, int]) -> list[int]:
    return [s for s in starts if s < span[1] and s + patch > span[0]]


@dataclass(frozen=True)
class _Volume:
    """Prediction of one volume by one worker."""

    model: nn.Module
    raw: Readable
    target: "zarr.Array[Any]"
    config: PredictConfig
    precision: str
    ledger: Ledger
    progress: Progress

    def predict_tile(self, tile: _Tile) -> None:
        """Go down z with sums for the sections that are still open; store whole chunks of finished sections."""
        self.model.eval()
        depth, thick = self.raw.shape[0], self.config.patch[0]
        stored = int((self.ledger.done(tile.rows_name) or {"stored": 0})["stored"])
        base = min((z for z in tile.z if z + thick > stored), default=depth)
        held = np.zeros((CHANNELS, 0, tile.y[1] - tile.y[0], tile.x[1] - tile.x[0]), np.float32)
        for place, z in enumerate(tile.z):
            if z + thick <= stored:
                self.progress.skip(len(tile.corners))
                continue
            grow = max(0, min(z + thick, max(depth, thick)) - (base + held.shape[1]))
            held = np.concatenate([held, np.zeros((CHANNELS, grow, *held.shape[2:]), np.float32)], axis=1)
            self._add_patches(held, tile, z, base)
            ready = tile.z[place + 1] if place + 1 < len(tile.z) else depth
            stored = self._store(held, tile, (base, stored, ready))
            keep = min(stored, ready)
            held, base = held[:, max(0, keep - base) :], max(base, keep)

    def _add_patches(self, held: NDArray[np.float32], tile: _Tile, z: int, base: int) -> None:
        """Predict the tile's patches that begin at section ``z``; add them to the sums (3,z,y,x) from ``base`` on."""
        patch, batch = self.config.patch, self.config.batch
        weight = bump_weights(patch)
        for i in range(0, len(tile.corners), batch):
            group = [(z, y, x) for y, x in tile.corners[i : i + batch]]
            grey = np.stack([_patch(self.raw, corner, patch) for corner in group])
            affinity = forward(self.model, grey, test_time=self.config.test_time, precision=self.precision)
            for corner, values in zip(group, affinity, strict=True):
                _add(held, values * weight, corner, (base, tile.y[0], tile.x[0]))
                self.progress.did()

    def _store(self, held: NDArray[np.float32], tile: _Tile, sections: tuple[int, int, int]) -> int:
        """Store what no later patch touches, in whole chunks; returns up to which section is stored.

        sections : the first one of ``held``, the first that is not stored yet, and the first that is not finished.
        """
        base, stored, ready = sections
        depth, step = self.raw.shape[0], self.config.chunk[0]
        (y0, y1), (x0, x1) = tile.y, tile.x
        while stored < ready and (stored + step <= ready or ready == depth):
            end = min(stored + step, depth)
            z, y, x = self.summed
            whole = z[stored:end, None, None] * y[y0:y1, None] * x[x0:x1]
            done = held[:, stored - base : end - base]
            self.target[:, stored:end, y0:y1, x0:x1] = _to_uint8(done / whole, stored, (y0, x0))
            stored = end
            self.ledger.finish(tile.rows_name, stored=stored)
        return stored

    @cached_property
    def summed(self) -> list[NDArray[np.float32]]:
        """Sum of the weights of all patches along each axis."""
        sizes = zip(self.raw.shape, self.config.patch, self.config.overlap, strict=True)
        return [summed_weight(n, p, patch_starts(n, p, o)) for n, p, o in sizes]


def _patch(raw: Readable, corner: Triple, patch: Triple) -> NDArray[np.float32]:
    """Grey values 0..1; a volume smaller than the patch is mirrored."""
    box = tuple(slice(o, o + p) for o, p in zip(corner, patch, strict=True))
    grey: NDArray[np.float32] = np.asarray(raw[box]).astype(np.float32) / np.float32(255)
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
