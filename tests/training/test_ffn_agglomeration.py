"""FFN agglomeration: decision points, segmenting again there, and joining by the scores."""

import itertools

import numpy as np
import pytest

from baselines.common.blockwise import Ledger, OtherJob, blocks
from baselines.ffn.agglomerate import (
    ScoreTable,
    asking,
    comparing_at,
    merged_ids,
    read_scores,
    smaller_voxels,
)
from baselines.ffn.config import AgglomerateConfig
from baselines.ffn.decision_points import DecisionPoints, decision_points, joined_points
from baselines.ffn.flood import FloodOptions, finish
from baselines.ffn.resegment import Comparison, Resegmenter, canvas_box
from tests.training.flood_steps import bright_step

ONE_NM = (1.0, 1.0, 1.0)
FOV, DELTAS = (9, 9, 9), (3, 3, 3)


def points_of(labels, *, limit_nm=100.0, voxel_size=ONE_NM, core=None) -> dict:
    """(distance, point) of each pair."""
    found = decision_points(np.asarray(labels), voxel_size, limit_nm, core)
    return {
        (int(a), int(b)): (d, tuple(p))
        for a, b, d, p in zip(found.a, found.b, found.distance_nm, found.zyx.tolist(), strict=True)
    }


# ---- decision points -------------------------------------------------------------------------------------------------


def test_the_point_lies_half_way_between_two_segments_in_the_middle_of_their_faces():
    labels = np.zeros((20, 9, 7), np.uint32)
    labels[:4], labels[14:] = 1, 2
    # Ten blank sections: the touching voxels are 5 away from either.
    assert points_of(labels) == {(1, 2): (5.0, (8, 4, 3))}


def test_each_pair_of_segments_has_a_point_where_they_come_nearest():
    labels = np.zeros((3, 30, 30), np.uint32)
    labels[:, :10, :10], labels[:, :10, 14:], labels[:, 20:, 3:6] = 1, 2, 7
    found = points_of(labels)
    assert found.keys() == {(1, 2), (1, 7), (2, 7)}
    assert found[1, 2][0] == 2.0
    assert found[1, 7] == (5.0, (1, 14, 4))


def test_segments_further_apart_than_the_limit_have_no_point():
    labels = np.zeros((20, 5, 5), np.uint32)
    labels[:4], labels[14:] = 1, 2
    assert points_of(labels, limit_nm=4.5) == {}
    assert (1, 2) in points_of(labels, limit_nm=5.0)


def test_distances_are_in_nm():
    labels = np.zeros((8, 5, 5), np.uint32)
    labels[:2], labels[6:] = 1, 2
    assert points_of(labels, voxel_size=(30.0, 8.0, 8.0)) == {(1, 2): (60.0, (3, 2, 2))}


@pytest.mark.parametrize("offset", [o for o in itertools.product((-1, 0, 1), repeat=3) if o > (0, 0, 0)])
def test_all_26_neighbours_touch(offset):
    labels = np.zeros((3, 3, 3), np.uint32)
    labels[1, 1, 1] = 1
    labels[tuple(1 + o for o in offset)] = 2
    found = decision_points(labels, ONE_NM, 0.0)
    assert (found.a.tolist(), found.b.tolist(), found.contacts.tolist()) == ([1], [2], [1])


def test_one_segment_alone_has_no_points():
    assert len(decision_points(np.ones((3, 3, 3), np.uint32), ONE_NM, 10.0)) == 0
    assert len(decision_points(np.zeros((3, 3, 3), np.uint32), ONE_NM, 10.0)) == 0
    assert len(joined_points([])) == 0


def test_blocks_find_the_pairs_distances_and_contacts_of_the_whole():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.repeat(rng.integers(0, 5, (4, 4, 6)), 4, 1), 4, 2).repeat(3, 0).astype(np.uint32)
    labels[rng.random(labels.shape) < 0.1] = 0
    whole = decision_points(labels, ONE_NM, 0.0)
    parts = []
    for block in blocks(labels.shape, (5, 8, 9), (1, 1, 1)):
        part = decision_points(labels[block.halo], ONE_NM, 0.0, block.core_in_halo)
        corner = np.array([s.start for s in block.halo])
        parts.append(DecisionPoints(part.a, part.b, part.zyx + corner, part.distance_nm, part.contacts))
    joined = joined_points(parts)
    for column in ("a", "b", "distance_nm", "contacts"):
        np.testing.assert_array_equal(getattr(joined, column), getattr(whole, column))


