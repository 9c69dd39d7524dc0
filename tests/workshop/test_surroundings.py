"""The small boxes of labels from which pictures of candidates are drawn."""

import numpy as np
import pytest

from axonem_eval.synthetic import write_labels
from axonem_eval.volumes import open_labels
from axonem_eval.workshop import MERGER, SPLIT, Correction, Cut, place_of, surroundings

VOXEL_NM = (40.0, 20.0, 20.0)


@pytest.fixture
def volume(tmp_path):
    """Segment 7 in the lower half of a long block, segment 9 in the upper; 5 beside them."""
    labels = np.full((200, 40, 40), 5, np.uint8)
    labels[:100, 10:30, 10:30], labels[100:, 10:30, 10:30] = 7, 9
    write_labels(tmp_path / "labels.h5", labels, VOXEL_NM)
    with open_labels(tmp_path / "labels.h5") as opened:
        yield opened


def test_both_segments_of_a_split_are_shown_and_nothing_else(volume):
    found, voxel_nm = surroundings(volume, Correction(SPLIT, (7, 9), ((99, 20, 20),), ((100, 20, 20),)), VOXEL_NM)
    assert voxel_nm == (40.0, 60.0, 60.0)
    assert np.ptp(np.argwhere(found)[:, 0]) * 40 == pytest.approx(2 * 2000, abs=80)
    z = np.argwhere(found == 1)[:, 0].max()
    assert np.unique(found[: z + 1]).tolist() == [0, 1]
    assert np.unique(found[z + 1 :]).tolist() == [0, 2]


@pytest.mark.parametrize("normal", [1.0, -1.0])
def test_the_sides_of_a_merger_are_those_of_its_plane(volume, normal):
    cut = Cut((50, 20, 20), (normal, 0.0, 0.0), 1200.0)
    correction = Correction(MERGER, (7,), ((20, 20, 20),), ((80, 20, 20),), cut)
    found, _ = surroundings(volume, correction, VOXEL_NM)
    assert np.argwhere(found == 1)[:, 0].max() < np.argwhere(found == 2)[:, 0].min()
    assert place_of(correction) == (50.0, 20.0, 20.0)


def test_a_place_at_the_corner_of_the_volume_has_a_smaller_box(volume):
    found, _ = surroundings(volume, Correction(SPLIT, (5, 7), ((0, 0, 0),), ((0, 10, 10),)), VOXEL_NM)
    assert found.shape[0] < 60
    assert set(np.unique(found)) == {1, 2}
