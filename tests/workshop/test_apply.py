"""Cuts and joins applied to volumes of a few boxes, where every voxel of the answer is known."""

import h5py
import numpy as np
import pytest

from axonem_eval.synthetic import write_labels
from axonem_eval.workshop import MERGER, SPLIT, Correction, Cut, Decision, accepted, apply_corrections, standing

VOXEL_NM = (40.0, 16.0, 16.0)


def crossing():
    """Two axons that cross and touch, both labelled 5; one axon in two segments 7 and 8; one alone, 9."""
    labels = np.zeros((40, 80, 80), np.uint8)
    labels[10:14, 20:30, :] = 5
    labels[14:18, :, 40:50] = 5
    labels[30:34, 20:30, :35], labels[30:34, 20:30, 35:] = 7, 8
    labels[30:34, 60:70, :] = 9
    return labels


CUT = Correction(
    MERGER, (5,), ((12, 25, 5), (12, 25, 75)), ((16, 5, 45), (16, 75, 45)), Cut((13, 25, 45), (1.0, 0.0, 0.0), 500.0)
)
JOIN = Correction(SPLIT, (7, 8), ((31, 25, 30),), ((31, 25, 40),))


def applied(tmp_path, labels, *corrections):
    write_labels(tmp_path / "in.h5", labels, VOXEL_NM)
    done = apply_corrections(tmp_path / "in.h5", corrections, tmp_path / "out.h5", VOXEL_NM)
    with h5py.File(tmp_path / "out.h5") as file:
        return done, file["main"][:]


def test_a_cut_parts_two_axons_and_a_join_makes_two_segments_one(tmp_path):
    before = crossing()
    done, after = applied(tmp_path, before, CUT, JOIN)
    assert (done.cut, done.joined, done.parts, done.without_effect) == (1, 1, {10: 5}, {})
    wanted = before.copy()
    wanted[14:18, :, 40:50] = 10
    wanted[before == 8] = 7
    assert (after == wanted).all()
    assert after.dtype == np.uint8


@pytest.mark.parametrize("block_voxels", [1 << 10, 1 << 13, 1 << 16])
def test_the_result_does_not_depend_on_the_blocks(tmp_path, monkeypatch, block_voxels):
    _, whole = applied(tmp_path, crossing(), CUT, JOIN)
    monkeypatch.setattr("axonem_eval.volumes.downsample.BLOCK_VOXELS", block_voxels)
    with h5py.File(tmp_path / "in.h5", "w") as file:  # small chunks, so that there are many blocks
        file.create_dataset("main", data=crossing(), chunks=(8, 16, 16))
    apply_corrections(tmp_path / "in.h5", [CUT, JOIN], tmp_path / "out.h5", VOXEL_NM)
    with h5py.File(tmp_path / "out.h5") as file:
        assert (file["main"][:] == whole).all()


def test_a_branch_that_the_plane_crosses_by_the_way_stays_whole(tmp_path):
    labels = crossing()
    labels[6:14, 20:24, 60:64] = 5  # a branch of the first axon up through the plane z = 13, within the radius ...
    labels[13:20, 20:24, 60:64] = 5  # ... and on beyond it
    _, after = applied(tmp_path, labels, CUT)
    assert set(after[6:20, 20:24, 60:64].ravel().tolist()) == {5}
    assert set(after[14:18, :, 40:50].ravel().tolist()) == {10}


def test_new_ids_that_do_not_fit_widen_the_type(tmp_path):
    labels = crossing()
    labels[0, 0, 0] = 255
    done, after = applied(tmp_path, labels, CUT)
    assert done.parts == {256: 5}
    assert after.dtype == np.uint64


@pytest.mark.parametrize(
    ("correction", "why"),
    [
        (Correction(SPLIT, (7, 9), ((31, 25, 30),), ((31, 25, 40),)), "voxel 31,25,40 holds segment 8, not 9"),
        (Correction(SPLIT, (7, 8), ((31, 25, 30),), ((99, 25, 40),)), "lies outside the volume"),
        (
            Correction(MERGER, (5,), CUT.this_side, CUT.other_side, Cut((13, 25, 45), (1.0, 0.0, 0.0), 60.0)),
            "does not part the two sides",
        ),
    ],
)
def test_a_correction_that_changes_nothing_is_told(tmp_path, correction, why):
    done, after = applied(tmp_path, crossing(), correction)
    assert why in done.without_effect[correction.name]
    assert (after == crossing()).all()


def test_a_cut_that_joins_put_together_again_is_told(tmp_path):
    back = Correction(SPLIT, (5, 5), ((12, 25, 5),), ((16, 5, 45),))
    done, _ = applied(tmp_path, crossing(), CUT, back)
    assert "together again" in done.without_effect[CUT.name]


def test_a_part_that_is_joined_is_named_by_the_id_it_has_then(tmp_path):
    labels = crossing()
    labels[30:34, 60:70, :] = 1  # a fragment with a lower id than the part that the cut makes
    join = Correction(SPLIT, (1, 5), ((31, 65, 30),), ((16, 5, 45),))
    done, after = applied(tmp_path, labels, CUT, join)
    assert done.parts == {1: 5}
    assert set(after[14:18, :, 40:50].ravel().tolist()) == {1}


def test_an_undone_decision_is_not_applied(tmp_path):
    def decided(verdict, minute):
        return Decision(CUT, verdict, "ada", f"2026-11-28T16:{minute:02}:00+00:00")

    history = [decided("accepted", 1), decided("undone", 2)]
    assert accepted(history) == []
    assert standing([*history, decided("accepted", 3)])[CUT.name].at.startswith("2026-11-28T16:03")
    _, after = applied(tmp_path, crossing(), *accepted(history))
    assert (after == crossing()).all()
