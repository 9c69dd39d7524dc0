"""ERL from node labels at full size: ours, em_erl and funlib.evaluate on what each can hold.

    python benchmarks/scorer/bench_erl.py [--em-erl CHECKOUT] [--funlib CHECKOUT] [--repeat 3]

About 10 M nodes: the skeletons of ``tiles.py`` over a whole AxonEM volume, with labels that split every few hundred
nodes, vanish at 1% of the nodes and merge some neighbours. Each measurement is a process of its own, with the graph in
memory and the kernels compiled before the clock starts; the best of the repeats counts.
"""

import argparse
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

from axonem_eval import SkeletonGraph, score_nodes
from benchmarks.data import tiles
from benchmarks.harness import Clock, best, in_child
from benchmarks.scorer.em_erl_graph import em_erl_graph

TOLERANCE = 50
SKELETONS_PER_TILE = 228
# networkx takes about 1 kB a node, so funlib gets the first skeletons only.
FUNLIB_NODES = 500_000


def make_input() -> tuple[Path, Path]:
    """The bundle of 10 M nodes and a label for each, made on first use."""
    bundle, labels = tiles.DATA / "erl_10M.npz", tiles.DATA / "erl_10M_labels.npy"
    if not labels.exists():
        stride = int(tiles.load_cube().max()) + 1
        cube = tiles.axon_like(tiles.cube_skeletons(), SKELETONS_PER_TILE)
        graph = tiles.tile_skeletons(cube, tiles.AXONEM_SHAPE_ZYX, stride, min_length_um=5.0)
        graph.save(bundle)
        np.save(labels, segmented(graph))
    return bundle, labels


def segmented(graph: SkeletonGraph) -> NDArray[np.uint64]:
    """(n_nodes,) labels of a middling segmentation, below 2**31, which em_erl needs."""
    random = np.random.default_rng(7)
    breaks = random.random(graph.n_nodes) < 1 / 400
    breaks[np.flatnonzero(np.diff(graph.node_skeleton, prepend=-1))] = True
    segment = np.cumsum(breaks)
    merged = np.where(random.random(segment[-1] + 1) < 0.02, segment[-1] + np.arange(segment[-1] + 1) // 50, 0)
    label = np.where(merged[segment] > 0, merged[segment], segment).astype(np.uint64)
    label[random.random(graph.n_nodes) < 0.01] = 0
    return label


def run_ours(graph: SkeletonGraph, label: NDArray[np.uint64], _checkout: str, tolerance: int) -> dict[str, Any]:
    """score_nodes on the whole graph."""
    score_nodes(first_skeletons(graph, label, 1000)[0], label[: first_skeletons(graph, label, 1000)[0].n_nodes])
    clock = Clock()
    report = score_nodes(graph, label, tolerance_nodes=tolerance)
    return {**clock.read(), "erl_nm": report.erl_nm, "mergers": report.mergers}


def run_em_erl(graph: SkeletonGraph, label: NDArray[np.uint64], checkout: str, tolerance: int) -> dict[str, Any]:
    """em_erl's compute_erl_score on its own graph type."""
    sys.path.insert(0, checkout)
    from em_erl.eval import compute_erl_score

    theirs = em_erl_graph(graph)
    segment = label.astype(np.int64)
    clock = Clock()
    score = compute_erl_score(theirs, segment, None, tolerance)
    score.compute_erl()
    return {**clock.read(), "erl_nm": float(score.erl[0])}


def run_funlib(graph: SkeletonGraph, label: NDArray[np.uint64], checkout: str, _tolerance: int) -> dict[str, Any]:
    """funlib.evaluate's expected_run_length, which is strict (T = 1), on a networkx graph."""
    import networkx

    path = Path(checkout) / "funlib" / "evaluate" / "run_length.py"
    spec = importlib.util.spec_from_file_location("run_length", path)
    assert spec is not None
    assert spec.loader is not None
    run_length = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run_length)  # the package itself would compile its other modules
    building = Clock()
    network = networkx.Graph()
    network.add_nodes_from((i, {"skeleton": s}) for i, s in enumerate(graph.node_skeleton.tolist()))
    edges = zip(graph.edge_u.tolist(), graph.edge_v.tolist(), graph.edge_length_nm.tolist(), strict=True)
    network.add_edges_from((u, v, {"length": length}) for u, v, length in edges)
    lookup = dict(enumerate(label.tolist()))
    lengths = dict(enumerate(graph.skeleton_length_nm.tolist()))
    build_s = building.read()["wall_s"]
    clock = Clock()
    erl = run_length.expected_run_length(network, "skeleton", "length", lookup, skeleton_lengths=lengths)
    return {**clock.read(), "erl_nm": float(erl), "build_s": build_s}


