"""ERL and everything derived from it at the size of a whole AxonEM volume: 18,000 axons, 10 M nodes.

    python benchmarks/scorer/bench_analysis.py [--nodes 10000000] [--axons 18000]

Skeletons are chains of log-normal length; their labels break, vanish and merge at random. Prints wall and CPU seconds.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from axonem_eval import NodeSample, SkeletonGraph, score_nodes
from axonem_eval.report import full_report
from axonem_eval.scoring import axon_table, erl_interval, locate_errors, paired_bootstrap
from benchmarks.harness import timed

SHAPE = (750, 4286, 4286)
VOXEL_NM = (40.0, 7.0, 7.0)


def synthetic(n_nodes: int, n_axons: int) -> tuple[SkeletonGraph, NodeSample, NodeSample]:
    """Skeletons, and the labels of a good and of a worse segmentation."""
    random = np.random.default_rng(0)
    share = np.exp(random.normal(0, 0.8, n_axons))
    sizes = np.maximum(2, (share / share.sum() * n_nodes).astype(np.int64))
    skeleton = np.repeat(np.arange(n_axons, dtype=np.int32), sizes)
    n = len(skeleton)
    start = random.uniform(0, SHAPE, (n_axons, 3)).astype(np.int32)
    along = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    voxel = start[skeleton] + np.stack([along // 9, along * 4, along * 3], axis=1)
    edge_u = np.flatnonzero(skeleton[:-1] == skeleton[1:]).astype(np.int32)
    graph = SkeletonGraph(
        skeleton_id=np.arange(1, n_axons + 1, dtype=np.uint64),
        node_skeleton=skeleton,
        node_voxel_zyx=(voxel % SHAPE).astype(np.int32),
        edge_u=edge_u,
        edge_v=edge_u + np.int32(1),
        edge_length_nm=random.uniform(20, 60, len(edge_u)),
        shape_zyx=SHAPE,
        voxel_size_nm_zyx=VOXEL_NM,
    )
    good, bad = (NodeSample(_labels(random, skeleton, breaks)) for breaks in (1 / 2000, 1 / 300))
    return graph, good, bad


def _labels(random: np.random.Generator, skeleton: np.ndarray, breaks: float) -> np.ndarray:
    piece = np.cumsum((random.uniform(size=len(skeleton)) < breaks) | (np.diff(skeleton, prepend=-1) != 0))
    name = random.permutation(int(piece.max()) + 1).astype(np.uint64) + np.uint64(1)
    merged = random.uniform(size=len(name)) < 0.01
    name[merged] = random.choice(name[merged], int(merged.sum()))
    labels = name[piece]
    labels[random.uniform(size=len(labels)) < 0.002] = 0
    return labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=10_000_000)
    parser.add_argument("--axons", type=int, default=18_000)
    arguments = parser.parse_args()

    small, sample, worse = synthetic(2000, 20)
    full_report(small, sample, public=True)  # compile outside the timed parts
    graph, sample, worse = synthetic(arguments.nodes, arguments.axons)
    cable = graph.skeleton_length_nm.sum() / 1e9
    print(f"{graph.n_nodes:,} nodes, {graph.n_skeletons:,} skeletons, {cable:.2f} m of cable")

    report = timed("ERL from the labels at the nodes", lambda: score_nodes(graph, sample))
    print("\n".join(report.lines()[:4]))
    table, other = report.table, score_nodes(graph, worse).table
    assert table is not None
    assert other is not None
    timed("bootstrap, 10,000 resamples", lambda: erl_interval(table, 50))
    paired = timed("paired bootstrap, 10,000 resamples", lambda: paired_bootstrap([(table, other)], 50))
    print(f"  difference {paired.difference_nm / 1e3:.3f} um, p = {paired.p_value:.2g}")
    timed("table of axons", lambda: axon_table(graph, sample, table, 50))
    errors = timed("every error with its place", lambda: locate_errors(graph, sample, table, 50))
    print(f"  {len(errors):,} errors")
    timed("full report, aggregates", lambda: full_report(graph, sample))


if __name__ == "__main__":
    main()
