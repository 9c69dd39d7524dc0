"""Inference through the whole pipeline beside the bare forward loop, in voxels of patches a second.

    python benchmarks/baselines/bench_unet_inference.py --config synthetic --shape 64,256,256

Both run the same patches. The pipeline also reads, blends, converts to uint8, compresses and stores.
"""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))
from axonem_eval.processes import usable_cores
from baselines.affinity_unet.config import UnetConfig
from baselines.affinity_unet.model import ResidualUNet
from baselines.affinity_unet.predict import forward, predict
from baselines.cli import find_config
from baselines.common.blockwise import patch_starts
from baselines.common.config_file import load_config_of
from baselines.common.precision import choose_precision


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="synthetic")
    parser.add_argument("--shape", default="48,384,384")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    config = load_config_of(UnetConfig, find_config(options.config))
    shape = tuple(int(n) for n in options.shape.split(","))
    raw = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = ResidualUNet(config.model).to(device).to(memory_format=torch.channels_last_3d).eval()  # type: ignore[call-overload]
    patch = config.predict.patch
    counts = [len(patch_starts(n, p, o)) for n, p, o in zip(shape, patch, config.predict.overlap, strict=True)]
    patches = int(np.prod(counts))
    grey = np.random.default_rng(0).random((1, *patch), np.float32)
    forward(model, grey)
    print(f"{device}, {torch.get_num_threads()} threads, {usable_cores()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"computed in {choose_precision('auto', torch.device(device))}")
    print(f"{patches} patches of {patch}, {np.prod(shape) / 1e6:.1f} Mvoxel, {patches * np.prod(patch) / 1e6:.1f} read")
    bare, whole = [], []
    for _ in range(options.rounds):  # in turns, so that a busy machine slows both alike
        started = time.process_time() if device == "cpu" else time.perf_counter()
        for _ in range(patches):
            forward(model, grey)
        now = time.process_time() if device == "cpu" else time.perf_counter()
        bare.append(now - started)
        with tempfile.TemporaryDirectory() as place:
            started = time.process_time() if device == "cpu" else time.perf_counter()
            predict(model, raw, Path(place) / "a.zarr", replace(config.predict, batch=1, test_time=1), quiet=True)
            now = time.process_time() if device == "cpu" else time.perf_counter()
            whole.append(now - started)
    voxels = patches * np.prod(patch) / 1e6
    kind = "CPU" if device == "cpu" else "wall-clock"
    print(f"bare forward loop   {min(bare):7.2f} {kind} s  {voxels / min(bare):7.2f} Mvoxel/s")
    print(f"whole pipeline      {min(whole):7.2f} {kind} s  {voxels / min(whole):7.2f} Mvoxel/s")
    print(f"pipeline / bare     {100 * min(bare) / min(whole):.1f}%")


if __name__ == "__main__":
    main()
