"""Tolerant ERL on examples worked by hand (docs/metric.md); nodes stand 1,000 nm apart."""

import dataclasses

import numpy as np
import pytest

from axonem_eval import InputError, NodeSample, score_nodes
from axonem_eval.skeletons import SkeletonGraph
from tests.chains import chains, masked, u64


def erl(graph, labels, tolerance=50):
    return score_nodes(graph, labels, tolerance_nodes=tolerance).erl_nm


def edges_um(graph, labels, tolerance=50):
    edges = score_nodes(graph, labels, tolerance_nodes=tolerance).edges_nm
    return [edges[name] / 1000 for name in ("correct", "omitted", "split", "merged", "total")]


def test_one_segment_along_the_whole_axon_scores_its_length():
    assert erl(chains(5), u64(7, 7, 7, 7, 7)) == 4000


def test_a_split_costs_the_edge_it_cuts_and_halves_the_run():
    # runs of 2 um and 1 um on 4 um of cable
    assert erl(chains(5), u64(7, 7, 7, 9, 9)) == (2000**2 + 1000**2) / 4000


def test_runs_of_one_segment_parted_by_background_count_as_one_run():
    # funlib.evaluate agrees; contiguous runs would give 500
    assert erl(chains(5), u64(7, 7, 0, 7, 7)) == 2000**2 / 4000


def test_long_axons_weigh_more():
    # 4 um whole, 1 um lost: (4^2 + 0) / 5; the ceiling is (4^2 + 1^2) / 5
    report = score_nodes(chains(5, 2), u64(7, 7, 7, 7, 7, 0, 0), tolerance_nodes=1)
    assert (report.erl_nm, report.gt_erl_nm) == (16e6 / 5e3, 17e6 / 5e3)
    assert report.normalized_erl == 16 / 17


def test_each_edge_falls_into_one_class():
    # axon 1: omitted omitted split correct; axon 2 and 3: segment 5 joins them
    labels = u64(7, 0, 7, 8, 8, 5, 5, 5, 5)
    assert edges_um(chains(5, 2, 2), labels, tolerance=2) == [1, 2, 1, 2, 6]


def test_an_edge_into_background_is_omitted_even_where_the_labels_differ():
    assert edges_um(chains(2), u64(7, 0)) == [0, 1, 0, 0, 1]


def test_an_edge_between_two_mergers_is_split():
    # 5 and 6 both join axon 1 to axon 2
    assert edges_um(chains(4, 4), u64(5, 5, 6, 6, 5, 5, 6, 6), tolerance=2) == [0, 0, 2, 4, 6]


@pytest.mark.parametrize(("tolerance", "expected"), [(2, 0.0), (3, (2000**2 + 1000**2) / 4000)])
def test_the_merge_tolerance_between_skeletons_is_inclusive(tolerance, expected):
    # segment 5 has 3 nodes of axon 1 and 2 of axon 2: a merger at T = 2, none at T = 3
    assert erl(chains(3, 3), u64(5, 5, 5, 5, 5, 0), tolerance) == expected


@pytest.mark.parametrize(("voxels", "expected"), [(50, 2000.0), (51, 0.0)])
def test_the_merge_tolerance_of_the_mask_is_exclusive(voxels, expected):
    assert erl(chains(3), masked([5, 5, 5], {5: voxels}), 50) == expected


def test_a_mask_merger_needs_a_node_to_be_counted():
    report = score_nodes(chains(3), masked([5, 5, 5], {9: 10**6}))
    assert (report.mergers, report.erl_nm, report.no_merge_mask) == (0, 2000, True)


def test_one_node_makes_a_mask_merger_that_strikes_its_run_everywhere():
    # 5 is a merger by the mask alone; its runs in both axons go, though it has fewer nodes there than T
    report = score_nodes(chains(3, 3), masked([5, 5, 5, 5, 5, 6], {5: 51}), tolerance_nodes=50)
    assert (report.mergers, report.erl_nm) == (1, 0)
    assert report.edges_nm["merged"] == 3000


def test_background_on_the_mask_is_no_merger():
    assert score_nodes(chains(3), masked([5, 5, 0], {0: 10**9})).mergers == 0


def test_background_shared_by_two_axons_is_no_merger():
    report = score_nodes(chains(3, 3), u64(0, 0, 0, 0, 0, 0), tolerance_nodes=1)
    assert (report.mergers, report.edges_nm["omitted"], report.edges_nm["merged"]) == (0, 4000, 0)


