"""Two axons that touch side by side are parted by points that somebody places in each."""

import h5py
import numpy as np
import pytest

from axonem_eval import InputError
from axonem_eval.synthetic import write_labels
from axonem_eval.volumes import open_labels
from axonem_eval.workshop import (
    MERGER,
    Correction,
    Decision,
    apply_corrections,
    decisions_csv,
    part_by_points,
    read_decisions,
    surroundings,
)

VOXEL_NM = (30.0, 15.0, 15.0)
EDGE = 200


def two_axons() -> np.ndarray:
    """1 and 2 run along x, 500 nm thick, and touch over 1.5 um where 2 bends towards 1; 3 lies apart."""
    z, y, x = np.ogrid[:40, :100, :EDGE]
    gap = np.clip((np.abs(x - 100) - 50) * 0.4, 0, 18)
    one = ((z - 20) * 2) ** 2 + (y - 30) ** 2 + 0 * x < 17**2
    other = ((z - 20) * 2) ** 2 + (y - 62 - gap) ** 2 < 17**2
    return np.where(one, 1, np.where(other, 2, np.where((z < 4) & (y < 9), 3, 0))).astype(np.uint8)


def cut_by(this, other) -> Correction:
    return Correction(MERGER, (1,), tuple(this), tuple(other))


NEAR = cut_by([(20, 30, 100)], [(20, 62, 100)])


@pytest.fixture
def merged(tmp_path):
    axons = two_axons()
    write_labels(tmp_path / "labels.h5", np.where(axons == 2, 1, axons), VOXEL_NM)
    return tmp_path / "labels.h5"


def cut(path, *corrections):
    done = apply_corrections(path, corrections, path.with_name("cut.h5"), VOXEL_NM)
    with h5py.File(path.with_name("cut.h5")) as file:
        return done, file["main"][:]


def like(after: np.ndarray, axon: int) -> float:
    """Jaccard index of an axon with the label that has most of it."""
    own = two_axons() == axon
    ids, voxels = np.unique(after[own], return_counts=True)
    best = after == ids[voxels.argmax()]
    return float((best & own).sum() / (best | own).sum())


def test_one_point_in_each_axon_gives_both_back_and_leaves_the_rest(merged):
    done, after = cut(merged, NEAR)
    assert (done.cut, done.parts, done.without_effect) == (1, {4: 1}, {})
    assert min(like(after, 1), like(after, 2)) > 0.95
    assert (after[two_axons() == 3] == 3).all()


def test_what_lies_beyond_the_box_follows_the_side_that_it_is_connected_to(merged, monkeypatch):
    monkeypatch.setattr("axonem_eval.workshop.point_cut.REACH_NM", 1000.0)
    _, after = cut(merged, NEAR)
    assert min(like(after, 1), like(after, 2)) > 0.95


def test_the_cut_does_not_depend_on_the_blocks(merged, monkeypatch):
    _, whole = cut(merged, NEAR)
    monkeypatch.setattr("axonem_eval.volumes.downsample.BLOCK_VOXELS", 1 << 15)
    monkeypatch.setattr("axonem_eval.workshop.point_cut._READ_VOXELS", 1 << 15)
    with h5py.File(merged) as file:
        labels = file["main"][:]
    with h5py.File(merged, "w") as file:  # small chunks, so that there are many blocks
        file.create_dataset("main", data=labels, chunks=(16, 32, 32))
    _, parts = cut(merged, NEAR)
    assert (parts == whole).all()


def test_another_point_takes_a_piece_back_from_the_wrong_side(merged):
    far = cut_by([(20, 30, 100)], [(20, 80, 195)])
    _, before = cut(merged, far)
    _, after = cut(merged, cut_by(far.this_side, [*far.other_side, (20, 62, 100)]))
    assert like(before, 2) < 0.8
    assert min(like(after, 1), like(after, 2)) > 0.95


@pytest.mark.parametrize(
    ("point", "told"),
    [((20, 4, 20), "does not lie in segment 1"), ((20, 30, 900), "lies outside the volume"), (None, "um apart")],
)
def test_points_that_part_nothing_are_told(merged, monkeypatch, point, told):
    if point is None:
        monkeypatch.setattr("axonem_eval.workshop.point_cut.SPREAD_NM", 300.0)
    with open_labels(merged) as volume, pytest.raises(InputError, match=told):
        part_by_points(volume, 1, NEAR.this_side, [point or NEAR.other_side[0]], VOXEL_NM)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i8"])
def test_an_id_that_the_labels_cannot_hold_is_no_segment_of_theirs(tmp_path, dtype):
    with h5py.File(tmp_path / "labels.h5", "w") as file:
        file["main"] = np.ones((4, 4, 4), dtype)
    beyond = int(np.iinfo(dtype).max) + 1
    with open_labels(tmp_path / "labels.h5") as volume, pytest.raises(InputError, match="does not lie in segment"):
        part_by_points(volume, beyond, [(0, 0, 0)], [(3, 3, 3)], VOXEL_NM)


def test_points_of_both_sides_at_one_place_are_told_and_cut_nothing(merged):
    done, after = cut(merged, cut_by([(20, 30, 100)], [(20, 30, 101)]))
    assert "place more points" in next(iter(done.without_effect.values()))
    assert len(np.unique(after)) == 3


def test_its_picture_shows_both_sides_as_far_as_the_points_part_them(merged):
    with open_labels(merged) as volume:
        found, voxel_nm = surroundings(volume, NEAR, VOXEL_NM)
    assert voxel_nm == (30.0, 30.0, 30.0)
    assert [found[20, y // 2, 50] for y in (30, 62, 90)] == [1, 2, 0]
    assert np.ptp(np.argwhere(found)[:, 2]) == EDGE // 2 - 1


def test_a_cut_by_points_comes_back_from_its_table_under_its_name(tmp_path):
    rows = [Decision(NEAR, "accepted", "ada", "2026-11-28T16:30:00+00:00")]
    (tmp_path / "decisions.csv").write_text(decisions_csv(rows))
    assert read_decisions(tmp_path / "decisions.csv") == rows
    assert NEAR.name != cut_by(NEAR.this_side, [(20, 62, 101)]).name
