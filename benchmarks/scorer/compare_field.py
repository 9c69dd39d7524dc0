"""Each preset beside the program of its benchmark: ours, theirs, and the relative difference.

    python benchmarks/scorer/compare_field.py CHECKOUTS [--cases N] [--fib25 FOLDER] [--cortex FOLDER]

CHECKOUTS: a folder of clones (benchmarks/scorer/foreign_programs.py names them, and what is changed when they are
loaded). FIB25: the published files of FIB-25 training sample 2. CORTEX: the folder of connectomics.npy.ckl.gz, of which
a corner is used, its entry a copy with planted errors. On these the skeletons are centre lines: one node a section.

Volumes are generated at random: skeletons are trees with isolated nodes and several nodes in a voxel, labels are few,
so that mergers of every kind occur. The exit status is 1 where a preset differs by more than 1e-9.
"""

import argparse
import gzip
import io
import pickle
import sys
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from axonem_eval import (  # noqa: E402
    InputError,
    NodeSample,
    SkeletonGraph,
    open_labels,
    sample_nodes,
    score_nodes,
)
from axonem_eval.scoring import (  # noqa: E402
    VARIANTS,
    DenseRule,
    DenseScores,
    OverlapCounter,
    OverlapTable,
    dense_scores,
    figures_of,
    headline,
    node_scores,
)
from axonem_eval.spec import Region  # noqa: E402
from axonem_eval.synthetic import Errors, with_errors  # noqa: E402
from axonem_eval.synthetic import write_labels as write_labels_file  # noqa: E402
from benchmarks.scorer.em_erl_graph import em_erl_graph  # noqa: E402
from benchmarks.scorer.foreign_programs import Programs  # noqa: E402
from tests.fib25_files import centre_lines, write_labels  # noqa: E402

TOLERANCES = (0, 1, 2, 5, 10, 50)
CORTEX_NM, CORNER = (40.0, 16.0, 16.0), (64, 192, 192)
CREMI_NM, NO_LABEL = (40.0, 4.0, 4.0), 2**64 - 1
LIMIT = 1e-9
Pairs = Iterator[tuple[str, float, float]]


@dataclass(frozen=True)
class Case:
    """Skeletons in a volume, its labels, and how many voxels of a mask each segment covers."""

    name: str
    graph: SkeletonGraph
    labels: NDArray[np.uint64]
    truth: NDArray[np.uint64]
    mask: dict[int, int] | None = None

    @property
    def sample(self) -> NodeSample:
        """Labels at the nodes, without the mask."""
        return NodeSample.of_labels(self.labels[tuple(self.graph.node_voxel_zyx.T)])

    @property
    def held_mask(self) -> dict[int, int]:
        """The mask's voxels of segments that hold a node."""
        held = set(self.sample.node_segment.tolist())
        return {k: n for k, n in (self.mask or {}).items() if k in held}

    @property
    def masked(self) -> NodeSample:
        """Labels at the nodes with the mask."""
        mask = self.held_mask
        return replace(
            self.sample,
            mask_segment=np.array(list(mask), np.uint64),
            mask_voxels=np.array(list(mask.values()), np.int64),
        )


