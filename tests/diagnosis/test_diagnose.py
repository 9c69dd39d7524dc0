"""Diagnosis of skeletons drawn by hand, with the numbers worked out, and of known errors in synthetic tissue."""

import json
from dataclasses import replace

import numpy as np
import pytest

from axonem_eval import SkeletonGraph
from axonem_eval.diagnosis import diagnose, diagnosis_json, summary_lines
from axonem_eval.diagnosis.diagnose import DiagnosisSettings
from axonem_eval.diagnosis.to_json import LENGTH_EDGES_UM
from axonem_eval.skeletonize import skeletonize_labels
from axonem_eval.skeletons import arms_of, without_ticks
from axonem_eval.synthetic import make_tissue, merge_labels, split_label, touching, write_labels

STEP = 100.0  # nm, voxels of that size
SHAPE = (200, 200, 200)


def drawn(*skeletons, ids=None, shape=SHAPE):
    """Skeletons from polylines: each a list of chains of corners (z, y, x) in voxels, with a node a voxel; chains
    of one skeleton join where they share a node."""
    nodes, owner, edges = [], [], []
    for k, chains in enumerate(skeletons):
        known = {}
        for chain in chains:
            corners = [np.array(c) for c in chain]
            path = [corners[0]]
            for goal in corners[1:]:
                while (path[-1] != goal).any():
                    path.append(path[-1] + np.sign(goal - path[-1]))
            before = None
            for place in map(tuple, path):
                if place not in known:
                    known[place] = len(nodes)
                    nodes.append(place)
                    owner.append(k)
                if before is not None:
                    edges.append((before, known[place]))
                before = known[place]
    node = np.array(nodes, np.int32)
    edge = np.array(edges, np.int32)
    length = np.linalg.norm((node[edge[:, 0]] - node[edge[:, 1]]) * STEP, axis=1)
    ids = np.array(ids if ids is not None else range(1, len(skeletons) + 1), np.uint64)
    return SkeletonGraph(
        ids, np.array(owner, np.int32), node, edge[:, 0], edge[:, 1], length, shape, (STEP, STEP, STEP)
    )


def line(*corners):
    return [list(corners)]


# -- figures -----------------------------------------------------------------------------------------------------


def test_lengths_cable_and_expected_run_length():
    # 8 um and 2 um: sum of squares 68, over 10 um, 6.8 um
    d = diagnosis_json(diagnose(drawn(line((50, 50, 50), (50, 50, 130)), line((90, 50, 50), (90, 50, 70)))))
    segments = d["segments"]
    assert (segments["count"], segments["cable_nm"], segments["longest_nm"]) == (2, 10_000.0, 8000.0)
    assert (segments["long_count"], segments["long_cable_nm"]) == (1, 8000.0)
    assert segments["expected_run_length_nm"] == pytest.approx(6800.0)
    assert segments["median_length_nm"] == 5000.0