def test_a_merger_is_struck_from_a_third_axon_where_it_has_fewer_nodes_than_the_tolerance():
    # 5 joins axons 1 and 2 at T = 3 and runs along 1 um of axon 3 with two nodes
    labels = u64(5, 5, 5, 5, 5, 5, 5, 5, 8)
    assert edges_um(chains(3, 3, 3), labels, tolerance=3) == [0, 0, 1, 5, 6]


def test_a_skeleton_without_an_edge_makes_no_merger():
    report = score_nodes(chains(3, 1), u64(5, 5, 5, 5), tolerance_nodes=1)
    assert (report.mergers, report.erl_nm) == (0, 2000)


def test_a_skeleton_without_an_edge_has_no_length_and_is_not_counted():
    report = score_nodes(chains(3, 1), u64(5, 5, 5, 6), tolerance_nodes=1)
    assert (report.gt_erl_nm, report.skeletons, report.nodes) == (2000, 1, 3)


def test_a_skeleton_of_coincident_nodes_has_no_length_and_makes_no_merger():
    graph = dataclasses.replace(chains(3, 2), edge_length_nm=np.array([1000.0, 1000.0, 0.0]))
    report = score_nodes(graph, u64(5, 5, 5, 5, 5), tolerance_nodes=1)
    assert (report.mergers, report.erl_nm, report.skeletons) == (0, 2000, 1)


def test_tolerance_0_is_the_strict_erl_like_1():
    labels = u64(5, 5, 5, 5, 8, 8)
    strict = score_nodes(chains(3, 3), labels, tolerance_nodes=1)
    assert score_nodes(chains(3, 3), labels, tolerance_nodes=0).edges_nm == strict.edges_nm
    assert strict.edges_nm["merged"] == 2000


def test_tolerance_0_finds_a_merger_in_a_single_mask_voxel():
    # the mask's comparison is with T itself: 1 > 0, but not 1 > 1
    assert score_nodes(chains(2), masked([5, 5], {5: 1}), tolerance_nodes=0).mergers == 1
    assert score_nodes(chains(2), masked([5, 5], {5: 1}), tolerance_nodes=1).mergers == 0


def test_a_branch_is_part_of_its_axons_run():
    # a T of three arms of one edge, 1,000 nm each
    graph = SkeletonGraph(
        skeleton_id=u64(1),
        node_skeleton=np.zeros(4, np.int32),
        node_voxel_zyx=np.array([[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 1, 1]], np.int32),
        edge_u=np.array([0, 1, 1], np.int32),
        edge_v=np.array([1, 2, 3], np.int32),
        edge_length_nm=np.full(3, 1000.0),
        shape_zyx=(1, 2, 3),
        voxel_size_nm_zyx=(1000.0, 1000.0, 1000.0),
    )
    assert erl(graph, u64(7, 7, 7, 7)) == 3000
    assert erl(graph, u64(7, 7, 7, 8)) == 2000**2 / 3000


def test_neighbouring_labels_beyond_float64_are_told_apart():
    # as float64, 2^63 and 2^63 + 1 are one number
    assert erl(chains(3), u64(2**63, 2**63 + 1, 2**63 + 1)) == 1000**2 / 2000
    assert erl(chains(3), u64(2**64 - 1, 2**64 - 1, 2**64 - 2)) == 1000**2 / 2000


def test_labels_that_agree_in_their_lower_32_bits_are_told_apart():
    assert erl(chains(3, 3), u64(7, 7, 7, 2**32 + 7, 2**32 + 7, 2**32 + 7), 1) == 2000


def test_a_ground_truth_without_length_is_an_error():
    with pytest.raises(InputError, match="nothing to score"):
        score_nodes(chains(), u64())
    with pytest.raises(InputError, match="nothing to score"):
        score_nodes(chains(1, 1), u64(5, 5))


def test_labels_of_other_nodes_are_an_error():
    with pytest.raises(InputError, match="4 node labels, the ground truth 5"):
        score_nodes(chains(5), u64(1, 1, 1, 1))


def test_a_negative_tolerance_is_an_error():
    with pytest.raises(InputError, match="negative"):
        score_nodes(chains(2), u64(1, 1), tolerance_nodes=-1)


def test_float_node_labels_are_refused():
    with pytest.raises(InputError, match="float64"):
        score_nodes(chains(2), np.array([1.0, 1.0]))


def test_the_report_states_tolerance_voxel_size_and_version_beside_the_score():
    data = score_nodes(chains(5, step_nm=40.0), NodeSample(u64(7, 7, 7, 7, 7))).to_json()
    assert data["tolerance_nodes"] == 50
    assert data["tolerance_um"] == pytest.approx(2.0)
    assert data["voxel_size_nm"] == [40, 40, 40]
    assert data["metric_version"]
    assert data["no_merge_mask"] is False
