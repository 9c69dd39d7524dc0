"""Figures beyond the headline, on examples worked by hand (docs/metric.md); nodes stand 1,000 nm apart."""

import json
import math

import pytest
from hypothesis import given

from axonem_eval import NodeSample, score_nodes
from axonem_eval.report import full_report
from axonem_eval.scoring import (
    axon_table,
    erl_lost_nm,
    error_counts,
    half_cable_run_nm,
    length_bins,
    run_survival,
    run_table,
    tolerance_curve,
)
from axonem_eval.scoring.omissions import find_omissions
from tests.chains import chains, masked, u64
from tests.scoring.random_cases import TOLERANCES, cases


def table(graph, labels):
    return run_table(graph, labels if isinstance(labels, NodeSample) else NodeSample.of_labels(labels))


# At T = 2: axon 1 (5 um) loses 2 um to background, which leaves runs of 2 and 1 um; axons 2 and 3 (2 um each) are
# joined by segment 5. 9 um of cable in all.
GRAPH = chains(6, 3, 3)
LABELS = u64(7, 7, 7, 0, 8, 8, 5, 5, 5, 5, 5, 5)


def test_the_curve_counts_a_merger_up_to_its_second_largest_share():
    # 5 has 3 nodes in two axons: a merger up to T = 3
    curve = tolerance_curve(table(GRAPH, LABELS), 1000.0, (1, 3, 4, math.inf))
    assert [p.mergers for p in curve] == [1, 1, 0, 0]
    assert [p.erl_nm for p in curve] == [5e6 / 9e3, 5e6 / 9e3, 13e6 / 9e3, 13e6 / 9e3]
    assert [p.tolerance_um for p in curve] == [1, 3, 4, None]


def test_the_curve_at_infinity_forgives_the_mask_too():
    curve = tolerance_curve(table(chains(3), masked([5, 5, 5], {5: 10**9})), 1000.0, (200, math.inf))
    assert [(p.erl_nm, p.mergers, p.tolerance_nodes) for p in curve] == [(0, 1, 200), (2000, 0, None)]


def test_bins_hold_the_erl_of_their_axons():
    # axons of 5, 2, 2 um in bins 0-2, 2-5, 5-: the boundary belongs to the upper bin
    bins = length_bins(table(GRAPH, LABELS), 2, (0, 2, 5, math.inf))
    assert [b.axons for b in bins] == [0, 2, 1]
    assert [b.erl_nm for b in bins] == [None, 0, 5e6 / 5e3]
    assert [b.gt_erl_nm for b in bins] == [None, 2000, 5000]
    assert [b.upper_um for b in bins] == [2, 5, None]


def test_bins_tell_the_cable_in_runs_of_that_length():
    bins = length_bins(table(GRAPH, LABELS), 2, (0, 2, 5, math.inf))
    assert [b.run_cable_nm for b in bins] == [1000, 2000, 0]
    assert [b.gt_cable_nm for b in bins] == [0, 4000, 5000]


def test_losses_lead_from_the_ceiling_to_the_score():
    # ceiling (25 + 4 + 4) / 9; without the 2 um omitted (9 + 4 + 4) / 9; in runs of 2 and 1 um (5 + 4 + 4) / 9;
    # without segment 5: 5 / 9
    lost = erl_lost_nm(table(GRAPH, LABELS), 2)
    assert lost == pytest.approx({"omitted": 16e6 / 9e3, "split": 4e6 / 9e3, "merged": 8e6 / 9e3})


def test_half_of_the_cable_on_runs_of_at_least_a_length():
    # runs of 2 and 1 um on 9 um of cable; axons of 5, 2, 2 um
    survival = run_survival(table(GRAPH, LABELS), 2, points=6)
    assert survival.length_nm == [0, 1000, 2000, 3000, 4000, 5000]
    assert survival.segmentation == pytest.approx([3 / 9, 3 / 9, 2 / 9, 0, 0, 0])
    assert survival.ground_truth == pytest.approx([1, 1, 1, 5 / 9, 5 / 9, 5 / 9])
    assert survival.axons == [3, 3, 3, 1, 1, 1]