def generated(cases: int) -> Iterator[Case]:
    for seed in range(cases):
        random = np.random.default_rng(seed)
        shape = (4, 40, 48)
        sizes = random.integers(1, 30, random.integers(2, 6))
        sizes[0] = max(sizes[0], 2)
        owner = np.repeat(np.arange(len(sizes)), sizes)
        first = (np.cumsum(sizes) - sizes)[owner]
        v = np.flatnonzero(np.arange(len(owner)) > first)
        u = first[v] + (random.random(len(v)) * (v - first[v])).astype(np.int64)
        # In every other case a skeleton has rows of its own, so that strict rules leave something.
        voxel = random.integers(0, shape, (40, 3))[random.integers(0, 40, len(owner))]
        if seed % 2:
            voxel[:, 1] = owner * 8 + random.integers(0, 3, len(owner))
        graph = SkeletonGraph(
            skeleton_id=np.arange(1, len(sizes) + 1, dtype=np.uint64),
            node_skeleton=owner.astype(np.int32),
            node_voxel_zyx=voxel.astype(np.int32),
            edge_u=u.astype(np.int32),
            edge_v=v.astype(np.int32),
            edge_length_nm=np.ones(len(v)),
            shape_zyx=shape,
            voxel_size_nm_zyx=(20.0, 9.0, 9.0),
        )
        labels, truth = (blocks(random, shape) for _ in range(2))
        mask = {int(k): int(random.integers(1, 60)) for k in range(1, 30) if random.random() < 0.1}
        yield Case(f"generated {seed}", with_lengths(graph), labels, truth, mask)


