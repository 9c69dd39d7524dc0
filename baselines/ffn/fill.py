"""Fill the objects of a piece of a volume, several pieces at a time; a killed run goes on within a piece.

Between objects the state of a piece is saved every few minutes: objects so far, counts, and the place in the list of
seeds. What comes out is the same as without the kill, because nothing else carries over from one object to the next.
"""

import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import zarr
from numpy.typing import NDArray

from axonem_eval.files import write_atomically
from baselines.common.blockwise import write_json
from baselines.common.config_data import VolumeConfig
from baselines.common.data import open_raw
from baselines.common.device import use_threads
from baselines.ffn.config import FfnConfig, InferenceConfig
from baselines.ffn.evaluator import Evaluator, run_together
from baselines.ffn.flood import Canvas, Counts, FloodOptions, Step, Work
from baselines.ffn.networks import load_network
from baselines.ffn.pieces import Piece
from baselines.ffn.seeds import peak_seeds, reversed_seeds

CHUNK = (64, 128, 128)
SAVE_EVERY_S = 120.0  # of seconds of work, saving takes one or two for a piece of 512 x 512 x 256 voxels


class Readable(Protocol):
    """Anything with a shape that gives a box of grey values."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, box: Any, /) -> NDArray[np.uint8]: ...


class Watcher:
    """Is told how far the work is; this one does nothing with it."""

    def begin(self, seeds: int, tried: int) -> None:
        """The seeds of a piece, and how many of them an earlier run tried."""

    def tried(self) -> None:
        """Another seed was tried."""

    def passed(self, steps: int) -> None:
        """The network took so many steps."""


@dataclass(frozen=True)
class FillTask:
    """Fill pieces of a volume and store them in a folder: small and picklable, for other processes as well.

    spec : the volume.   checkpoint, weights_sha256 : the network; its checksum, so that no other is taken for it.
    precision : of the network.   reverse : take the seeds in the opposite order.
    """

    config: FfnConfig
    spec: VolumeConfig
    checkpoint: Path
    weights_sha256: str
    folder: Path
    precision: str
    reverse: bool = False

    def __call__(self, pieces: Sequence[Piece], watcher: Watcher | None = None) -> dict[str, Any]:
        """Fill pieces that are not filled yet; returns the counts of each, by its name."""
        use_threads(self.config.compute.threads)
        evaluator = _evaluator(self.config, self.checkpoint, self.weights_sha256, self.precision)
        raw, watcher = _raw(self.config, self.spec), watcher or Watcher()
        pending = [piece for piece in pieces if not counts_path(self.folder, piece).exists()]
        run_together(
            (self._filling(piece, raw, evaluator.step, watcher) for piece in pending), evaluator, watcher.passed
        )
        return {piece.name: json.loads(counts_path(self.folder, piece).read_text()) for piece in pieces}

    def _filling(self, piece: Piece, raw: Readable, step: Step, watcher: Watcher) -> Work[None]:
        filling = _Filling(self, piece, raw, step, watcher)
        yield from filling.work()
        filling.store()


def counts_path(folder: Path, piece: Piece) -> Path:
    """JSON of what was counted in a piece, by the names of ``Counts``; it is written last."""
    return folder / f"{piece.name}-counts.json"


def objects_path(folder: Path, piece: Piece) -> Path:
    """Zarr array (z,y,x) uint32 of a piece's objects, numbered from 1."""
    return folder / f"{piece.name}.zarr"


def probabilities_path(folder: Path, piece: Piece) -> Path:
    """Zarr array (z,y,x) uint8 of the probability of each voxel's object; 255 is 1."""
    return folder / f"{piece.name}-probability.zarr"


def normalised(grey: NDArray[Any], config: FfnConfig) -> NDArray[np.float32]:
    """Grey values as the network takes them."""
    found: NDArray[np.float32] = (grey.astype(np.float32) - np.float32(config.model.grey_mean)) / np.float32(
        config.model.grey_std
    )
    return found


def flood_options(inference: InferenceConfig) -> FloodOptions:
    """The thresholds of a configuration."""
    return FloodOptions(
        inference.seed_probability, inference.pad_probability, inference.move_probability,
        inference.segment_probability, inference.disconnected, inference.min_boundary_distance, inference.min_voxels,
    )  # fmt: skip


def fill_array(config: FfnConfig, grey: NDArray[np.uint8], step: Step) -> NDArray[np.uint32]:
    """Objects (z,y,x) of grey values (z,y,x) in memory, in one piece; for a network under training."""
    model = config.model
    canvas = Canvas(normalised(grey, config), step, model.fov, model.deltas, flood_options(config.inference))
    canvas.segment_all(peak_seeds(canvas.image, _half(model.fov)))
    return np.maximum(canvas.segmentation, 0).astype(np.uint32)


