"""From a trained network to the objects of a volume of any size, piece by piece; a killed run goes on.

pieces        the objects of each subvolume           (fill.py)
overlaps      which objects of two neighbours are one (reconcile.py)
whole         objects.zarr of the whole volume, and probability.zarr where it is asked for
"""

import dataclasses
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from baselines.common.blockwise import Ledger, Triple
from baselines.common.cluster import Cluster, run_tasks
from baselines.common.data import open_raw
from baselines.common.progress import Progress
from baselines.common.provenance import file_checksum
from baselines.ffn.config import InferenceConfig
from baselines.ffn.fill import FillTask, Watcher, counts_path
from baselines.ffn.pieces import Piece, neighbours, pieces_of
from baselines.ffn.reconcile import same_objects, whole_numbers, write_probabilities, write_whole
from baselines.ffn.run import FfnRun

# What objects depend on, of the table [inference].
SHAPING = (
    "seed_probability", "pad_probability", "move_probability", "segment_probability", "disconnected",
    "min_boundary_distance", "min_voxels", "subvolume", "overlap", "same_object", "save_probabilities", "fill_blank",
)  # fmt: skip
# Pieces of one task, for each field of view of a batch: a piece that ends early makes room for another.
PIECES_PER_PLACE = 4


class SeedBar(Watcher):
    """A bar of seeds. Its figures: steps of the network per second now, share of the seeds tried, time left."""

    def __init__(self, *, quiet: bool) -> None:
        self.progress = Progress(0, "fill", "seed", quiet=quiet)
        self.steps, self.since = 0, time.monotonic()

    def begin(self, seeds: int, tried: int) -> None:
        """Count the seeds of a piece, and those of them that an earlier run tried."""
        if not self.progress.bar.disable:
            self.progress.bar.total += seeds
        self.progress.skip(tried)

    def tried(self) -> None:
        """Count a seed."""
        self.progress.did()

    def passed(self, steps: int) -> None:
        """Count steps of the network; a large object takes many of them between two seeds."""
        self.steps += steps
        seconds = time.monotonic() - self.since
        if seconds >= 1:
            self.progress.bar.set_postfix_str(f"{self.steps / seconds:.1f} FOV/s")
            self.steps, self.since = 0, time.monotonic()


def fill_volume(run: FfnRun, name: str, folder: Path, *, reverse: bool = False) -> Path:
    """Fill the objects of a volume into a folder; returns the Zarr array (z,y,x) uint32 of all of them.

    reverse : take the seeds in the opposite order, for a consensus.
    """
    raw, identity = open_raw(run.config, run.spec(name))
    run.provenance.note("data", f"{name} raw", identity)
    inference, weights = run.config.inference, file_checksum(run.weights)
    precision = run.precision(f"predict {name}")
    z, y, x = (int(n) for n in raw.shape)
    job = {
        "raw": identity, "shape": (z, y, x), "checkpoint": weights, "precision": precision, "reverse": reverse,
        "model": dataclasses.asdict(run.config.model), "channels_last": run.config.compute.channels_last,
        **{key: getattr(inference, key) for key in SHAPING},
    }  # fmt: skip
    ledger = Ledger(folder / "progress", job)
    pieces = pieces_of((z, y, x), inference.subvolume, inference.overlap)
    task = FillTask(run.config, run.spec(name), run.checkpoint, weights, folder, precision, reverse)
    with run.provenance.stage(f"predict {name}"):
        counts = _fill_pieces(task, pieces, ledger, run.cluster, quiet=run.quiet)
        target = _put_together(folder, (z, y, x), pieces, ledger, inference, run.cluster)
    total = {key: sum(each[key] for each in counts.values()) for key in counts[pieces[0].name]}
    run.provenance.note("results", f"{name} filling", {"pieces": len(pieces), **total})
    return target


def _fill_pieces(
    task: FillTask, pieces: list[Piece], ledger: Ledger, cluster: Cluster, *, quiet: bool
) -> dict[str, dict[str, int]]:
    """Fill what is not filled yet; returns the counts of each piece, by its name."""
    size = task.config.inference.batch
    size = size * PIECES_PER_PLACE if size > 1 else 1
    groups = {f"pieces-{i // size:06d}": pieces[i : i + size] for i in range(0, len(pieces), size)}
    if cluster.is_here:
        bar = SeedBar(quiet=quiet)
        run_tasks(partial(task, watcher=bar), groups, ledger)
        bar.progress.close()
    else:  # a worker has no bar of its own
        progress = Progress(len(pieces), "fill", "piece", quiet=quiet)
        count = {True: progress.did, False: progress.skip}
        run_tasks(task, groups, ledger, cluster, lambda group, now: count[now](len(group)))
        progress.close()
    return {name: counts for group in groups for name, counts in _kept(ledger, group).items()}


def _put_together(
    folder: Path, shape: Triple, pieces: list[Piece], ledger: Ledger, inference: InferenceConfig, cluster: Cluster
) -> Path:
    """Number the objects of all pieces in the whole volume, and write them; returns their Zarr array."""
    target = folder / "objects.zarr"
    if ledger.done("whole"):
        return target
    pairs = {f"overlap-{a.index:06d}-{b.index:06d}": (a, b) for a, b in neighbours(pieces)}
    run_tasks(partial(_overlap, folder, inference.same_object), pairs, ledger, cluster)
    same = {
        (a.index, b.index): np.array(_kept(ledger, name)["same"], np.int64).reshape(-1, 2)
        for name, (a, b) in pairs.items()
    }
    counts = [json.loads(counts_path(folder, piece).read_text())["kept"] for piece in pieces]
    write_whole(folder, shape, pieces, whole_numbers(counts, same), target)
    if inference.save_probabilities:
        write_probabilities(folder, shape, pieces, folder / "probability.zarr")
    ledger.finish("whole")
    return target


def _overlap(folder: Path, least_share: float, pair: tuple[Piece, Piece]) -> dict[str, Any]:
    return {"same": same_objects(folder, *pair, least_share).tolist()}


def _kept(ledger: Ledger, name: str) -> dict[str, Any]:
    """What a finished item left in the ledger."""
    found = ledger.done(name)
    assert found is not None
    return found