# ---- segmenting again ------------------------------------------------------------------------------------------------


def split_tube() -> tuple[np.ndarray, np.ndarray]:
    """A bright tube along x that two segments share, with a third one in a tube of its own: image and labels."""
    z, y, x = np.indices((31, 31, 61))
    image = np.full(z.shape, -1, np.float32)
    one, other = (z - 15) ** 2 + (y - 10) ** 2 < 16, (z - 15) ** 2 + (y - 21) ** 2 < 16
    image[one | other] = 1
    labels = np.zeros(z.shape, np.uint32)
    labels[one & (x < 30)], labels[one & (x >= 30)], labels[other] = 4, 9, 5
    return image, labels


def resegmenter(step=bright_step, **options) -> Resegmenter:
    sizes = {"radius": (15, 15, 25), "analysis_radius": (11, 11, 21), "exclusion_radius": (2, 2, 2)}
    flood = FloodOptions(disconnected=-1.0)
    return Resegmenter(step, FOV, DELTAS, ONE_NM, flood, AgglomerateConfig(**{**sizes, **options}))


def ask(a, b, point=(15, 10, 30), step=bright_step, **options) -> Comparison:
    image, labels = split_tube()
    return finish(comparing_at(lambda box: image[box], labels, resegmenter(step, **options), point, a, b), step)


def compare(image, labels, point) -> Comparison:
    """Segments 4 and 9 in a canvas of its own."""
    return finish(resegmenter(stop_early=False).comparing(image, labels, point, 4, 9), bright_step)


def is_merge(*rows: Comparison, **options) -> list[bool]:
    none = np.zeros(len(rows), np.uint64)
    points = DecisionPoints(none, none, np.zeros((len(rows), 3), np.int64), np.zeros(len(rows)), none.astype(np.int64))
    return ScoreTable.of(points, list(rows)).accepted(AgglomerateConfig(**options)).tolist()


def test_two_parts_of_one_tube_find_each_other():
    found = ask(4, 9)
    assert found.iou == 1.0
    assert min(found.recovered_aa, found.recovered_ab, found.recovered_ba, found.recovered_bb) > 0.9
    assert (found.deleted_a, found.deleted_b) == (0, 0)
    assert is_merge(found) == [True]


def test_two_tubes_do_not_find_each_other():
    found = ask(4, 5, (15, 15, 28), stop_early=False)
    assert found.iou == 0.0
    assert (found.recovered_ab, found.recovered_ba) == (0.0, 0.0)
    assert min(found.recovered_aa, found.recovered_bb) > 0.9
    assert is_merge(found) == [False]


def test_the_second_segment_is_left_out_where_the_first_decides():
    both, one = ask(4, 5, (15, 15, 28), stop_early=False), ask(4, 5, (15, 15, 28))
    assert 0 < one.steps < both.steps
    assert (one.recovered_ba, one.recovered_bb, one.voxels_b) == (0.0, 0.0, 0)


def test_other_objects_bar_the_way_and_do_not_count():
    """The tube's two ends are far apart and a third segment lies between them."""
    image, labels = split_tube()
    labels[:, :15, 25:36] = np.where(labels[:, :15, 25:36] > 0, 7, 0)
    box = (slice(0, 31), slice(0, 31), slice(5, 56))
    found = compare(image[box], labels[box], (15, 10, 25))
    assert min(found.recovered_aa, found.recovered_bb) > 0.9
    assert (found.recovered_ab, found.recovered_ba) == (0.0, 0.0)


def test_a_seed_that_fails_is_followed_by_others_elsewhere_in_the_segment():
    image, labels = split_tube()
    image += np.arange(61, dtype=np.float32) / 1000  # tells the places along the tube apart
    seeds = []

    def weak(patch, logits):
        seeds.append(float(patch[4, 4, 4]))
        return np.full(patch.shape, -4, np.float32)

    found = finish(
        comparing_at(lambda box: image[box], labels, resegmenter(weak, attempts=3), (15, 10, 30), 4, 9), weak
    )
    assert (found.steps, found.iou, found.recovered_aa) == (3, 0.0, 0.0)
    assert len(set(seeds)) == 3


