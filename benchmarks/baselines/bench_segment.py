"""Watershed and agglomeration: ours beside waterz and others where installed: CPU time, peak memory, quality.

    pip install higra==0.6.13 bioimage-cpp==0.10.0 mwatershed==0.5.4
    python benchmarks/baselines/bench_segment.py --shapes 32,192,192 64,256,256 100,384,384
    python benchmarks/baselines/bench_segment.py --threshold 0.15 --size 200 --affinities
    runs/fib25/validate-affinities.zarr \\
        --labels runs/fib25/truth/validate-*-labels.h5

Affinities are made from the labels of synthetic tissue: links smoothed and with noise, so that there is a truth to
compare with; or a network's are taken, with the labels that it was tried on. Each method runs in a process of its own
after a warm-up on a small crop; peak memory is that process's beyond what it held before. Peers without a watershed on
affinities start from our fragments, which are not timed; so does our own second half beside them. `bench_blockwise.py`
measures blocks and processes.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).parents[2]))
from axonem_eval.processes import usable_cores
from baselines.affinity_unet.config import SegmentConfig
from benchmarks.harness import in_child

LOW, HIGH, SIZE, THRESHOLD = 0.01, 0.99, 100, 0.5
METHODS = ("ours", "ours, size 0", "waterz 256 bins", "waterz exact", "mwatershed")
FROM_FRAGMENTS = ("ours", "bioimage-cpp", "higra")
OFFSETS = [[-1, 0, 0], [0, -1, 0], [0, 0, -1]]


def make_affinities(shape: tuple[int, int, int], folder: Path) -> None:
    """affinity.npy (3,z,y,x) uint8 and truth.npy (z,y,x) uint32."""
    from axonem_eval.synthetic import make_tissue

    labels = make_tissue(shape, (40.0, 16.0, 16.0), seed=5, grey=False).labels
    np.save(folder / "affinity.npy", affinities_of(labels))
    np.save(folder / "truth.npy", labels)


def affinities_of(labels: np.ndarray) -> np.ndarray:
    """(3,z,y,x) uint8: links of the labels, smoothed and with noise."""
    from baselines.affinity_unet.targets import affinity_targets

    target, _ = affinity_targets(labels, np.ones(labels.shape, bool), [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
    rng = np.random.default_rng(0)
    affinity = np.empty(target.shape, np.uint8)
    for channel in range(3):
        links = ndimage.gaussian_filter(target[channel].astype(np.float32), (0, 0.7, 0.7))
        noise = ndimage.gaussian_filter(rng.normal(0, 1, labels.shape).astype(np.float32), (0.5, 1.2, 1.2))
        affinity[channel] = np.clip(255 * (0.03 + 0.94 * links + 0.35 * noise), 0, 255)
    return affinity


def run_ours(affinity: np.ndarray, threshold: float, size: int) -> np.ndarray:
    from baselines.affinity_unet.hierarchy import segment_array

    fragments, hierarchy = segment_array(affinity, SegmentConfig(low=LOW, high=HIGH, min_fragment_voxels=size, dust=0))
    return hierarchy.lookup(threshold, 0)[fragments]


def run_waterz(affinity: np.ndarray, threshold: float, bins: int) -> np.ndarray:
    import waterz

    links = (affinity / 255).astype(np.float32)
    found: Any = waterz.agglomerate(
        links, [1 - threshold], aff_threshold_low=LOW, aff_threshold_high=HIGH, discretize_queue=bins
    )
    return next(found)


def run_mwatershed(affinity: np.ndarray, threshold: float) -> np.ndarray:
    import mwatershed

    links = affinity.astype(np.float64) / 255 - threshold
    return mwatershed.agglom(links, OFFSETS)


def graph_ours(affinity: np.ndarray, fragments: np.ndarray, threshold: float) -> np.ndarray:
    from baselines.affinity_unet.agglomerate import agglomerate
    from baselines.affinity_unet.region_graph import region_graph

    return agglomerate(region_graph(affinity, fragments), int(fragments.max())).lookup(threshold)[fragments]


def graph_bioimage(affinity: np.ndarray, fragments: np.ndarray, threshold: float) -> np.ndarray:
    """Average linkage on signed weights: what is above the threshold attracts, the rest repels."""
    from bioimage_cpp import graph

    rag = graph.region_adjacency_graph(fragments, number_of_threads=1)
    links = affinity.astype(np.float32) / 255
    found = graph.features.affinity_features(rag, fragments, links, OFFSETS, number_of_threads=1)
    policy = graph.agglomeration.GaspClusterPolicy(linkage="mean")
    node = policy.optimize(rag, found[:, 0] - threshold, edge_sizes=found[:, 1])
    return np.asarray(node)[fragments]


def graph_higra(affinity: np.ndarray, fragments: np.ndarray, threshold: float) -> np.ndarray:
    """Average linkage; its graph must be connected, so that a chain of edges of affinity 0 is added."""
    import higra

    from baselines.affinity_unet.region_graph import region_graph

    edges = region_graph(affinity, fragments)
    count = int(fragments.max()) + 1
    chain = np.setdiff1d(np.arange(count - 1), edges.u[edges.v == edges.u + 1])
    graph = higra.UndirectedGraph(count)
    graph.add_edges(np.concatenate([edges.u, chain]), np.concatenate([edges.v, chain + 1]))
    mean = np.concatenate([1 - edges.total / edges.count / 255, np.full(len(chain), 2.0)])
    links = np.concatenate([edges.count, np.full(len(chain), 1e-9)])
    tree, altitude = higra.binary_partition_tree_average_linkage(graph, mean, links)
    return higra.labelisation_horizontal_cut_from_threshold(tree, altitude, 1 - threshold)[fragments]


WHOLE = {
    "ours": run_ours,
    "ours, size 0": lambda affinity, threshold, _: run_ours(affinity, threshold, 0),
    "waterz 256 bins": lambda affinity, threshold, _: run_waterz(affinity, threshold, 256),
    "waterz exact": lambda affinity, threshold, _: run_waterz(affinity, threshold, 0),
    "mwatershed": lambda affinity, threshold, _: run_mwatershed(affinity, threshold),
}
GRAPH = {"ours": graph_ours, "bioimage-cpp": graph_bioimage, "higra": graph_higra}


def run_method(name: str, folder: Path, threshold: float, size: int, *, from_fragments: bool) -> dict:
    """CPU seconds, peak memory in MB beyond the input, VOI in bits and ARAND against the truth."""
    from axonem_eval.scoring import dense_scores
    from baselines.affinity_unet.hierarchy import fragments_of
    from baselines.common.evaluate import overlaps

    def inputs(affinity: np.ndarray) -> tuple:
        if not from_fragments:
            return affinity, threshold, size
        config = SegmentConfig(low=LOW, high=HIGH, min_fragment_voxels=size)
        return affinity, fragments_of(affinity, config), threshold

    run = (GRAPH if from_fragments else WHOLE)[name]
    affinity = np.load(folder / "affinity.npy")
    run(*inputs(np.ascontiguousarray(affinity[:, :16, :64, :64])))
    given = inputs(affinity)
    before = reset_peak()
    started = time.process_time()
    labels = run(*given)
    seconds = time.process_time() - started  # all methods use one thread, so a busy machine does not count
    peak = memory_mb("VmHWM") - before
    scores = dense_scores(overlaps([(np.load(folder / "truth.npy"), labels)]))
    return {"seconds": seconds, "megabytes": peak, "voi": scores.voi_split + scores.voi_merge,
            "voi_merge": scores.voi_merge, "arand": scores.arand}  # fmt: skip


def memory_mb(field: str) -> float:
    """VmHWM (peak) or VmRSS (now) of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1e3


