"""Contacts worked by hand, and a known cut that the candidates are to name."""

import numpy as np
import pytest

from axonem_eval.skeletonize import skeletonize_labels
from axonem_eval.synthetic import write_labels
from axonem_eval.workshop import SPLIT, find_candidates, find_contacts, of_kind, open_ends
from tests.columns import CUT_COLUMN, OTHER_HALF, VOXEL_NM, columns


def contacts_of(tmp_path, labels):
    write_labels(tmp_path / "labels.h5", labels, VOXEL_NM)
    return find_contacts(tmp_path / "labels.h5", VOXEL_NM)


def test_a_flat_contact_has_its_area_centre_and_direction(tmp_path):
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[2:6, 2:6, :4], labels[2:6, 2:6, 4:] = 9, 3  # a square of 4 x 4 faces across x
    found = contacts_of(tmp_path, labels)
    assert (found.first.tolist(), found.second.tolist()) == ([3], [9])
    assert found.area_nm2.tolist() == [16 * 30.0**2]
    assert found.centre_nm_zyx[0] == pytest.approx([120.0, 120.0, 120.0])
    assert found.normal[0] == pytest.approx([0.0, 0.0, -1.0])  # from 3, which lies behind, to 9
    assert found.depth_nm[0] == pytest.approx(0.0, abs=0.1)


def test_two_places_far_apart_are_two_contacts(tmp_path):
    labels = np.zeros((8, 8, 120), np.uint8)
    labels[:4, :, :] = 1
    labels[4:, :, :10] = labels[4:, :, 110:] = 2
    assert len(contacts_of(tmp_path, labels).area_nm2) == 2


def test_contacts_do_not_depend_on_the_blocks(tmp_path, monkeypatch):
    labels = np.random.default_rng(3).integers(0, 4, (20, 20, 20)).astype(np.uint8)
    whole = contacts_of(tmp_path, labels)
    monkeypatch.setattr("axonem_eval.volumes.downsample.BLOCK_VOXELS", 500)
    parts = contacts_of(tmp_path, labels)
    assert parts.area_nm2.sum() == whole.area_nm2.sum()
    for name, values in vars(parts).items():
        assert values == pytest.approx(getattr(whole, name), abs=0.1), name


@pytest.fixture(scope="module")
def cut_column(tmp_path_factory):
    """Columns of which one is cut in two: the label file and its skeletons."""
    path = tmp_path_factory.mktemp("columns") / "labels.h5"
    write_labels(path, columns(), VOXEL_NM)
    return path, skeletonize_labels(path, VOXEL_NM)


def test_a_cut_axon_is_the_first_likely_split(cut_column):
    path, graph = cut_column
    found = of_kind(find_candidates(path, graph, find_contacts(path, VOXEL_NM)), SPLIT)
    assert found[0].correction.segments == (CUT_COLUMN, OTHER_HALF)
    assert [c.ranked_by for c in found] == sorted((c.ranked_by for c in found), reverse=True)


def test_the_voxels_of_a_correction_lie_in_its_segments(cut_column):
    path, graph = cut_column
    found = of_kind(find_candidates(path, graph, find_contacts(path, VOXEL_NM)), SPLIT)
    labels = columns()
    for candidate in found:
        sides = candidate.correction.this_side[0], candidate.correction.other_side[0]
        assert [int(labels[voxel]) for voxel in sides] == list(candidate.correction.segments)


def test_open_ends_name_the_longest_segments_first(cut_column):
    _, graph = cut_column
    lengths = [end.length_um for end in open_ends(graph)]
    assert lengths
    assert lengths == sorted(lengths, reverse=True)


@pytest.mark.parametrize(("cut", "share"), [(True, 0.5), (False, 0.7)])
def test_the_rim_tells_a_cut_from_the_touch_of_two_round_ones(tmp_path, cut, share):
    z, y, x = np.ogrid[:40, :40, :60]
    if cut:  # one round axon along x, cut across
        labels = np.where((z - 20) ** 2 + (y - 20) ** 2 < 100, np.where(x < 30, 1, 2), 3)
    else:  # three that meet along a line in equal angles, as bubbles do
        angle = np.arctan2(y - 20.5, x - 30.5) % (2 * np.pi)
        labels = 1 + (angle // (2 * np.pi / 3)).astype(int) + 0 * z
    found = contacts_of(tmp_path, labels.astype(np.uint8))
    assert found.rim[(found.first == 1) & (found.second == 2)] == pytest.approx([share], abs=0.06)
