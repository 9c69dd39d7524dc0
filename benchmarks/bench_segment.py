"""Watershed and agglomeration: ours beside waterz (and mwatershed where installed), CPU time, peak memory, quality.

    python benchmarks/bench_segment.py --shapes 64,256,256 100,512,512 --processes 1 2

Affinities are made from the labels of synthetic tissue: links smoothed and with noise, so that there is a truth to
compare with. Each method runs in a process of its own after a warm-up on a small crop; peak memory is that process's
beyond what it held before. Seconds of the blockwise runs are wall-clock.
"""

import argparse
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).parent.parent))
from baselines.common.config import SegmentConfig

LOW, HIGH, SIZE, THRESHOLD = 0.01, 0.99, 100, 0.5
METHODS = ("ours", "waterz 256 bins", "waterz exact", "mwatershed")


def make_affinities(shape: tuple[int, int, int], folder: Path) -> None:
    """affinity.npy (3,z,y,x) uint8 and truth.npy (z,y,x) uint32."""
    from axonem_eval.synthetic import make_tissue
    from baselines.affinity_unet.affinities import affinity_targets

    labels = make_tissue(shape, (40.0, 16.0, 16.0), seed=5, grey=False).labels
    target, _ = affinity_targets(labels, np.ones(shape, bool), [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
    rng = np.random.default_rng(0)
    affinity = np.empty(target.shape, np.uint8)
    for channel in range(3):
        links = ndimage.gaussian_filter(target[channel].astype(np.float32), (0, 0.7, 0.7))
        noise = ndimage.gaussian_filter(rng.normal(0, 1, shape).astype(np.float32), (0.5, 1.2, 1.2))
        affinity[channel] = np.clip(255 * (0.03 + 0.94 * links + 0.35 * noise), 0, 255)
    np.save(folder / "affinity.npy", affinity)
    np.save(folder / "truth.npy", labels)


def run_ours(affinity: np.ndarray) -> np.ndarray:
    from baselines.affinity_unet.segment import segment_array

    fragments, hierarchy = segment_array(affinity, SegmentConfig(low=LOW, high=HIGH, size=SIZE, dust=0))
    return hierarchy.lookup(THRESHOLD, 0)[fragments]


def run_waterz(affinity: np.ndarray, bins: int) -> np.ndarray:
    import waterz

    links = affinity.astype(np.float32) / 255
    return next(
        waterz.agglomerate(
            links, [1 - THRESHOLD], aff_threshold_low=LOW, aff_threshold_high=HIGH, discretize_queue=bins
        )
    )


def run_mwatershed(affinity: np.ndarray) -> np.ndarray:
    import mwatershed

    links = affinity.astype(np.float64) / 255 - THRESHOLD
    return mwatershed.agglom(links, [[-1, 0, 0], [0, -1, 0], [0, 0, -1]])


def run_method(name: str, folder: Path) -> dict:
    """Seconds, peak memory in MB beyond the input, VOI against the truth in bits."""
    run = {
        "ours": run_ours,
        "waterz 256 bins": lambda a: run_waterz(a, 256),
        "waterz exact": lambda a: run_waterz(a, 0),
        "mwatershed": run_mwatershed,
    }[name]
    affinity = np.load(folder / "affinity.npy")
    run(np.ascontiguousarray(affinity[:, :16, :64, :64]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    labels = run(affinity)
    seconds = time.process_time() - started  # all methods use one thread, so a busy machine does not count
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    from axonem_eval.dense import dense_scores
    from baselines.common.evaluate import overlaps

    scores = dense_scores(overlaps([(np.load(folder / "truth.npy"), labels)]))
    return {"seconds": seconds, "megabytes": peak / 1e3, "voi": scores.voi_split + scores.voi_merge,
            "voi_merge": scores.voi_merge, "arand": scores.arand}  # fmt: skip


def run_blocks(folder: Path, processes: int) -> dict:
    """Seconds of the blockwise pipeline from Zarr to hierarchy, and VOI against the whole volume's result."""
    import zarr

    from axonem_eval.dense import dense_scores
    from baselines.affinity_unet.segment import build_hierarchy, global_fragments
    from baselines.common.evaluate import overlaps

    affinity = np.load(folder / "affinity.npy")
    store = folder / "affinity.zarr"
    if not store.exists():
        array = zarr.create_array(store, shape=affinity.shape, chunks=(3, 32, 128, 128), dtype="uint8")
        array[:] = affinity
    config = SegmentConfig(low=LOW, high=HIGH, size=SIZE, dust=0, block=(64, 256, 256), halo=(8, 32, 32))
    work = folder / f"work-{processes}"
    started = time.perf_counter()
    hierarchy = build_hierarchy(store, work, config, processes=processes, quiet=True)
    seconds = time.perf_counter() - started
    labels = hierarchy.lookup(THRESHOLD, 0)[global_fragments(work, tuple(slice(0, n) for n in affinity.shape[1:]))]
    whole = dense_scores(overlaps([(run_ours(affinity) + 1, labels + 1)]))
    return {"seconds": seconds, "voi_to_whole": whole.voi_split + whole.voi_merge}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", default=["32,192,192", "64,256,256"])
    parser.add_argument("--processes", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, folder = options.child
        found = run_blocks(Path(folder), int(name)) if name.isdigit() else run_method(name, Path(folder))
        print(json.dumps(found))
        return
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; threshold {THRESHOLD}, size {SIZE} (ours)")
    for text in options.shapes:
        shape = tuple(int(n) for n in text.split(","))
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            maker = multiprocessing.get_context("spawn").Process(target=make_affinities, args=(shape, folder))
            maker.start()
            maker.join()
            print(f"\n{text} ({np.prod(shape) / 1e6:.1f} Mvoxel)")
            print(f"{'':<20}{'CPU s':>8}{'Mvoxel/s':>10}{'peak MB':>9}{'VOI sum':>9}{'merge':>7}{'ARAND':>8}")
            for name in [*options.methods, *map(str, options.processes)]:
                report(name, folder, shape)


def report(name: str, folder: Path, shape: tuple[int, ...]) -> None:
    """Run one method in a process of its own and print its row."""
    done = subprocess.run(
        [sys.executable, __file__, "--child", name, str(folder)], capture_output=True, text=True, check=False
    )
    label = f"blocks, {name} process" if name.isdigit() else name
    if done.returncode != 0:
        print(f"{label:<20}  not run: {done.stderr.strip().splitlines()[-1]}")
        return
    row = json.loads(done.stdout.strip().splitlines()[-1])
    speed = np.prod(shape) / 1e6 / row["seconds"]
    if "voi" in row:
        print(f"{label:<20}{row['seconds']:>8.2f}{speed:>10.2f}{row['megabytes']:>9.0f}{row['voi']:>9.3f}"
              f"{row['voi_merge']:>7.3f}{row['arand']:>8.4f}")  # fmt: skip
    else:
        print(f"{label:<20}{row['seconds']:>8.2f}{speed:>10.2f}   VOI to whole volume {row['voi_to_whole']:.5f}")


if __name__ == "__main__":
    main()
