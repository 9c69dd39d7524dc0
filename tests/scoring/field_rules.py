"""The field's rules written out with dictionaries and loops, as each benchmark's code states them.

Slow and plain: one line of a rule is one line here. The peers' own programs gave the same numbers on the cases of
test_variants.py when the presets were written: funlib.evaluate and its fork of 2021, the AxonEM-challenge repository,
BANIS, xray-challenge-eval and cremi_python.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import networkx as nx
import numpy as np
from scipy.ndimage import distance_transform_edt

from axonem_eval import NodeSample, SkeletonGraph
from axonem_eval.spec import Region

Labels = Sequence[int]


def expected_run_length(
    graph: SkeletonGraph,
    labels: Labels,
    counts: Callable[[int], bool],
    *,
    strike_counted_pairs: bool = False,
    mask_voxels: dict[int, int] | None = None,
    tolerance: int = 0,
) -> float:
    """ERL in nm. counts : whether a pair of so many nodes counts. Isolated nodes make mergers."""
    pairs = Counter(zip(graph.node_skeleton.tolist(), labels, strict=True))
    counted = [pair for pair, n in pairs.items() if counts(n)]
    skeletons_of = Counter(segment for _, segment in counted)
    mergers = {segment for segment, n in skeletons_of.items() if n > 1}
    mergers |= {segment for segment, n in (mask_voxels or {}).items() if n > tolerance}
    deciding = counted if strike_counted_pairs else pairs
    merged = {skeleton for skeleton, segment in deciding if segment in mergers}
    runs: dict[tuple[int, int], float] = defaultdict(float)
    lengths: dict[int, float] = defaultdict(float)
    for u, v, length in zip(graph.edge_u, graph.edge_v, graph.edge_length_nm, strict=True):
        skeleton, a, b = int(graph.node_skeleton[u]), labels[u], labels[v]
        lengths[skeleton] += length
        if a == b != 0 and not (skeleton in merged and a in mergers):
            runs[skeleton, a] += length
    return sum(run**2 for run in runs.values()) / sum(lengths.values())


def voi(truth: Labels, segment: Labels) -> tuple[float, float]:
    """(split, merge) in bits from entropies, every label a class; truth of 0 is left out."""
    rows = [(t, s) for t, s in zip(truth, segment, strict=True) if t != 0]

    def entropy(of: list) -> float:
        p = np.array(list(Counter(of).values())) / len(of)
        return float(-(p * np.log2(p)).sum())

    both = entropy(rows)
    return both - entropy([t for t, _ in rows]), both - entropy([s for _, s in rows])


def rand(truth: Labels, segment: Labels) -> tuple[float, float]:
    """(split, merge), from sums of squares; truth of 0 is left out."""
    rows = [(t, s) for t, s in zip(truth, segment, strict=True) if t != 0]
    both = sum(n**2 for n in Counter(rows).values())
    return (
        both / sum(n**2 for n in Counter(t for t, _ in rows).values()),
        both / sum(n**2 for n in Counter(s for _, s in rows).values()),
    )


def pieces_in(graph: SkeletonGraph, region: Region | None) -> nx.Graph:
    """Nodes inside the region with their edges; ``piece`` numbers the connected ones from 0 in the order of nodes."""
    cut = nx.Graph()
    for node, voxel in enumerate(graph.node_voxel_zyx.tolist()):
        low, high = (region.start_zyx, region.stop_zyx) if region else ((0, 0, 0), graph.shape_zyx)
        if all(a <= x < b for a, x, b in zip(low, voxel, high, strict=True)):
            cut.add_node(node)
    for u, v, length in zip(graph.edge_u.tolist(), graph.edge_v.tolist(), graph.edge_length_nm, strict=True):
        if u in cut and v in cut:
            cut.add_edge(u, v, length=length)
    for number, piece in enumerate(nx.connected_components(cut)):
        for node in piece:
            cut.nodes[node]["piece"] = number
    return cut


def as_graph(cut: nx.Graph, graph: SkeletonGraph) -> tuple[SkeletonGraph, list[int]]:
    """The pieces as skeletons, and the nodes that are left."""
    nodes = list(cut.nodes)
    place = {node: i for i, node in enumerate(nodes)}
    edges = [(place[u], place[v], length) for u, v, length in cut.edges(data="length")]
    u, v, length = (np.array(column) for column in zip(*edges, strict=True)) if edges else (np.empty(0),) * 3
    piece = np.array([cut.nodes[n]["piece"] for n in nodes], np.int32)
    pieces = SkeletonGraph(
        skeleton_id=np.arange(piece.max() + 1, dtype=np.uint64),
        node_skeleton=piece,
        node_voxel_zyx=graph.node_voxel_zyx[nodes],
        edge_u=u.astype(np.int32),
        edge_v=v.astype(np.int32),
        edge_length_nm=length.astype(np.float64),
        shape_zyx=graph.shape_zyx,
        voxel_size_nm_zyx=graph.voxel_size_nm_zyx,
    )
    return pieces, nodes


def xpress_score(graph: SkeletonGraph, sample: NodeSample, region: Region | None) -> tuple[float, float, float, float]:
    """(score, normalised ERL, Rand split, Rand merge) as the XPRESS challenge computes them."""
    cut = pieces_in(graph, region)
    at_voxel: dict[tuple[int, ...], int] = {}
    fresh = int(sample.node_segment.max()) + 1
    labels = []
    for node in cut:
        voxel = tuple(graph.node_voxel_zyx[node].tolist())
        label = at_voxel.get(voxel, int(sample.node_segment[node]))
        if label == 0:
            label = at_voxel[voxel] = fresh
            fresh += 1
        labels.append(label)
    pieces, _ = as_graph(cut, graph)
    lengths = [x for x in pieces.skeleton_length_nm.tolist() if x > 0]
    normalised = expected_run_length(pieces, labels, lambda n: n > 0) / (sum(lengths) / len(lengths))
    drawn: dict[tuple[int, ...], int] = {}
    label_at: dict[tuple[int, ...], int] = {}
    for piece in range(pieces.n_skeletons):
        for node in np.flatnonzero(pieces.node_skeleton == piece):
            drawn[tuple(pieces.node_voxel_zyx[node].tolist())] = piece
            label_at[tuple(pieces.node_voxel_zyx[node].tolist())] = labels[node]
    counted = [voxel for voxel in drawn if drawn[voxel] != 0]
    split, merge = (1.0, 1.0) if not counted else rand([drawn[v] for v in counted], [label_at[v] for v in counted])
    return normalised / 2 + split / 4 + merge / 4, normalised, split, merge


def arand(truth: np.ndarray, segment: np.ndarray) -> float:
    """Adapted Rand error as the SNEMI3D script has it."""
    pairs = Counter(zip(truth.ravel().tolist(), segment.ravel().tolist(), strict=True))
    labelled = {pair: n for pair, n in pairs.items() if pair[0] != 0}
    per_truth, per_segment = Counter[int](), Counter[int]()
    for (t, s), n in labelled.items():
        per_truth[t] += n
        per_segment[s] += n
    share = per_segment.pop(0, 0) / truth.size
    sum_a = sum(n**2 for n in per_truth.values())
    sum_b = sum(n**2 for n in per_segment.values()) + share
    sum_ab = sum(n**2 for (_, s), n in labelled.items() if s != 0) + share
    return 1 - 2 * sum_ab / (sum_a + sum_b)


def cremi_masked(truth: np.ndarray, border_px: float) -> np.ndarray:
    """Truth as CREMI scores it: + 1 wraps 2^64 - 1 to 0; pixels near a border of their section are 0."""
    with np.errstate(over="ignore"):
        scored = truth.astype(np.uint64) + np.uint64(1)
    for z, section in enumerate(truth):
        padded = np.pad(section, 1, mode="edge")
        inner = padded[1:-1, 1:-1]
        neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
        same = np.logical_and.reduce([inner == other for other in neighbours])
        if not same.all():
            scored[z][distance_transform_edt(same) <= border_px] = 0
    return scored
