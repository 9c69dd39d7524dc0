"""Tasks on Dask against one process: what a task costs by itself, and the U-Net's blocks and tiles on workers.

    python benchmarks/baselines/bench_cluster.py --workers 1 2

Empty tasks do nothing, so their time is the overhead: handing out, marking in the ledger, telling. Blocks are those of
a segmentation (affinities as in bench_segment.py), tiles those of a prediction by an untrained network. The start of
the workers is a row of its own. Each row is the best of --repeats, of which
the first one loads libraries and kernels.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from axonem_eval.processes import usable_cores
from baselines.common.blockwise import Ledger
from baselines.common.cluster import Cluster, run_tasks
from benchmarks.baselines.bench_blockwise import make_store
from benchmarks.baselines.bench_segment import HIGH, LOW, SIZE

SHAPE = (64, 256, 256)
BLOCK, HALO = (32, 64, 64), (8, 16, 16)
# A volume, its tiles and patches for the network.
RAW, TILE, PATCH = (16, 128, 64), (64, 64), (16, 64, 64)


def nothing(item: int) -> None:
    """A task without work."""


@lru_cache(maxsize=1)
def network() -> tuple:
    """The network of `synthetic`, untrained, and noise to predict."""
    import torch

    from baselines.affinity_unet.model import ResidualUNet

    torch.manual_seed(0)
    torch.set_num_threads(1)
    raw = np.random.default_rng(0).integers(0, 256, RAW).astype(np.uint8)
    return ResidualUNet(config().model).eval(), raw


def config():
    from baselines.cli import find_config
    from baselines.common.config_file import load_config

    return load_config(find_config("synthetic"))


def empty(cluster: Cluster, folder: Path, count: int) -> int:
    run_tasks(nothing, {f"task-{i}": i for i in range(count)}, Ledger(folder, {}), cluster)
    return count


def segment(cluster: Cluster, folder: Path, store: Path) -> int:
    from baselines.affinity_unet.config import SegmentConfig
    from baselines.affinity_unet.segment import build_hierarchy

    settings = SegmentConfig(low=LOW, high=HIGH, min_fragment_voxels=SIZE, dust=0, block=BLOCK, halo=HALO)
    blocks: list[None] = []
    build_hierarchy(store, folder, settings, cluster=cluster, quiet=True, after_block=lambda: blocks.append(None))
    return len(blocks)


def predict(cluster: Cluster, folder: Path) -> int:
    from baselines.affinity_unet.predict import Source, predict_from

    settings = replace(config().predict, patch=PATCH, tile=TILE, chunk=PATCH)
    predict_from(Source(network, RAW, "float32"), folder / "a.zarr", settings, cluster=cluster, quiet=True)
    return (RAW[1] // TILE[0]) * (RAW[2] // TILE[1])


def best(repeats: int, work: Callable[[Path], int]) -> tuple[float, int]:
    """Least wall-clock seconds of several runs in fresh folders, and the number of tasks."""
    seconds, count = [], 0
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as place:
            started = time.perf_counter()
            count = work(Path(place))
            seconds.append(time.perf_counter() - started)
    return min(seconds), count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--tasks", type=int, default=500, help="number of empty tasks")
    parser.add_argument("--repeats", type=int, default=2, help="the first one loads libraries and kernels")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        store = Path(place) / "affinity.zarr"
        make_store(SHAPE, store)
        works = {
            "empty tasks": lambda cluster, folder: empty(cluster, folder, options.tasks),
            "blocks of 32 x 64 x 64": lambda cluster, folder: segment(cluster, folder, store),
            "tiles of 16 x 64 x 64": predict,
        }
        print(f"{usable_cores()} cores, load {os.getloadavg()[0]:.1f}; float32, one thread; best of {options.repeats}")
        print(
            f"{'':<26}{'where':<14}{'tasks':>7}{'wall s':>9}{'ms/task':>10}{'added ms/task':>15}{'to one process':>16}"
        )
        alone: dict[str, float] = {}
        for workers in (0, *options.workers):
            with Cluster(workers) as cluster:
                where = f"{workers} worker{'s' * (workers > 1)}" if workers else "one process"
                if workers:
                    started = time.perf_counter()
                    cluster.client.wait_for_workers(workers)
                    print(f"{'start of the workers':<26}{where:<14}{'':>7}{time.perf_counter() - started:>9.1f}")
                for name, work in works.items():
                    work_on = lambda folder, work=work, cluster=cluster: work(cluster, folder)  # noqa: E731
                    seconds, count = best(options.repeats, work_on)
                    alone.setdefault(name, seconds)
                    added = 1e3 * (seconds * max(workers, 1) - alone[name]) / count
                    print(f"{name:<26}{where:<14}{count:>7}{seconds:>9.2f}{1e3 * seconds / count:>10.1f}{added:>15.1f}"
                          f"{seconds / alone[name]:>16.2f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
