"""Segmentation by blocks: how time and memory grow with the volume, on one and on two processes, beside one block.

    python benchmarks/baselines/bench_blockwise.py --shapes 64,256,256 64,512,512 128,512,1024
    python benchmarks/baselines/bench_blockwise.py --compare fib25 runs/fib25/fib25-affinities.zarr

Affinities are made as in bench_segment.py; larger volumes are mirrored copies of one piece of synthetic tissue. Each
run is a process of its own. Peak memory is that of the largest process, libraries (about 0.2 GB) included; the VOI is
between the result of the blocks and that of one block. --compare takes affinities that a configuration predicted, cuts
them as it says and tells, by threshold, how the result differs from that of one block, at block faces above all.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from axonem_eval.processes import usable_cores
from baselines.affinity_unet.config import SegmentConfig, UnetConfig
from benchmarks.baselines.bench_segment import HIGH, LOW, SIZE, THRESHOLD, affinities_of
from benchmarks.harness import Clock, in_child

PIECE = (64, 256, 256)


def make_store(shape: tuple[int, int, int], store: Path) -> None:
    """Affinities (3,z,y,x) uint8 of mirrored tissue as Zarr."""
    import zarr

    from axonem_eval.synthetic import make_tissue

    labels = make_tissue(PIECE, (40.0, 16.0, 16.0), seed=5, grey=False).labels
    wide = [(0, max(0, n - p)) for n, p in zip(shape, PIECE, strict=True)]
    labels = np.pad(labels, wide, mode="symmetric")[tuple(slice(0, n) for n in shape)]
    array = zarr.create_array(store, shape=(3, *shape), chunks=(3, 32, 128, 128), dtype="uint8")
    array[:] = affinities_of(labels)


def run(processes: int, folder: Path) -> dict:
    """Seconds, peak memory in MB and number of segments; ``processes`` 0 takes the volume as one block."""
    import zarr

    from baselines.affinity_unet.segment import build_hierarchy, write_segmentation
    from baselines.common.cluster import Cluster

    store = folder / "affinity.zarr"
    shape = zarr.open_array(store, mode="r").shape[1:]
    block = (64, 256, 256) if processes else shape
    config = SegmentConfig(low=LOW, high=HIGH, min_fragment_voxels=SIZE, dust=0, block=block, halo=(8, 32, 32))
    work = folder / f"work-{processes}"
    clock = Clock()
    with Cluster(processes if processes > 1 else 0) as cluster:
        hierarchy = build_hierarchy(store, work, config, cluster=cluster, quiet=True)
    out = folder / f"labels-{processes}.h5"
    count = write_segmentation(work, hierarchy, out, threshold=THRESHOLD, dust=0, voxel_size_nm_zyx=(40.0, 16.0, 16.0))
    return {**clock.read(), "segments": count, "fragments": len(hierarchy.voxels) - 1}


def difference(folder: Path, processes: int) -> float:
    """VOI in bits between the labels by blocks and those of one block."""
    import h5py

    from axonem_eval.scoring import dense_scores
    from baselines.common.evaluate import overlaps

    with h5py.File(folder / "labels-0.h5") as one, h5py.File(folder / f"labels-{processes}.h5") as blocks:
        found = dense_scores(overlaps([(one["main"][()] + 1, blocks["main"][()] + 1)]))
    return found.voi_split + found.voi_merge


def compare(name: str, store: Path) -> None:
    """Print differences between blocks and one block for a configuration's affinities."""
    import zarr

    from axonem_eval.scoring import dense_scores
    from baselines.affinity_unet.segment import build_hierarchy
    from baselines.affinity_unet.work_folder import WorkFolder
    from baselines.cli import find_config
    from baselines.common.config_file import load_config_of
    from baselines.common.evaluate import overlaps

    config = load_config_of(UnetConfig, find_config(name)).segment
    shape = zarr.open_array(store, mode="r").shape[1:]
    z, y, x = (slice(0, n) for n in shape)
    with tempfile.TemporaryDirectory() as place:
        found = {}
        for kind, block in (("blocks", config.block), ("one", shape)):
            work = Path(place) / kind
            found[kind] = (
                build_hierarchy(store, work, replace(config, block=block), quiet=True),
                WorkFolder(work).read((z, y, x)),
            )
    counts = [len(found[kind][0].voxels) - 1 for kind in ("blocks", "one")]
    print(f"{shape} voxels, blocks of {config.block}, halo {config.halo}")
    print(f"{counts[0]:,} fragments, {counts[1]:,} in one block")
    head = ("VOI between", "pairs across faces cut", "of", "inside blocks cut", "of")
    print(f"{'threshold':>9}{head[0]:>13}{head[1]:>24}{head[2]:>10}{head[3]:>19}{head[4]:>12}")
    for threshold in config.thresholds:
        blocks, one = (hierarchy.lookup(threshold, 0)[ids] for hierarchy, ids in (found["blocks"], found["one"]))
        scores = dense_scores(overlaps([(one + 1, blocks + 1)]))
        (cut, of), (cut_inside, of_inside) = pairs_cut(one, blocks, config.block)
        print(f"{threshold:>9.2f}{scores.voi_split + scores.voi_merge:>13.5f}{cut:>24,}{of:>10,}"
              f"{cut_inside:>19,}{of_inside:>12,}", flush=True)  # fmt: skip