def blocks(random: np.random.Generator, shape: tuple[int, int, int]) -> NDArray[np.uint64]:
    """Labels in blocks of one size, from few and from many segments; some voxels have another."""
    size, segments = int(random.integers(3, 24)), int(random.integers(2, 60))
    coarse = random.integers(0, segments, [-(-n // size) for n in shape])
    labels = np.asarray(coarse[np.ix_(*(np.arange(n) // size for n in shape))])
    stray = random.random(shape) < 0.002
    labels[stray] = random.integers(0, segments, int(stray.sum()))
    return labels.astype(np.uint64)


def with_lengths(graph: SkeletonGraph) -> SkeletonGraph:
    """Edge lengths between the corners of voxels, which is what the other programs measure."""
    nm = graph.node_voxel_zyx * np.asarray(graph.voxel_size_nm_zyx)
    return replace(graph, edge_length_nm=np.linalg.norm(nm[graph.edge_u] - nm[graph.edge_v], axis=1))


def fib25(source: Path, work: Path) -> Iterator[Case]:
    import h5py

    truth = write_labels(source, work)
    graph = with_lengths(centre_lines(truth))
    for name in ("ffn", "overseg"):
        with h5py.File(work / f"{name}.h5") as file:
            labels = next(iter(file.values()))[:].astype(np.uint64)
        off = ~np.isin(truth, graph.skeleton_id)
        ids, voxels = np.unique(labels[off], return_counts=True)
        mask = {int(k): int(n) for k, n in zip(ids, voxels, strict=True) if k}
        yield Case(f"FIB-25, {name}", graph, labels, truth.astype(np.uint64), mask)


def cortex(source: Path) -> Iterator[Case]:
    import crackle

    packed = gzip.decompress((source / "connectomics.npy.ckl.gz").read_bytes())
    z, y, x = CORNER
    truth = np.asarray(crackle.decompress(packed)).T[:z, :y, :x]
    _, small = np.unique(truth, return_inverse=True)
    truth = small.reshape(CORNER).astype(np.uint64)
    graph = with_lengths(replace(centre_lines(small.reshape(CORNER)), voxel_size_nm_zyx=CORTEX_NM))
    errors = Errors(splits=20, merges=10, small_merges=20, holes=40)
    labels, _ = with_errors(truth, CORTEX_NM, errors, candidates=graph.skeleton_id.tolist(), seed=1)
    yield Case("cortex", graph, labels.astype(np.uint64), truth)


def as_networkx(graph: SkeletonGraph) -> Any:
    """With the attributes of NISB and XPRESS, x,y,z; ``id`` numbers skeletons from 1."""
    size = np.asarray(graph.voxel_size_nm_zyx)
    out = nx.Graph()
    for i, (voxel, owner) in enumerate(zip(graph.node_voxel_zyx, graph.node_skeleton.tolist(), strict=True)):
        nm = tuple(float(v) for v in (voxel * size)[::-1])
        index = tuple(int(v) for v in voxel[::-1])
        out.add_node(i, id=owner + 1, index_position=index, nm_position=nm, position=nm)
    edges = zip(graph.edge_u.tolist(), graph.edge_v.tolist(), graph.edge_length_nm.tolist(), strict=True)
    out.add_edges_from((u, v, {"edge_length": length}) for u, v, length in edges)
    return out


def axonem(programs: Programs, case: Case) -> Pairs:
    """em_erl (ours, no mask), the fork of 2021, the challenge's code of 2024 with its mask."""
    from em_erl.eval import compute_erl_score

    graph, sample = as_networkx(case.graph), case.sample
    lengths = programs.funlib().get_skeleton_lengths(graph, ["nm_position"], "id", "edge_length")
    lut = {i: int(k) for i, k in enumerate(sample.node_segment)}
    off = np.repeat(np.array(list(case.held_mask), np.int64), list(case.held_mask.values()))
    has_length = case.graph.skeleton_length_nm > 0
    for tolerance in TOLERANCES:

        def ours(name: str, of: NodeSample, nodes: int = tolerance) -> float:
            return score_nodes(case.graph, of, variant=VARIANTS[name].at_tolerance(nodes)).erl_nm

        given = {"skeleton_lengths": lengths, "node_segment_lut": lut}
        fork = programs.fork_of_2021().expected_run_length(graph, "id", "edge_length", merge_thres=tolerance, **given)
        yield f"axonem2021, T {tolerance}: fork of 2021", ours("axonem2021", sample), fork
        challenge = programs.axonem_challenge().expected_run_length(
            graph, "id", "edge_length", mask_segment_id=off, merge_threshold=tolerance, **given
        )
        yield f"axonem2024, T {tolerance}: AxonEM-challenge", ours("axonem2024", case.masked), challenge[0]
        if has_length.all():  # em_erl lets a skeleton without length make mergers, axonem does not
            score = compute_erl_score(em_erl_graph(case.graph), sample.node_segment.astype(np.int64), None, tolerance)
            score.compute_erl()
            yield f"axonem, T {tolerance}: em_erl", ours("axonem", sample), float(score.erl[0])


def banis(programs: Programs, case: Case) -> Pairs:
    """The whole of BANIS's ``compute_metrics``: strict and tolerant nERL, VOI over nodes."""
    with tempfile.NamedTemporaryFile(suffix=".pkl") as file:
        pickle.dump(as_networkx(case.graph), file)
        file.flush()
        with redirect_stdout(io.StringIO()):
            theirs = programs.banis().compute_metrics(case.labels.T, file.name)
    variant = VARIANTS["nisb"]
    report, nodes = score_nodes(case.graph, case.sample, variant=variant), node_scores(case.graph, case.sample, variant)
    yield "nisb: BANIS, nerl", report.normalized_erl, theirs["nerl"]
    for name, value in report.normalized_erl_at.items():
        yield f"nisb: BANIS, nerl_{name}", value, theirs[f"nerl_{name}"]
    yield "nisb: BANIS, voi_split", nodes.voi_split, theirs["voi_split"]
    yield "nisb: BANIS, voi_merge", nodes.voi_merge, theirs["voi_merge"]


def strict(programs: Programs, case: Case) -> Pairs:
    """funlib.evaluate, on whole skeletons and on the pieces that lie in a region."""
    funlib = programs.funlib()
    z, y, x = (max(1, n * 3 // 4) for n in case.graph.shape_zyx)
    region = Region((0, 0, 0), (z, y, x))
    for name, variant in (
        ("ffn-j0126", VARIANTS["ffn-j0126"]),
        ("lsd-j0126", replace(VARIANTS["lsd-j0126"], region=region)),
    ):
        graph = as_networkx(case.graph)
        if variant.region is not None:
            outside = (case.graph.node_voxel_zyx >= variant.region.stop_zyx).any(axis=1)
            graph.remove_nodes_from(np.flatnonzero(outside).tolist())
            for number, piece in enumerate(nx.connected_components(graph), start=1):
                nx.set_node_attributes(graph, dict.fromkeys(piece, number), "id")
        if not graph.number_of_edges():
            continue
        lut = {i: int(k) for i, k in enumerate(case.sample.node_segment)}
        truth, found = (
            np.array([of[n] for n in graph], np.uint64) for of in (nx.get_node_attributes(graph, "id"), lut)
        )
        lengths = funlib.get_skeleton_lengths(graph, ["nm_position"], "id", "edge_length")
        given = {"skeleton_lengths": lengths}
        erl = funlib.expected_run_length(graph, "id", "edge_length", lut, **given)
        ceiling = funlib.expected_run_length(graph, "id", "edge_length", nx.get_node_attributes(graph, "id"), **given)
        report = score_nodes(case.graph, case.sample, variant=variant)
        yield f"{name}: funlib.evaluate, ERL / its ceiling", report.normalized_erl, erl / ceiling
        voi, nodes = funlib.rand_voi(truth, found), node_scores(case.graph, case.sample, variant)
        yield f"{name}: funlib.evaluate, VOI split", nodes.voi_split, voi["voi_split"]
        yield f"{name}: funlib.evaluate, VOI merge", nodes.voi_merge, voi["voi_merge"]


def xpress(programs: Programs, case: Case) -> Pairs:
    """The functions that XPRESS's ``run_eval`` calls, on a region that begins off the corner."""
    theirs, size = programs.xpress(), tuple(int(v) for v in case.graph.voxel_size_nm_zyx)
    daisy = theirs.daisy
    region = Region((1, 1, 0), case.graph.shape_zyx)
    begin, stop = (
        tuple(a * b for a, b in zip(corner, size, strict=True)) for corner in (region.start_zyx, region.stop_zyx)
    )
    roi = daisy.Roi(begin, tuple(b - a for a, b in zip(begin, stop, strict=True)))
    labels = case.labels[1:, 1:].copy()
    array = daisy.Array(data=labels, roi=roi, voxel_size=daisy.Coordinate(size))
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        pickle.dump(as_networkx(case.graph), file)
        file.flush()
        graph = theirs.generate_graphs_with_seg_labels(array, file.name)
    if not graph.number_of_edges():
        return
    variant = replace(VARIANTS["xpress"], region=region)
    report, nodes = score_nodes(case.graph, case.sample, variant=variant), node_scores(case.graph, case.sample, variant)
    erl, normalised = theirs.eval_erl(graph)
    rand = theirs.get_voi(array, graph)
    yield "xpress: xray-challenge-eval, ERL", report.erl_nm, float(erl)
    yield "xpress: xray-challenge-eval, ERL / mean length", report.erl_by_normaliser, float(normalised)
    yield "xpress: xray-challenge-eval, Rand split", nodes.rand_split, rand["rand_split"]
    yield "xpress: xray-challenge-eval, Rand merge", nodes.rand_merge, rand["rand_merge"]
    score = 0.5 * normalised + 0.25 * (rand["rand_split"] + rand["rand_merge"])
    yield "xpress: xray-challenge-eval, score", headline(variant, figures_of(report=report, nodes=nodes)).value, score


@dataclass(frozen=True)
class CremiVolume:
    """What ``NeuronIds`` asks of a volume."""

    data: NDArray[np.uint64]
    resolution: tuple[float, float, float] = (40.0, 4.0, 4.0)


def counted(labels: NDArray[np.uint64], truth: NDArray[np.uint64], rule: DenseRule) -> DenseScores | None:
    """Ours, from files; None where the rule leaves no voxel."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("labels.h5", "truth.h5")]
        for path, array in zip(paths, (labels, truth), strict=True):
            write_labels_file(path, array, CREMI_NM)
        with open_labels(paths[0]) as seg, open_labels(paths[1]) as gt:
            counter = OverlapCounter(seg, gt, rule)
            sample_nodes(seg, np.empty((0, 3), np.int32), also=counter.add)
    try:
        return dense_scores(counter.table())
    except InputError:
        return None


def dense(programs: Programs, case: Case) -> Pairs:
    """cremi_python with and without its border mask; the ARAND of SNEMI3D, in its own crop."""
    truth = case.truth.copy()
    truth[case.truth == 1] = np.uint64(NO_LABEL)
    for border_nm in (0.0, 9.0, 25.0):
        ours = counted(case.labels, truth, DenseRule(border_nm=border_nm, background=NO_LABEL))
        if ours is None:
            continue
        theirs = programs.cremi().NeuronIds(CremiVolume(truth), border_nm)
        arand = theirs.adapted_rand(CremiVolume(case.labels))
        split, merge = theirs.voi(CremiVolume(case.labels))
        yield f"cremi, {border_nm:g} nm: cremi_python, ARAND", ours.arand, float(arand)
        yield f"cremi, {border_nm:g} nm: cremi_python, VOI split", ours.voi_split, float(split)
        yield f"cremi, {border_nm:g} nm: cremi_python, VOI merge", ours.voi_merge, float(merge)
    container, evaluate = programs.snemi3d()
    cropped = container.Snemi3d()
    cropped.input, cropped.ground_truth = case.labels, case.truth
    cropped.slice()
    mine = dense_scores(table(cropped.ground_truth, cropped.input))
    small = (a.astype(np.int64) for a in (cropped.input, cropped.ground_truth))
    yield "snemi3d-gc: snemi3d-gc with pytorch_connectomics, ARAND", mine.arand, float(evaluate.adapted_rand(*small))


def table(truth: NDArray[np.uint64], labels: NDArray[np.uint64]) -> OverlapTable:
    pairs, voxels = np.unique(np.stack([truth.ravel(), labels.ravel()]), axis=1, return_counts=True)
    return OverlapTable(pairs[0], pairs[1], voxels)


def relative(ours: float, theirs: float) -> float:
    """Relative difference; of values below 1, the absolute one."""
    return abs(ours - theirs) / max(abs(ours), abs(theirs), 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", type=Path, metavar="CHECKOUTS")
    parser.add_argument("--cases", type=int, default=200, metavar="N", help="generated volumes (default 200)")
    parser.add_argument("--fib25", type=Path, metavar="FOLDER")
    parser.add_argument("--cortex", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    programs = Programs(arguments.checkouts)
    print(
        ", ".join(f"{name} {programs.commit(name)}" for name in ("em_erl", "funlib.evaluate", "banis", "cremi_python"))
    )
    counted: dict[str, int] = {}
    telling: dict[str, int] = {}
    worst: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as work:
        volumes = list(generated(arguments.cases))
        volumes += list(fib25(arguments.fib25, Path(work))) if arguments.fib25 else []
        volumes += list(cortex(arguments.cortex)) if arguments.cortex else []
    print(f"{'compared':66} {'case':16} {'ours':>18} {'theirs':>18} {'relative':>9}")
    for case in volumes:
        for compare in (axonem, banis, strict, xpress, dense):
            for what, ours, theirs in compare(programs, case):
                found = relative(ours, theirs)
                counted[what] = counted.get(what, 0) + 1
                telling[what] = telling.get(what, 0) + (theirs not in (0.0, 1.0))
                worst[what] = max(worst.get(what, 0.0), found)
                if found > LIMIT or not case.name.startswith("generated"):
                    print(f"{what:66} {case.name:16} {ours:>18.10g} {theirs:>18.10g} {found:>9.1e}")
    print(f"\n{'compared':66} {'cases':>6} {'not 0 or 1':>11} {'largest relative difference':>28}")
    for what, n in counted.items():
        print(f"{what:66} {n:>6} {telling[what]:>11} {worst[what]:>28.1e}")
    sys.exit(max(worst.values()) > LIMIT)


if __name__ == "__main__":
    main()
