"""Region graph and mean-affinity agglomeration: by hand, against plain code, against waterz."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.affinity_unet.agglomerate import agglomerate
from baselines.affinity_unet.region_graph import RegionGraph, add_graphs, edge_slot, region_graph, rename
from tests.training.affinity_fields import row, same_partition, smooth


def graph_of(*edges: tuple[int, int, int, int]) -> RegionGraph:
    """Edges (u, v, total, count)."""
    table = np.array(sorted(edges), np.int64).reshape(-1, 4)
    return RegionGraph(table[:, 0], table[:, 1], table[:, 2], table[:, 3], np.zeros(len(table), np.uint8))


def random_graph(seed: int, nodes: int, edges: int) -> RegionGraph:
    rng = np.random.default_rng(seed)
    pairs = np.unique(np.sort(rng.integers(1, nodes + 1, (edges, 2)), axis=1), axis=0)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    count = rng.integers(1, 50, len(pairs))
    total = np.array([rng.integers(0, 255 * c + 1) for c in count], np.int64)
    return RegionGraph(pairs[:, 0], pairs[:, 1], total, count, np.zeros(len(pairs), np.uint8))


def by_hand(
    graph: RegionGraph, voxels: np.ndarray | None = None, large: int = 0, large_least: float = 0.0
) -> list[tuple[frozenset, frozenset, float]]:
    """Plain agglomeration: look at every pair of segments, join the one with the highest mean, start over."""

    def refused(pair: frozenset, mean: float) -> bool:
        if voxels is None or mean >= large_least:
            return False
        return all(sum(int(voxels[node]) for node in segment) >= large for segment in pair)

    segments = {int(n): frozenset([int(n)]) for n in np.union1d(graph.u, graph.v)}
    merges = []
    while True:
        pairs: dict[frozenset, list[int]] = {}
        for u, v, total, count in zip(graph.u, graph.v, graph.total, graph.count, strict=True):
            a, b = segments[int(u)], segments[int(v)]
            if a != b:
                entry = pairs.setdefault(frozenset([a, b]), [0, 0])
                entry[0] += int(total)
                entry[1] += int(count)
        mean = {pair: total / count / 255 for pair, (total, count) in pairs.items()}
        pairs = {pair: entry for pair, entry in pairs.items() if not refused(pair, mean[pair])}
        if not pairs:
            return merges
        best = max(pairs, key=lambda pair: pairs[pair][0] / pairs[pair][1])
        a, b = best
        merges.append((a, b, pairs[best][0] / pairs[best][1] / 255))
        for node in a | b:
            segments[node] = a | b


def test_tables_grow_with_a_volume_of_single_voxels():
    rng = np.random.default_rng(3)
    affinity = rng.integers(0, 256, (3, 24, 25, 26), np.uint8)
    graph = region_graph(affinity, np.arange(1, 24 * 25 * 26 + 1, dtype=np.uint32).reshape(24, 25, 26))
    assert len(graph) == 23 * 25 * 26 + 24 * 24 * 26 + 24 * 25 * 25
    assert graph.count.tolist() == [1] * len(graph)
    inside = affinity[0, 1:].sum(dtype=np.int64) + affinity[1, :, 1:].sum(dtype=np.int64)
    assert graph.total.sum() == inside + affinity[2, :, :, 1:].sum(dtype=np.int64)
    assert graph.total.tolist() == graph.strongest.tolist()
    assert (np.diff(graph.u) >= 0).all()


def test_tables_have_room_for_a_row_longer_than_they_begin_with():
    affinity = np.random.default_rng(4).integers(0, 256, (3, 1, 1, 70_000), np.uint8)
    graph = region_graph(affinity, np.arange(1, 70_001, dtype=np.uint32).reshape(1, 1, -1))
    assert graph.u.tolist() == list(range(1, 70_000))
    assert graph.v.tolist() == list(range(2, 70_001))
    assert graph.total.tolist() == affinity[2, 0, 0, 1:].tolist()


@pytest.mark.parametrize("threshold", [0.3, 0.6])
@pytest.mark.slow
def test_of_many_edges_none_is_left_whose_mean_is_at_the_threshold(threshold):
    graph = random_graph(7, 4_000, 30_000)
    tree = agglomerate(graph, 4_000)
    assert (np.diff(tree.score) <= 0).all()
    left = rename(graph, tree.lookup(threshold))
    assert 0 < len(left) < len(graph)
    assert (left.total / (255.0 * left.count)).max() < threshold


def test_a_row_by_hand():
    """Fragments 1 1 2 2 3: links between 1 and 2 of .4, between 2 and 3 of .8; one table row each."""
    affinity = row(1.0, 0.4, 1.0, 0.8)
    graph = region_graph(affinity, np.array([[[1, 1, 2, 2, 3]]], np.uint32))
    assert (graph.u.tolist(), graph.v.tolist()) == ([1, 2], [2, 3])
    assert graph.total.tolist() == [102, 204]
    tree = agglomerate(graph, 3)
    assert tree.score.tolist() == [0.8, 0.4]
    assert tree.lookup(0.9).tolist() == [0, 1, 2, 3]
    assert tree.lookup(0.8).tolist() == [0, 1, 2, 2]
    assert tree.lookup(0.4).tolist() == [0, 1, 1, 1]


def test_the_mean_weighs_contacts_by_their_size():
    """1-2 join first (.9); then 3 touches them by 1 link of .8 and 3 of .4: mean .5, below 3-4's .6."""
    graph = graph_of((1, 2, 2295, 10), (1, 3, 204, 1), (2, 3, 306, 3), (3, 4, 153, 1))
    tree = agglomerate(graph, 4)
    assert np.round(tree.score, 6).tolist() == [0.9, 0.6, 0.5]
    assert tree.lookup(0.55).tolist() == [0, 1, 1, 2, 2]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 14), st.integers(1, 40))
