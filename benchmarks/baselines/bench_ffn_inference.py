"""Steps of a flood-filling network through the whole engine beside the bare forward pass, at the same batch.

    python benchmarks/baselines/bench_ffn_inference.py --config ffn-fib25-google --crop 64,96,96 --precision bfloat16

The engine also reads, finds seeds, moves, keeps the canvas, writes objects and stores. With ``--batch`` it fills so
many pieces at a time, of the same crop.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))
from axonem_eval.processes import usable_cores
from baselines.cli import find_config
from baselines.common.config_file import load_config_of
from baselines.common.data import open_raw
from baselines.common.device import use_threads
from baselines.common.provenance import file_checksum
from baselines.ffn.config import FfnConfig
from baselines.ffn.evaluator import Evaluator
from baselines.ffn.fill import FillTask, Watcher
from baselines.ffn.flood import logit
from baselines.ffn.networks import load_network
from baselines.ffn.pieces import Piece
from baselines.ffn.run import open_run


class Passes(Watcher):
    """Counts forward passes and steps."""

    def __init__(self) -> None:
        self.passes = self.steps = 0

    def passed(self, steps: int) -> None:
        """Count a pass."""
        self.passes += 1
        self.steps += steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="ffn-fib25-google")
    parser.add_argument("--crop", default="64,96,96", help="voxels from the middle of the first test volume")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--contiguous", action="store_true", help="not channels last")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    config = load_config_of(FfnConfig, find_config(options.config))
    config = replace(
        config,
        inference=replace(config.inference, batch=options.batch),
        compute=replace(config.compute, channels_last=not options.contiguous, threads=options.threads),
    )
    use_threads(options.threads)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        run = open_run(config, folder, quiet=True)
        evaluator = Evaluator(load_network(config, run.checkpoint), batch=options.batch, precision=options.precision)
        threads, load = torch.get_num_threads(), os.getloadavg()[0]
        print(f"{evaluator.device}, {threads} threads, {usable_cores()} cores, load {load:.1f}")
        print(
            f"{options.precision}, batch {options.batch}, field of view {config.model.fov}, depth {config.model.depth}"
        )
        spec = config.data.test[0]
        shape = open_raw(config, spec)[0].shape
        crop = [int(n) for n in options.crop.split(",")]
        z, y, x = (slice((n - c) // 2, (n - c) // 2 + c) for n, c in zip(shape, crop, strict=True))
        task = FillTask(config, spec, run.checkpoint, file_checksum(run.weights), folder, options.precision)
        pieces = [Piece(i, (z, y, x), (z, y, x)) for i in range(options.batch * evaluator.groups)]
        task([])  # loads network and volume
        clock = time.process_time if evaluator.device.type == "cpu" else time.perf_counter
        bare = seconds_of_a_pass(evaluator, config, clock)
        watcher, started = Passes(), clock()
        task(pieces, watcher)
        whole = clock() - started
        bare = (bare + seconds_of_a_pass(evaluator, config, clock)) / 2
        counts = [json.loads(path.read_text()) for path in folder.glob("*-counts.json")]
    kind = "CPU" if evaluator.device.type == "cpu" else "wall-clock"
    voxels = sum(each["voxels"] for each in counts)
    print(f"bare forward  {options.batch / bare:8.2f} steps per {kind} s")
    print(f"engine        {watcher.steps / whole:8.2f} steps per {kind} s: {watcher.steps} steps in {whole:.1f} s")
    print(f"engine / bare at the passes taken: {100 * watcher.passes * bare / whole:.1f}%")
    print(f"steps per segmented Mvoxel: {1e6 * watcher.steps / max(voxels, 1):,.0f}")


def seconds_of_a_pass(evaluator: Evaluator, config: FfnConfig, clock: Callable[[], float], passes: int = 15) -> float:
    """The middle of several passes."""
    image = np.random.default_rng(0).normal(0, 1, config.model.fov).astype(np.float32)
    logits = np.full(config.model.fov, logit(0.05), np.float32)
    seconds = []
    for _ in range(passes + 2):
        started = clock()
        evaluator.submit([(image, logits)] * evaluator.batch)()
        seconds.append(clock() - started)
    return float(np.median(seconds[2:]))


if __name__ == "__main__":
    main()