def pairs_cut(one: np.ndarray, blocks: np.ndarray, size: tuple[int, ...]) -> list[tuple[int, int]]:
    """Neighbouring voxels of one segment that the blocks cut, and how many there are: across faces, and elsewhere."""
    counts = np.zeros((2, 2), np.int64)
    for axis, step in enumerate(size):
        first, second = (np.moveaxis(labels, axis, 0) for labels in (one, blocks))
        for plane in range(1, len(first)):
            joined = (first[plane] == first[plane - 1]) & (first[plane] > 0)
            cut = joined & (second[plane] != second[plane - 1])
            counts[int(plane % step != 0)] += cut.sum(), joined.sum()
    return [(int(cut), int(joined)) for cut, joined in counts]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", default=["64,256,256", "64,512,512", "128,512,1024"])
    parser.add_argument("--processes", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--compare", nargs=2, metavar=("CONFIG", "AFFINITIES"))
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(run(int(options.child[0]), Path(options.child[1]))))
        return
    if options.compare:
        compare(options.compare[0], Path(options.compare[1]))
        return
    print(f"{usable_cores()} cores, load {os.getloadavg()[0]:.1f}; blocks of 64 x 256 x 256, halo 8 x 32 x 32")
    for text in options.shapes:
        shape = tuple(int(n) for n in text.split(","))
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            maker = multiprocessing.get_context("spawn").Process(
                target=make_store, args=(shape, folder / "affinity.zarr")
            )
            maker.start()
            maker.join()
            print(f"\n{text} ({np.prod(shape) / 1e6:.1f} Mvoxel)")
            print(f"{'':<22}{'wall s':>8}{'CPU s':>8}{'Mvoxel/CPU s':>14}{'peak MB':>9}{'VOI to one block':>18}")
            for processes in (0, *options.processes):
                report(processes, folder, shape)


def report(processes: int, folder: Path, shape: tuple[int, ...]) -> None:
    """Run in a process of its own and print its row."""
    row = in_child(__file__, "--child", processes, folder)
    peak_mb = 1e3 * max(row["rss_gb"], row["child_rss_gb"])
    label = f"blocks, {processes} process{'es' * (processes > 1)}" if processes else "one block"
    voi = f"{difference(folder, processes):>18.5f}" if processes else ""
    print(f"{label:<22}{row['wall_s']:>8.1f}{row['cpu_s']:>8.1f}{np.prod(shape) / 1e6 / row['cpu_s']:>14.2f}"
          f"{peak_mb:>9.0f}{voi}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