def test_histogram_counts_segments_and_cable_in_their_bins():
    lengths = [2, 10, 20, 80, 120]  # 0.2, 1, 2, 8 and 12 um; an edge belongs to the bin above it
    graph = drawn(*(line((k * 10, 10, 10), (k * 10, 10, 10 + n)) for k, n in enumerate(lengths)))
    histogram = diagnosis_json(diagnose(graph))["length_histogram"]
    assert histogram["edges_um"] == list(LENGTH_EDGES_UM)
    assert histogram["count"] == [1, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    assert histogram["cable_nm"][2:6] == [1000.0, 2000.0, 8000.0, 12_000.0]


def test_ends_at_a_face_left_the_volume_and_others_are_inside():
    d = diagnose(drawn(line((0, 50, 50), (100, 50, 50)), line((2, 90, 50), (120, 90, 50))))
    assert sorted(d.graph.node_voxel_zyx[d.ends.node].tolist()) == [[100, 50, 50], [120, 90, 50]]
    data = diagnosis_json(d)["end_points"]
    assert (data["count"], data["interior_count"]) == (4, 2)
    assert data["interior_per_mm"] == pytest.approx(2 / 0.0218)


def test_a_tick_is_no_end():
    graph = drawn([[(50, 50, 20), (50, 50, 120)], [(50, 50, 70), (50, 52, 70)]])
    assert diagnosis_json(diagnose(graph))["end_points"]["count"] == 2
    without = DiagnosisSettings(tick_nm=0.0)
    assert diagnosis_json(diagnose(graph, without))["end_points"]["count"] == 3


def test_a_short_segment_without_a_branch_is_no_tick():
    graph, node = without_ticks(drawn(line((50, 50, 50), (50, 50, 52))), 1000.0)
    assert graph.n_nodes == len(node) == 3


def test_cable_beyond_an_arm_is_what_lies_on_its_side():
    arms = arms_of(drawn([[(50, 50, 20), (50, 50, 60)], [(50, 50, 30), (50, 80, 30)]]))
    junction = int(np.flatnonzero(arms.degree == 3)[0])
    beyond = arms.cable_beyond()[arms.start[junction] : arms.start[junction + 1]]
    assert sorted(beyond.tolist()) == [1000.0, 3000.0, 3000.0]


def test_each_segment_has_its_row_longest_first():
    graph = drawn(line((50, 50, 50), (50, 50, 60)), [[(90, 90, 20), (90, 90, 120)], [(90, 90, 70), (90, 60, 70)]])
    radius = np.where(graph.node_skeleton == 0, 200.0, 50.0).astype(np.float32)
    table = diagnose(replace(graph, node_radius_nm=radius, volume_um3=np.array([0.5, 2.6]))).per_segment()
    assert table["segment"].tolist() == [2, 1]
    assert table["length_nm"].tolist() == [13_000.0, 1000.0]
    assert table["volume_um3"].tolist() == [2.6, 0.5]
    assert table["volume_per_length_um2"].tolist() == pytest.approx([0.2, 0.5])
    assert table["mean_radius_nm"].tolist() == [50.0, 200.0]
    assert (table["ends"].tolist(), table["branch_points"].tolist()) == ([3, 2], [1, 0])


# -- likely splits -----------------------------------------------------------------------------------------------


def test_two_halves_of_a_line_face_one_another():
    d = diagnose(drawn(line((0, 50, 50), (80, 50, 50)), line((85, 50, 50), (199, 50, 50)), ids=[7, 2**64 - 1]))
    row = diagnosis_json(d)["likely_splits"]["places"][0]
    assert diagnosis_json(d)["likely_splits"]["count"] == 1
    assert row["segments"] == ["7", "18446744073709551615"]
    assert (row["distance_nm"], row["bend_degrees"]) == (500.0, pytest.approx(0.0, abs=1e-4))
    assert row["score"] == pytest.approx(0.5)  # straight, and half of the reach apart
    assert row["position_voxel"] == [82, 50, 50]
    assert row["position_nm"] == [8300.0, 5050.0, 5050.0]


@pytest.mark.parametrize(
    ("why", "other"),
    [
        ("too far", line((92, 50, 50), (199, 50, 50))),
        ("side by side", line((0, 55, 50), (80, 55, 50))),
        ("across", line((85, 50, 50), (85, 199, 50))),
    ],
)
def test_other_ends_do_not_face(why, other):
    assert len(diagnose(drawn(line((0, 50, 50), (80, 50, 50)), other)).splits.score) == 0


def test_two_ends_of_one_segment_are_no_split():
    bent = line((60, 50, 50), (20, 50, 50), (20, 80, 50), (100, 80, 50), (100, 50, 50), (64, 50, 50))
    assert len(diagnose(drawn(bent)).splits.score) == 0


def test_an_end_is_paired_only_with_its_best_partner():
    near = line((83, 50, 50), (199, 50, 50))
    farther = line((86, 51, 50), (199, 51, 50))
    d = diagnose(drawn(line((0, 50, 50), (80, 50, 50)), farther, near))
    assert [row["segments"] for row in diagnosis_json(d)["likely_splits"]["places"]] == [["1", "3"]]


# -- likely mergers ----------------------------------------------------------------------------------------------

ALONG_Z = [(10, 100, 100), (190, 100, 100)]


def mergers(*chains, **settings):
    return diagnosis_json(diagnose(drawn(list(chains)), DiagnosisSettings(**settings)))["likely_mergers"]


def test_two_lines_through_one_node_are_a_crossing():
    found = mergers(ALONG_Z, [(100, 60, 100), (100, 160, 100)])
    assert found["count"] == 1
    row = found["places"][0]
    assert (row["kind"], row["position_voxel"], row["spread_nm"]) == ("crossing", [100, 100, 100], 0.0)
    assert row["score"] == pytest.approx(1.0)
    assert row["shorter_line_nm"] == pytest.approx(10_000.0)


def test_two_lines_side_by_side_are_joined_by_a_bridge():
    found = mergers(ALONG_Z, [(100, 100, 100), (100, 100, 110)], [(100, 40, 110), (100, 160, 110)])
    row = found["places"][0]
    assert (found["count"], row["kind"], row["spread_nm"]) == (1, "bridge", 1000.0)
    assert row["position_voxel"] == [100, 100, 105]


def test_two_lines_that_run_together_share_a_stretch():
    stem = [(90, 100, 100), (105, 100, 100)]
    left = [(90, 100, 100), (60, 70, 100)], [(90, 100, 100), (60, 130, 100)]
    right = [(105, 100, 100), (135, 70, 100)], [(105, 100, 100), (135, 130, 100)]
    found = mergers(stem, *left, *right)
    assert (found["count"], found["places"][0]["kind"]) == (1, "shared stretch")
    assert mergers(stem, *left, *right, spread_nm=1000.0)["count"] == 0


def test_an_axon_that_branches_twice_forward_is_no_merger():
    assert mergers(ALONG_Z, [(80, 100, 100), (120, 140, 100)], [(95, 100, 100), (135, 60, 100)])["count"] == 0


def test_spines_make_no_crossing():
    spines = [(100, 93, 100), (100, 107, 100)]
    assert mergers(ALONG_Z, spines)["count"] == 0
    assert mergers(ALONG_Z, spines, spine_nm=600.0)["count"] == 1


def test_the_second_place_of_a_segment_ranks_as_if_half_as_good():
    many = [ALONG_Z, *([(z, 60, 100), (z, 140, 100)] for z in (40, 100, 160))]
    bent = [[(20, 100, 30), (180, 100, 30)], [(100, 60, 30), (100, 100, 30)], [(100, 100, 30), (140, 140, 30)]]
    rows = diagnosis_json(diagnose(drawn(many, bent), DiagnosisSettings(spread_nm=0.0)))["likely_mergers"]["places"]
    assert [row["segment"] for row in rows] == ["1", "2", "1", "1"]
    assert [row["score"] for row in rows] == pytest.approx([1, np.sqrt(0.5), 1, 1])
    assert [row["ranked_by"] for row in rows] == pytest.approx([1, np.sqrt(0.5), 1 / 2, 1 / 3])


# -- data --------------------------------------------------------------------------------------------------------


def test_lists_are_cut_and_counts_are_not():
    graph = drawn(*(line((0, 10 * k, 50), (80, 10 * k, 50)) for k in range(1, 15)))
    data = diagnosis_json(diagnose(graph), top=3)
    assert (data["end_points"]["interior_count"], len(data["end_points"]["places"])) == (14, 3)
    assert len(data["longest_segments"]) == 3


def test_json_is_plain_and_names_its_schema():
    data = json.loads(json.dumps(diagnosis_json(diagnose(drawn(line((0, 50, 50), (80, 50, 50)))))))
    assert (data["schema"], data["schema_version"]) == ("axonem-diagnosis", 1)
    assert data["longest_segments"][0]["volume_um3"] is None
    assert set(data) == {
        *("schema", "schema_version", "voxel_size_nm", "shape", "skeletons_sha256", "settings", "segments"),
        *("length_histogram", "end_points", "likely_splits", "likely_mergers", "longest_segments", "traced_coarsely"),
    }


def test_a_segmentation_without_skeletons_has_a_diagnosis():
    empty = SkeletonGraph(
        *(np.empty(0, t) for t in (np.uint64, np.int32)),
        np.empty((0, 3), np.int32),
        *(np.empty(0, t) for t in (np.int32, np.int32, np.float64)),
        SHAPE,
        (STEP, STEP, STEP),
    )
    data = diagnosis_json(diagnose(empty))
    assert data["segments"]["count"] == 0
    assert data["likely_splits"]["count"] == data["likely_mergers"]["count"] == 0
    assert summary_lines(diagnose(empty))


# -- known errors ------------------------------------------------------------------------------------------------

VOXEL_NM = (40.0, 16.0, 16.0)


@pytest.fixture(scope="module")
def tissue():
    return make_tissue((60, 200, 200), VOXEL_NM, seed=1, grey=False)


def diagnosed(labels, folder):
    write_labels(folder / "seg.h5", labels, VOXEL_NM)
    return diagnosis_json(diagnose(skeletonize_labels(folder / "seg.h5", VOXEL_NM)))


def long_axons(tissue):
    """Axons that run through the middle of the volume, the largest first."""
    inner = tissue.labels[15:45, 40:160, 40:160]
    ids, size = np.unique(inner, return_counts=True)
    return [int(i) for i in ids[np.argsort(-size)] if tissue.kind[int(i)] == "axon"]


@pytest.mark.slow
def test_an_axon_cut_in_two_is_found_high_in_the_list(tissue, tmp_path):
    axon = long_axons(tissue)[0]
    places = np.argwhere(tissue.labels == axon)
    middle = np.array(tissue.labels.shape) / 2
    at = tuple(int(v) for v in places[np.argmin(np.square((places - middle) * VOXEL_NM).sum(axis=1))])
    labels, (split,) = split_label(tissue.labels, axon, VOXEL_NM, at=at)
    found = [set(row["segments"]) for row in diagnosed(labels, tmp_path)["likely_splits"]["places"][:10]]
    assert {str(axon), str(split.new_label)} in found


@pytest.mark.slow
def test_two_axons_in_one_label_are_found_high_in_the_list(tissue, tmp_path):
    axon = long_axons(tissue)[0]
    other = next(i for i in touching(tissue.labels, axon) if tissue.kind[i] == "axon")
    labels, _ = merge_labels(tissue.labels, axon, other)
    found = [row["segment"] for row in diagnosed(labels, tmp_path)["likely_mergers"]["places"][:10]]
    assert str(axon) in found
