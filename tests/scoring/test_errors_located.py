"""Where errors are and what mending each would win; nodes stand 1,000 nm (one voxel) apart, axon i at y = i."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axonem_eval import NodeSample
from axonem_eval.report.full_report import json_rows
from axonem_eval.scoring import MERGER, locate_errors, run_table
from axonem_eval.scoring.located_errors import OMISSION, SPLIT
from axonem_eval.scoring.merge_sites import closest_pairs
from tests.chains import chains, masked, u64
from tests.scoring.random_cases import TOLERANCES, cases


def located(graph, labels, tolerance=2):
    sample = labels if isinstance(labels, NodeSample) else NodeSample.of_labels(labels)
    return locate_errors(graph, sample, run_table(graph, sample), tolerance)


def erl(graph, labels, tolerance=2):
    return run_table(graph, NodeSample.of_labels(labels)).erl_nm(tolerance)


def test_a_perfect_segmentation_has_no_error():
    errors = located(chains(5, 4), u64(1, 1, 1, 1, 1, 2, 2, 2, 2))
    assert len(errors) == 0
    assert json_rows(errors.top(5).columns()) == []


def test_a_split_lies_between_its_two_nodes():
    errors = located(chains(6), u64(7, 7, 7, 7, 9, 9))
    assert errors.kind.tolist() == [SPLIT]
    assert errors.voxel_zyx.tolist() == [[0, 0, 3]]
    assert (errors.segment.tolist(), errors.other_segment.tolist()) == ([7], [9])
    assert (errors.skeleton.tolist(), errors.other_skeleton.tolist()) == ([0], [-1])
    assert errors.length_nm.tolist() == [1000]


def test_mending_a_split_wins_the_longer_run():
    graph = chains(6)
    errors = located(graph, u64(7, 7, 7, 7, 9, 9))
    assert errors.gain_nm[0] == pytest.approx(erl(graph, u64(*[7] * 6)) - erl(graph, u64(7, 7, 7, 7, 9, 9)))


def test_splits_between_the_same_two_segments_are_mended_together():
    graph, labels = chains(6, 2), u64(7, 7, 9, 9, 7, 7, 5, 6)
    errors = located(graph, labels)
    assert (errors.kind == SPLIT).all()
    assert errors.group.tolist() == [errors.group[0], errors.group[0], errors.group[2]]
    assert errors.gain_nm[0] == errors.gain_nm[1]
    assert errors.gain_nm[0] == pytest.approx(erl(graph, u64(*[7] * 6, 5, 6)) - erl(graph, labels))
    assert len(errors.top(10)) == 2


def test_an_omission_is_one_stretch_in_the_middle_of_its_nodes():
    errors = located(chains(7), u64(7, 7, 0, 0, 0, 9, 9))
    assert errors.kind.tolist() == [OMISSION]
    assert errors.voxel_zyx.tolist() == [[0, 0, 3]]
    assert errors.length_nm.tolist() == [4000]
    assert (errors.segment.tolist(), errors.other_segment.tolist()) == ([7], [9])


def test_mending_an_omission_joins_its_neighbours():
    graph, labels = chains(7), u64(7, 7, 0, 0, 0, 9, 9)
    assert located(graph, labels).gain_nm[0] == pytest.approx(erl(graph, u64(*[7] * 7)) - erl(graph, labels))


def test_mending_an_omission_at_the_end_prolongs_the_run():
    graph, labels = chains(4), u64(7, 7, 7, 0)
    errors = located(graph, labels)
    assert errors.gain_nm[0] == pytest.approx(erl(graph, u64(*[7] * 4)) - erl(graph, labels))
    assert errors.other_segment.tolist() == [0]


def test_an_axon_that_is_missing_altogether_is_one_omission():
    errors = located(chains(4), u64(0, 0, 0, 0))
    assert (errors.length_nm.tolist(), errors.segment.tolist()) == ([3000], [0])
    assert errors.gain_nm[0] == pytest.approx(3000)


def test_a_merger_lies_where_its_axons_come_closest():
    # axons at y = 0 and y = 1; segment 5 holds x = 0..2 of one and x = 2..4 of the other
    errors = located(chains(5, 5), u64(5, 5, 5, 1, 1, 2, 2, 5, 5, 5))
    merger = errors.rows(errors.kind == MERGER)
    assert merger.voxel_zyx.tolist() == [[0, 0, 2]]
    assert sorted([*merger.skeleton, *merger.other_skeleton]) == [0, 1]
    assert merger.segment.tolist() == [5]
    assert merger.length_nm.tolist() == [4000]


def test_cutting_a_merger_wins_its_runs_in_all_axons():
    graph = chains(5, 4, 2)
    labels = u64(*[5] * 9, 5, 6)
    errors = located(graph, labels, tolerance=2)
    merger = errors.rows(errors.kind == MERGER)
    assert merger.gain_nm[0] == pytest.approx(erl(graph, u64(*[1] * 5, *[2] * 4, 3, 6)) - erl(graph, labels))


def test_a_split_beside_a_merger_wins_nothing():
    errors = located(chains(5, 5), u64(5, 5, 5, 1, 1, 5, 5, 5, 5, 5))
    assert errors.gain_nm[errors.kind == SPLIT].tolist() == [0]


def test_a_merger_of_three_axons_has_the_two_sites_between_neighbours():
    errors = located(chains(3, 3, 3), u64(*[5] * 9))
    merger = errors.rows(errors.kind == MERGER)
    pairs = {tuple(sorted(p)) for p in zip(merger.skeleton.tolist(), merger.other_skeleton.tolist(), strict=True)}
    assert pairs == {(0, 1), (1, 2)}
    assert len(merger.top(10)) == 1


def test_a_merger_with_the_mask_lies_in_the_middle_of_its_longest_part():
    errors = located(chains(5, 3), masked([5, 5, 5, 5, 5, 6, 5, 6], {5: 100}), tolerance=50)
    merger = errors.rows(errors.kind == MERGER)
    assert merger.voxel_zyx.tolist() == [[0, 0, 2]]
    assert (merger.skeleton.tolist(), merger.other_skeleton.tolist()) == ([0], [-1])


def test_positions_come_in_voxels_and_nm():
    columns = located(chains(6, step_nm=40.0), u64(7, 7, 7, 7, 9, 9)).columns()
    assert (columns["x_voxel"].tolist(), columns["x_nm"].tolist()) == ([3], [120])
    assert columns["kind"].tolist() == ["split"]
    assert columns["other_skeleton_id"].tolist() == [0]


def test_the_worst_come_first():
    graph = chains(20, 6)
    errors = located(graph, u64(*[7] * 10, *[8] * 10, 9, 9, 9, 0, 4, 4))
    top = errors.top(2)
    assert top.kind.tolist() == [SPLIT, OMISSION]
    assert (np.diff(top.gain_nm) <= 0).all()
    json.dumps(json_rows(top.columns()), allow_nan=False)


@given(cases(), TOLERANCES)
def test_kinds_and_lengths_agree_with_the_classes_of_edges(case, tolerance):
    graph, sample = case
    table = run_table(graph, sample)
    errors = locate_errors(graph, sample, table, tolerance)
    close = {"rel": 1e-9, "abs": 1e-6}
    assert errors.length_nm[errors.kind == SPLIT].sum() == pytest.approx(table.split_nm.sum(), **close)
    assert errors.length_nm[errors.kind == OMISSION].sum() == pytest.approx(table.omitted_nm.sum(), **close)
    mergers = errors.rows(errors.kind == MERGER)
    assert set(mergers.segment.tolist()) == set(table.segment[table.is_merger(tolerance)].tolist())
    once = mergers.top(len(mergers))
    assert once.length_nm.sum() == pytest.approx(table.run_nm[table.is_merger(tolerance)].sum(), **close)
    assert errors.gain_nm.min(initial=0) >= 0


@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_sites_are_the_closest_pairs_that_a_search_through_all_finds(seed, n_parts):
    random = np.random.default_rng(seed)
    position = random.uniform(0, 1e4, (60, 3))
    part = np.concatenate([np.arange(n_parts), random.integers(0, n_parts, 60 - n_parts)]).astype(np.int32)
    pairs = closest_pairs(position, part, np.full(60, 7, np.uint64))
    distance = np.linalg.norm(position[:, None] - position[None], axis=2)
    distance[part[:, None] == part[None]] = np.inf
    found = {tuple(sorted(p)) for p in pairs.tolist()}
    for p in range(n_parts):
        rows = np.flatnonzero(part == p)
        i, j = np.unravel_index(distance[rows].argmin(), distance[rows].shape)
        assert tuple(sorted((int(rows[i]), int(j)))) in found
    assert len(found) == len(pairs) <= n_parts


def test_a_large_merger_is_searched_by_every_nth_node_and_then_refined():
    # two parallel lines that come within 10 nm of each other at node 5,001 alone, which no stride of 3 meets
    n = 6000
    position = np.zeros((2 * n, 3))
    position[:n, 2] = position[n:, 2] = np.arange(n) * 100.0
    position[n:, 1] = 500 + 0.1 * np.abs(np.arange(n) - 5001)
    position[n + 5001, 1] = 10
    part = np.repeat(np.array([0, 1], np.int32), n)
    pairs = closest_pairs(position, part, np.full(2 * n, 7, np.uint64))
    assert pairs.tolist() == [[5001, n + 5001]]
