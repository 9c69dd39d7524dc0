"""What holds for ERL on any skeletons, labels, mask and tolerance."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axonem_eval import NodeSample, SkeletonGraph, score_nodes
from tests.scoring.random_cases import TOLERANCES, cases, graphs


def relabelled(sample: NodeSample, new_of_old: dict[int, int]) -> NodeSample:
    def renamed(ids: np.ndarray) -> np.ndarray:
        return np.array([new_of_old[int(i)] for i in ids], np.uint64)

    mask = None if sample.mask_segment is None else renamed(sample.mask_segment)
    return NodeSample(renamed(sample.node_segment), mask, sample.mask_voxels)


@given(graphs(), TOLERANCES)
def test_a_perfect_segmentation_scores_the_ceiling(graph, tolerance):
    report = score_nodes(graph, graph.skeleton_id[graph.node_skeleton], tolerance_nodes=tolerance)
    assert report.erl_nm == report.gt_erl_nm
    assert report.edges_nm["correct"] == report.edges_nm["total"]


@given(cases(), TOLERANCES, st.randoms(use_true_random=False))
def test_the_names_of_segments_do_not_matter(case, tolerance, random):
    graph, sample = case
    # Names from both ends of uint64, many of which float64 and uint32 cannot tell apart.
    names = [2**64 - 1 - i for i in range(4)] + [2**32 * i + 1 for i in range(4)]
    random.shuffle(names)
    renamed = relabelled(sample, {0: 0, **dict(zip(range(1, 8), names, strict=False))})
    before = score_nodes(graph, sample, tolerance_nodes=tolerance)
    after = score_nodes(graph, renamed, tolerance_nodes=tolerance)
    assert after.erl_nm == pytest.approx(before.erl_nm, rel=1e-12)
    assert after.edges_nm == pytest.approx(before.edges_nm, rel=1e-12, abs=1e-9)
    assert after.mergers == before.mergers


@given(cases(), TOLERANCES, st.data())
def test_splitting_a_segment_that_is_no_merger_never_raises_the_score(case, tolerance, data):
    graph, sample = case
    before = score_nodes(graph, sample, tolerance_nodes=tolerance)
    table = before.table
    whole = np.unique(table.segment[(table.segment > 0) & ~table.is_merger(tolerance)])
    if not len(whole):
        return
    segment = data.draw(st.sampled_from(whole.tolist()))
    cut = np.array(data.draw(st.lists(st.booleans(), min_size=graph.n_nodes, max_size=graph.n_nodes)))
    labels = np.where(cut & (sample.node_segment == segment), np.uint64(2**40), sample.node_segment)
    after = score_nodes(graph, dataclasses.replace(sample, node_segment=labels), tolerance_nodes=tolerance)
    assert after.erl_nm <= before.erl_nm * (1 + 1e-12)


@given(cases(), TOLERANCES)
def test_losing_a_node_to_background_never_raises_the_score_of_unmerged_segments(case, tolerance):
    graph, sample = case
    before = score_nodes(graph, sample, tolerance_nodes=tolerance)
    lost = sample.node_segment.copy()
    lost[0] = 0
    after = score_nodes(graph, dataclasses.replace(sample, node_segment=lost), tolerance_nodes=tolerance)
    if before.mergers == 0:
        assert after.erl_nm <= before.erl_nm * (1 + 1e-12)


@given(cases(), TOLERANCES, TOLERANCES)
def test_the_score_never_falls_as_the_tolerance_grows(case, one, other):
    graph, sample = case
    low, high = sorted((one, other))
    strict, tolerant = (score_nodes(graph, sample, tolerance_nodes=t) for t in (low, high))
    assert strict.erl_nm <= tolerant.erl_nm * (1 + 1e-12)
    assert strict.mergers >= tolerant.mergers


@given(cases(), TOLERANCES)
def test_strict_tolerant_and_ceiling_come_in_that_order(case, tolerance):
    graph, sample = case
    strict = score_nodes(graph, sample, tolerance_nodes=0)
    tolerant = score_nodes(graph, sample, tolerance_nodes=tolerance)
    assert 0 <= strict.erl_nm <= tolerant.erl_nm * (1 + 1e-12) <= tolerant.gt_erl_nm * (1 + 1e-9)


@given(cases(), TOLERANCES)
def test_the_four_classes_add_up_to_the_cable(case, tolerance):
    graph, sample = case
    edges = score_nodes(graph, sample, tolerance_nodes=tolerance).edges_nm
    parts = [edges[name] for name in ("correct", "omitted", "split", "merged")]
    assert min(parts) >= 0
    assert sum(parts) == pytest.approx(edges["total"], rel=1e-12)


@given(cases(), TOLERANCES)
def test_a_table_gives_the_definition_summed_edge_by_edge(case, tolerance):
    graph, sample = case
    report = score_nodes(graph, sample, tolerance_nodes=tolerance)
    assert report.erl_nm == pytest.approx(erl_by_definition(graph, sample, tolerance), rel=1e-12, abs=1e-9)


def erl_by_definition(graph: SkeletonGraph, sample: NodeSample, tolerance: int) -> float:
    """The definition in docs/metric.md word by word, with dictionaries and loops."""
    segment = [int(k) for k in sample.node_segment]
    has_edge = {int(graph.node_skeleton[u]) for u in graph.edge_u}
    count: dict[tuple[int, int], int] = {}
    for s, k in zip(graph.node_skeleton.tolist(), segment, strict=True):
        if s in has_edge:
            count[s, k] = count.get((s, k), 0) + 1
    mergers = set()
    for k in set(segment) - {0}:
        merged = sum(n >= max(tolerance, 1) for (_, other), n in count.items() if other == k)
        if merged >= 2:
            mergers.add(k)
    if sample.mask_segment is not None:
        for k, voxels in zip(sample.mask_segment.tolist(), sample.mask_voxels.tolist(), strict=True):
            if k != 0 and voxels > tolerance and any(other == k for _, other in count):
                mergers.add(k)
    run: dict[tuple[int, int], float] = {}
    for u, v, length in zip(graph.edge_u, graph.edge_v, graph.edge_length_nm, strict=True):
        k = segment[u]
        if k == segment[v] and k != 0 and k not in mergers:
            key = int(graph.node_skeleton[u]), k
            run[key] = run.get(key, 0.0) + length
    return sum(length**2 for length in run.values()) / graph.edge_length_nm.sum()