def test_half_of_the_cable_lies_on_runs_of_at_least_a_length():
    # runs of 3, 2 and 1 um on 7 um of cable: 3 um are less than half, 3 + 2 more
    runs = table(chains(8), u64(7, 7, 7, 7, 8, 8, 8, 9))
    assert half_cable_run_nm(runs, 50) == {"ground_truth": 7000, "segmentation": 2000}
    assert half_cable_run_nm(table(GRAPH, LABELS), 2)["segmentation"] == 0


def test_each_error_is_counted_once():
    counts = counts_of(GRAPH, u64(7, 0, 0, 7, 8, 9, 5, 5, 5, 5, 5, 5), 2)
    assert (counts.splits, counts.gaps, counts.mergers, counts.merge_joins) == (2, 1, 1, 1)
    # on 9 um of cable
    assert counts.splits_per_mm == pytest.approx(2 / 0.009)
    assert counts.gaps_per_mm == counts.mergers_per_mm == pytest.approx(1 / 0.009)


def test_a_merger_of_three_axons_takes_two_cuts():
    counts = counts_of(chains(2, 2, 2), u64(5, 5, 5, 5, 5, 5), 2)
    assert (counts.mergers, counts.merge_joins) == (1, 2)


def test_a_merger_with_the_mask_alone_takes_one_cut():
    counts = counts_of(chains(3), masked([5, 5, 5], {5: 100}), 50)
    assert (counts.mergers, counts.merge_joins) == (1, 1)


def counts_of(graph, labels, tolerance):
    sample = labels if isinstance(labels, NodeSample) else NodeSample.of_labels(labels)
    return error_counts(graph, sample, run_table(graph, sample), tolerance)


def test_gaps_are_connected_stretches_within_one_axon():
    gaps = find_omissions(chains(5, 3), u64(0, 0, 7, 0, 7, 0, 0, 7))
    assert gaps.node_omission.tolist() == [0, 0, -1, 1, -1, 2, 2, -1]
    assert gaps.skeleton.tolist() == [0, 0, 1]


def test_background_on_a_skeleton_without_length_is_no_gap():
    assert len(find_omissions(chains(3, 1), u64(7, 7, 7, 0)).skeleton) == 0


def test_the_axon_table_says_what_became_of_each_axon():
    graph, sample = chains(6, 3, 1, 3), NodeSample.of_labels(u64(7, 7, 7, 0, 8, 8, 5, 5, 5, 1, 5, 5, 5))
    axons = axon_table(graph, sample, run_table(graph, sample), 2)
    assert axons.skeleton_id.tolist() == [1, 2, 4]  # 3 has no edge
    assert axons.length_nm.tolist() == [5000, 2000, 2000]
    assert axons.erl_nm.tolist() == [1000, 0, 0]
    assert axons.longest_run_nm.tolist() == [2000, 0, 0]
    assert (axons.correct_nm.tolist(), axons.omitted_nm.tolist()) == ([3000, 0, 0], [2000, 0, 0])
    assert (axons.split_nm.tolist(), axons.merged_nm.tolist()) == ([0, 0, 0], [0, 2000, 2000])
    assert (axons.splits.tolist(), axons.gaps.tolist()) == ([0, 0, 0], [1, 0, 0])
    assert (axons.segments.tolist(), axons.mergers.tolist()) == ([2, 1, 1], [0, 1, 1])
    # (25 - 5) / 9, 4 / 9, 4 / 9
    assert axons.lost_nm == pytest.approx([20e6 / 9e3, 4e6 / 9e3, 4e6 / 9e3])
    assert axons.worst(2).tolist() == [0, 1]


