"""Pictures of a section."""

import numpy as np
import pytest

pytest.importorskip("PIL")

from baselines.common.picture import CAPTION, GAP, colours, overlay, panels


def test_a_label_has_one_colour_and_background_none():
    found = colours(np.array([[0, 3, 3, 2**63 + 5]], np.uint64))
    assert found[0, 0].tolist() == [0, 0, 0]
    assert found[0, 1].tolist() == found[0, 2].tolist() != found[0, 3].tolist()


def test_background_shows_the_grey_values():
    grey = np.array([[10, 200]], np.uint8)
    found = overlay(grey, np.array([[0, 7]]))
    assert found[0, 0].tolist() == [10, 10, 10]
    assert len(set(found[0, 1].tolist())) > 1


def test_panels_stand_side_by_side():
    grey, affinity = np.zeros((6, 5), np.uint8), np.full((6, 5, 3), 255, np.uint8)
    sheet = panels(grey, [("affinities", affinity)], [("segmentation", grey)], scale=2)
    assert sheet.size == (3 * 10 + 2 * GAP, 12 + CAPTION)
    assert sheet.getpixel((10 + GAP + 1, CAPTION + 1)) == (255, 255, 255)