class _Filling:
    """One piece at work: its canvas, and where it is in the list of seeds."""

    def __init__(self, task: FillTask, piece: Piece, raw: Readable, step: Step, watcher: Watcher) -> None:
        self.task, self.piece, self.watcher = task, piece, watcher
        self.inference, model = task.config.inference, task.config.model
        self.canvas = Canvas(
            normalised(raw[piece.box], task.config), step, model.fov, model.deltas, flood_options(self.inference)
        )
        if self.inference.save_probabilities:
            self.canvas.probabilities = np.zeros(self.canvas.image.shape, np.uint8)
        self.margin = _half(model.fov)
        self.saved = task.folder / f"{piece.name}-state.npz"
        # Of the two rounds (all seeds; those left blank), which one it is, and how many seeds it tried.
        self.round, self.tried = 0, 0
        self.seeds: NDArray[np.int64] | None = None
        if self.saved.exists():
            self._load()

    def work(self) -> Work[None]:
        """Try all seeds that were not tried yet."""
        seeds = self._all_seeds() if self.seeds is None else self.seeds
        rounds = 2 if self.inference.fill_blank else 1
        self.watcher.begin(rounds * len(seeds), self.round * len(seeds) + self.tried)
        last = time.monotonic()
        while self.round < rounds:
            if self.round == 1:
                self.canvas.options = dataclasses.replace(self.canvas.options, min_voxels=self.inference.fill_blank)
            while self.tried < len(seeds):
                z, y, x = seeds[self.tried].tolist()
                yield from self.canvas.segmenting((z, y, x))
                self.tried += 1
                self.watcher.tried()
                if time.monotonic() - last >= SAVE_EVERY_S:
                    self._save(seeds)
                    last = time.monotonic()
            self.round, self.tried = self.round + 1, 0

    def store(self) -> None:
        """Write the objects, and forget how they came about."""
        self._write(objects_path(self.task.folder, self.piece), np.maximum(self.canvas.segmentation, 0), np.uint32)
        if self.canvas.probabilities is not None:
            self._write(probabilities_path(self.task.folder, self.piece), self.canvas.probabilities, np.uint8)
        write_json(counts_path(self.task.folder, self.piece), dataclasses.asdict(self.canvas.counts))
        self.saved.unlink(missing_ok=True)

    def _write(self, path: Path, values: NDArray[Any], dtype: type) -> None:
        zarr.create_array(path, data=values.astype(dtype), chunks=_chunk(values.shape), overwrite=True)

    def _all_seeds(self) -> NDArray[np.int64]:
        seeds = peak_seeds(self.canvas.image, self.margin)
        return reversed_seeds(seeds) if self.task.reverse else seeds

    def _save(self, seeds: NDArray[np.int64]) -> None:
        arrays: dict[str, NDArray[Any]] = {
            "segmentation": self.canvas.segmentation,
            "counts": np.array(dataclasses.astuple(self.canvas.counts)),
            "place": np.array([self.round, self.tried]),
            "seeds": seeds,
        }
        if self.canvas.probabilities is not None:
            arrays["probabilities"] = self.canvas.probabilities
        write_atomically(self.saved, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))

    def _load(self) -> None:
        with np.load(self.saved, allow_pickle=False) as state:
            self.canvas.segmentation = state["segmentation"]
            self.canvas.counts = Counts(*state["counts"].tolist())
            self.round, self.tried = state["place"].tolist()
            self.seeds = state["seeds"]
            if self.canvas.probabilities is not None:
                self.canvas.probabilities = state["probabilities"]


@lru_cache(maxsize=1)
def _evaluator(config: FfnConfig, checkpoint: Path, weights_sha256: str, precision: str) -> Evaluator:
    """The network of a process, kept for its next task. weights_sha256 : names the weights, for the cache."""
    return Evaluator(load_network(config, checkpoint), batch=config.inference.batch, precision=precision)


@lru_cache(maxsize=1)
def _raw(config: FfnConfig, spec: VolumeConfig) -> Readable:
    return open_raw(config, spec)[0]


def _half(fov_zyx: tuple[int, int, int]) -> tuple[int, int, int]:
    z, y, x = (n // 2 for n in fov_zyx)
    return z, y, x


def _chunk(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(min(n, c) for n, c in zip(shape, CHUNK, strict=True))