def test_equal_to_plain_agglomeration(seed, nodes, edges):
    graph = random_graph(seed, nodes, edges)
    if len(graph) == 0:
        return
    tree = agglomerate(graph, nodes)
    expected = by_hand(graph)
    assert np.allclose(tree.score, [score for _, _, score in expected], atol=1e-12)
    distinct = len(np.unique(np.round(tree.score, 9))) == len(tree.score)
    if distinct:  # equal means may be taken in any order
        for a, b, (one, other, _) in zip(tree.a, tree.b, expected, strict=True):
            assert {int(a) in one, int(b) in one} == {True, False}
            assert {int(a) in other, int(b) in other} == {True, False}


def test_two_large_segments_need_a_higher_mean():
    """1-2 (.9) make 20 voxels; to 3, as large, they have .4, to the small 4 .3. Between large ones .5 is asked for."""
    graph = graph_of((1, 2, 2295, 10), (2, 3, 1020, 10), (2, 4, 765, 10))
    voxels = np.array([0, 10, 10, 20, 5])
    assert agglomerate(graph, 4).lookup(0.2).tolist() == [0, 1, 1, 1, 1]
    assert agglomerate(graph, 4, voxels, large=20, large_least=0.5).lookup(0.2).tolist() == [0, 1, 1, 2, 1]
    assert agglomerate(graph, 4, voxels, large=20, large_least=0.4).lookup(0.2).tolist() == [0, 1, 1, 1, 1]
    assert agglomerate(graph, 4, voxels, large=21, large_least=0.5).lookup(0.2).tolist() == [0, 1, 1, 1, 1]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 14), st.integers(1, 40), st.integers(1, 60), st.floats(0, 1))
def test_the_rule_for_large_segments_equals_that_of_plain_agglomeration(seed, nodes, edges, large, large_least):
    graph = random_graph(seed, nodes, edges)
    if len(np.unique(graph.total / graph.count)) < len(
        graph
    ):  # equal means may be taken in any order, and sizes follow it
        return
    voxels = np.random.default_rng(seed).integers(1, 30, nodes + 1)
    tree = agglomerate(graph, nodes, voxels, large=large, large_least=large_least)
    expected = by_hand(graph, voxels, large, large_least)
    assert np.allclose(tree.score, [score for _, _, score in expected], atol=1e-12)


def test_sizes_are_asked_for_where_large_segments_have_a_rule():
    with pytest.raises(ValueError, match="large needs the sizes"):
        agglomerate(random_graph(1, 5, 9), 5, large=3, large_least=0.5)


def test_scores_never_rise_on_a_large_graph():
    graph = random_graph(1, 5_000, 40_000)
    tree = agglomerate(graph, 5_000)
    assert len(tree.score) > 4_900
    assert (np.diff(tree.score) <= 1e-12).all()
    assert tree.lookup(0.0).max() == 1


def test_the_table_does_not_depend_on_the_blocks():
    """Counting each link in the block that owns its destination gives the whole volume's table."""
    affinity = smooth((8, 20, 18), 3)
    fragments = np.random.default_rng(0).integers(0, 9, (8, 20, 18)).astype(np.uint32)
    whole = region_graph(affinity, fragments)
    pieces = []
    for z in range(0, 8, 3):
        for y in range(0, 20, 7):
            low = (max(z - 1, 0), max(y - 1, 0))
            box = (slice(low[0], z + 3), slice(low[1], y + 7))
            pieces.append(region_graph(affinity[:, *box], fragments[box], (z - low[0], y - low[1], 0)))
    added = add_graphs(pieces)
    for name in ("u", "v", "total", "count", "strongest"):
        assert np.array_equal(getattr(whole, name), getattr(added, name)), name


def test_equal_to_waterz_on_the_same_fragments():
    waterz = pytest.importorskip("waterz")
    rng = np.random.default_rng(2)
    affinity = smooth((10, 30, 30), 7)
    # blocks of 5 voxels a side, every voxel in one: contacts of 25 links, so that equal means are rare
    z, y, x = np.indices((10, 30, 30)) // 5
    fragments = rng.permutation(72)[(z * 6 + y) * 6 + x].astype(np.uint64) + 1
    tree = agglomerate(region_graph(affinity, fragments.astype(np.uint32)), 72)
    thresholds = [float(1 - (tree.score[i] + tree.score[i + 1]) / 2) for i in (10, 35, 60)]
    found = waterz.agglomerate((affinity / np.float32(255)).astype(np.float32), thresholds, fragments=fragments.copy())
    for threshold, theirs in zip(thresholds, found, strict=True):
        assert same_partition(tree.lookup(1 - threshold)[fragments.astype(np.int64)], theirs)


def test_the_edges_of_large_segments_do_not_pile_up_in_the_hash_table():
    ends = np.array([(a, b) for a in range(1, 21) for b in range(1000, 1500)], np.int32)
    empty, table = np.full(32_768, -1, np.int32), np.full(32_768, -1, np.int32)
    walked = 0
    for edge, (a, b) in enumerate(ends):
        slot = edge_slot(table, ends, a, b)
        walked += (slot - edge_slot(empty, ends, a, b)) % len(table)
        table[slot] = edge
    assert walked / len(ends) < 5