def reset_peak() -> float:
    """Forget the peak so far; memory held now, in MB."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory_mb("VmRSS")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", default=["32,192,192", "64,256,256", "100,384,384"])
    parser.add_argument("--affinities", type=Path, help="a network's, Zarr (3,z,y,x) uint8, instead of made ones")
    parser.add_argument("--labels", type=Path, help="their ground truth, HDF5 dataset main")
    parser.add_argument("--threshold", type=float, default=THRESHOLD)
    parser.add_argument("--size", type=int, default=SIZE, help="of ours: smaller fragments join first")
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--graph-methods", nargs="*", default=list(FROM_FRAGMENTS))
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, folder, kind = options.child
        found = run_method(name, Path(folder), options.threshold, options.size, from_fragments=kind == "graph")
        print(json.dumps(found))
        return
    print(f"{usable_cores()} cores, load {os.getloadavg()[0]:.1f}; threshold {options.threshold}, size {options.size}")
    for text in [str(options.affinities)] if options.affinities else options.shapes:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            if options.affinities:
                copy_affinities(options.affinities, options.labels, folder)
            else:
                shape = tuple(int(n) for n in text.split(","))
                maker = multiprocessing.get_context("spawn").Process(target=make_affinities, args=(shape, folder))
                maker.start()
                maker.join()
            voxels = np.load(folder / "truth.npy", mmap_mode="r").size
            print(f"\n{text} ({voxels / 1e6:.1f} Mvoxel)")
            print(f"{'':<20}{'CPU s':>8}{'Mvoxel/s':>10}{'peak MB':>9}{'VOI sum':>9}{'merge':>7}{'ARAND':>8}")
            for name in options.methods:
                report(name, folder, voxels, "whole", options)
            print("from our fragments")
            for name in options.graph_methods:
                report(name, folder, voxels, "graph", options)


def copy_affinities(affinities: Path, labels: Path, folder: Path) -> None:
    """affinity.npy and truth.npy of a network's affinities and their labels."""
    import h5py
    import zarr

    np.save(folder / "affinity.npy", np.asarray(zarr.open_array(affinities, mode="r")[:]))
    with h5py.File(labels, "r") as file:
        np.save(folder / "truth.npy", file["main"][()])


def report(name: str, folder: Path, voxels: int, kind: str, options: argparse.Namespace) -> None:
    """Run one method in a process of its own and print its row."""
    settings = ("--threshold", options.threshold, "--size", options.size)
    try:
        row = in_child(__file__, *settings, "--child", name, folder, kind)
    except ChildProcessError as error:
        print(f"{name:<20}  not run: {str(error).splitlines()[-1]}")
        return
    speed = voxels / 1e6 / row["seconds"]
    print(f"{name:<20}{row['seconds']:>8.2f}{speed:>10.2f}{row['megabytes']:>9.0f}{row['voi']:>9.3f}"
          f"{row['voi_merge']:>7.3f}{row['arand']:>8.4f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