RUNS: dict[str, Callable[..., dict[str, Any]]] = {"ours": run_ours, "em_erl": run_em_erl, "funlib": run_funlib}


def first_skeletons(
    graph: SkeletonGraph, label: NDArray[np.uint64], n_nodes: int
) -> tuple[SkeletonGraph, NDArray[np.uint64]]:
    """The first skeletons, of about so many nodes."""
    if n_nodes >= graph.n_nodes:
        return graph, label
    keep = graph.node_skeleton < graph.node_skeleton[n_nodes]
    return tiles.crop(graph, keep, graph.shape_zyx), label[keep]


def run_one(name: str, n_nodes: int, tolerance: int, checkout: str) -> dict[str, Any]:
    """One measurement, in this process."""
    bundle, labels = make_input()
    graph, label = first_skeletons(SkeletonGraph.load(bundle), np.load(labels), n_nodes)
    graph.skeleton_length_nm, graph.edge_skeleton  # noqa: B018  kept with the graph once computed
    return {**RUNS[name](graph, label, checkout, tolerance), "nodes": graph.n_nodes, "skeletons": graph.n_skeletons}


def measure(name: str, n_nodes: int, tolerance: int, repeat: int, checkout: str = "") -> dict[str, Any]:
    """The fastest of several measurements, each in a process of its own."""
    return best([in_child(__file__, "--one", name, n_nodes, tolerance, checkout) for _ in range(repeat)])


def compare(name: str, checkout: str, n_nodes: int, tolerance: int, repeat: int) -> None:
    """A peer beside ours on the same nodes: time, memory and the score of both."""
    ours, theirs = (measure(n, n_nodes, tolerance, repeat, checkout) for n in ("ours", name))
    show("ours", ours)
    show(name, theirs)
    difference = abs(theirs["erl_nm"] - ours["erl_nm"]) / ours["erl_nm"]
    print(f"{name} / ours: {theirs['wall_s'] / ours['wall_s']:.1f} wall; the ERL differs by {difference:.0e}")


def show(name: str, result: dict[str, Any]) -> None:
    build = f", and {result['build_s']:.1f} s to build its graph" if "build_s" in result else ""
    print(
        f"{name:<8} {result['wall_s']:8.3f} s wall {result['cpu_s']:8.3f} s CPU {result['rss_gb']:5.2f} GB, "
        f"{result['nodes']:,} nodes of {result['skeletons']:,} skeletons, ERL {result['erl_nm']:.6f} nm{build}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--em-erl", metavar="CHECKOUT", help="a checkout of PytorchConnectomics/em_erl")
    parser.add_argument("--funlib", metavar="CHECKOUT", help="a checkout of funkelab/funlib.evaluate")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, n_nodes, tolerance, checkout = arguments.one
        print(json.dumps(run_one(name, int(n_nodes), int(tolerance), checkout)))
        return
    make_input()
    everything = 10**9
    if arguments.em_erl:
        compare("em_erl", arguments.em_erl, everything, TOLERANCE, arguments.repeat)
    else:
        show("ours", measure("ours", everything, TOLERANCE, arguments.repeat))
        print("em_erl: not measured; give --em-erl CHECKOUT")
    if arguments.funlib:
        compare("funlib", arguments.funlib, FUNLIB_NODES, 1, arguments.repeat)
    else:
        print("funlib.evaluate: not measured; give --funlib CHECKOUT")


if __name__ == "__main__":
    main()