def test_seeds_keep_half_a_field_of_view_from_the_border_of_the_canvas():
    image, labels = split_tube()
    narrow = image[10:19], labels[10:19]  # nine sections: one place along z
    found = compare(*narrow, (4, 10, 30))
    assert found.steps > 0
    thin = image[12:19], labels[12:19]  # seven: no field of view fits
    assert compare(*thin, (3, 10, 30)) == Comparison()


def test_voxels_that_fall_from_likely_to_unlikely_are_counted_within_the_analysis_box():
    calls = []

    def wavering(image, logits):
        calls.append(int(np.count_nonzero(logits >= np.log(4))))
        grown = bright_step(image, logits)
        return grown if len(calls) % 2 else -np.abs(grown)

    found = ask(4, 9, step=wavering, stop_early=False, attempts=1)
    # The second step of each object takes back what the first one gave; the seed is weak then, and it ends.
    assert found.deleted_a == calls[1]
    assert found.deleted_a > 0


def test_the_canvas_ends_with_the_volume():
    assert canvas_box((2, 30, 58), (5, 5, 5), (31, 31, 61)) == (slice(0, 8), slice(25, 31), slice(53, 61))


def test_the_order_of_a_pair_does_not_matter():
    assert ask(4, 9, stop_early=False) == ask(9, 4, stop_early=False)


def test_a_point_of_another_segmentation_is_refused():
    with pytest.raises(ValueError, match=r"segments 4 and 77 have .* and 0 voxels"):
        ask(4, 77)


# ---- scores and joining ----------------------------------------------------------------------------------------------

GOOD = Comparison(0.9, 0.9, 0.9, 0.9, 0.9, deleted_a=1, deleted_b=1, voxels_a=1000, voxels_b=1000, steps=9)


@pytest.mark.parametrize(
    "change",
    [{"iou": 0.8}, {"recovered_aa": 0.6}, {"recovered_ab": 0.6}, {"recovered_ba": 0.6}, {"recovered_bb": 0.6}],
)
def test_each_score_must_lie_above_its_threshold(change):
    assert is_merge(GOOD, Comparison(**{**GOOD.__dict__, **change})) == [True, False]


def test_few_deleted_voxels_from_one_of_both_are_enough():
    one = Comparison(**{**GOOD.__dict__, "deleted_a": 500})
    both = Comparison(**{**GOOD.__dict__, "deleted_a": 20, "deleted_b": 20})
    assert is_merge(one, both) == [True, False]
    assert is_merge(both, max_deleted=0.03) == [True]


def test_joined_segments_take_the_smallest_id_of_their_set():
    ids = np.array([2, 3, 5, 8, 13, 2**60], np.uint64)
    a, b = np.array([5, 13, 2**60], np.uint64), np.array([13, 3, 8], np.uint64)
    assert merged_ids(ids, a, b).tolist() == [2, 3, 3, 8, 3, 8]


def test_the_smaller_segment_of_each_pair_is_measured_over_all_parts():
    points = DecisionPoints(*np.array([[1, 2], [2, 9]], np.uint64).T, np.zeros((2, 3)), np.zeros(2), np.ones(2))
    parts = [np.array([0, 1, 1, 2, 2, 2], np.uint32), np.array([2, 1, 50, 9], np.uint32)]
    assert smaller_voxels(points, parts).tolist() == [3, 1]


def test_points_asked_before_a_kill_are_not_asked_again(tmp_path):
    image, labels = split_tube()
    points = decision_points(labels, ONE_NM, 20.0)
    job, asked = {"segmentation": "split tube"}, []

    def step(patch, logits):
        asked.append(1)
        return bright_step(patch, logits)

    def works():
        return asking(points, lambda box: image[box], labels, resegmenter(step), Ledger(tmp_path, job))

    finish(next(works()), step)
    with pytest.raises(ValueError, match="ask at their decision point first"):
        read_scores(points, Ledger(tmp_path, job))
    before = len(asked)
    for work in works():
        finish(work, step)
    assert not list(works())
    table = read_scores(points, Ledger(tmp_path, job))
    assert table.scores["steps"].sum() == len(asked) > before > 0
    with pytest.raises(OtherJob):
        Ledger(tmp_path, {"segmentation": "another"})
    table.save(tmp_path / "scores.npz")
    merged = ScoreTable.load(tmp_path / "scores.npz").accepted(AgglomerateConfig())
    assert merged.tolist() == table.accepted(AgglomerateConfig()).tolist()
    assert list(zip(points.a[merged].tolist(), points.b[merged].tolist(), strict=True)) == [(4, 9)]