@given(cases(), TOLERANCES)
def test_parts_add_up_to_the_score(case, tolerance):
    graph, sample = case
    runs = run_table(graph, sample)
    score, ceiling, total = runs.erl_nm(tolerance), runs.gt_erl_nm, runs.total_nm
    close = {"rel": 1e-9, "abs": 1e-6}
    assert ceiling - sum(erl_lost_nm(runs, tolerance).values()) == pytest.approx(score, **close)
    bins = [b for b in length_bins(runs, tolerance) if b.axons]
    assert sum(b.erl_nm * b.gt_cable_nm for b in bins) / total == pytest.approx(score, **close)
    axons = axon_table(graph, sample, runs, tolerance)
    assert (axons.erl_nm * axons.length_nm).sum() / total == pytest.approx(score, **close)
    assert ceiling - axons.lost_nm.sum() == pytest.approx(score, **close)
    classes = axons.correct_nm + axons.omitted_nm + axons.split_nm + axons.merged_nm
    assert classes == pytest.approx(axons.length_nm, **close)


@given(cases(), TOLERANCES)
def test_no_kind_of_error_adds_to_the_score(case, tolerance):
    graph, sample = case
    lost = erl_lost_nm(run_table(graph, sample), tolerance)
    assert min(lost.values()) >= -1e-6


@given(cases(), TOLERANCES)
def test_the_area_below_the_run_lengths_is_the_score(case, tolerance):
    graph, sample = case
    runs = run_table(graph, sample)
    survival = run_survival(runs, tolerance, points=4001)
    step = survival.length_nm[1]
    area = sum(survival.segmentation[1:]) * step
    assert area == pytest.approx(runs.erl_nm(tolerance), abs=step)


@given(cases())
def test_gaps_are_those_that_a_walk_finds(case):
    graph, sample = case
    label = sample.node_segment
    neighbours = {int(n): set() for n in range(graph.n_nodes)}
    for u, v in zip(graph.edge_u.tolist(), graph.edge_v.tolist(), strict=True):
        neighbours[u].add(v)
        neighbours[v].add(u)
    left = {n for n in neighbours if label[n] == 0 and neighbours[n]}
    n_gaps = 0
    while left:
        n_gaps += 1
        reached = [left.pop()]
        while reached:
            near = neighbours[reached.pop()] & left
            left -= near
            reached += near
    assert len(find_omissions(graph, label).skeleton) == n_gaps


def many_axons(n: int = 40) -> tuple:
    """n axons of 3 um in one segment each, and one of 60 um that is cut in half."""
    graph = chains(*[4] * n, 61)
    label = graph.skeleton_id[graph.node_skeleton].copy()
    label[-30:] = 1000
    return graph, NodeSample.of_labels(label)


def test_the_full_report_is_plain_json_with_the_score_in_it():
    graph, sample = many_axons()
    report = json.loads(json.dumps(full_report(graph, sample, resamples=100, public=True), allow_nan=False))
    assert report["erl_nm"] == score_nodes(graph, sample).erl_nm
    assert report["dense"] is None
    assert report["tolerance_curve"][-1]["tolerance_nodes"] is None


def test_without_public_the_report_holds_no_axon_and_no_position():
    graph, sample = many_axons()
    text = json.dumps(full_report(graph, sample, resamples=100))
    assert not any(word in text for word in ("skeleton_id", 'voxel"', "z_nm", 'segment"', "worst_axons", "top_errors"))


def test_with_public_ids_are_strings_so_that_a_browser_keeps_them_whole():
    graph, sample = many_axons()
    sample.node_segment[:4] = [2**63 + 1] * 2 + [2**63 + 3] * 2
    report = full_report(graph, sample, resamples=100, public=True)
    assert report["worst_axons"][0]["skeleton_id"] == "41"
    assert {"9223372036854775809", "9223372036854775811"} <= {e["segment"] for e in report["top_errors"]} | {
        e["other_segment"] for e in report["top_errors"]
    }
