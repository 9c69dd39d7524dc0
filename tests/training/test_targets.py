"""Affinities: stored at the destination voxel, z,y,x."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.affinity_unet.targets import affinity_targets


def targets(labels, offsets, mask=None):
    labels = np.asarray(labels, np.int32)
    return affinity_targets(labels, np.ones(labels.shape, bool) if mask is None else mask, offsets)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_three_voxels_by_hand(axis):
    """Voxels 4, 4, 9 in a row: the link of the first pair stands at the second voxel, and nothing at the first."""
    shape = [1, 1, 1]
    shape[axis] = 3
    offset = tuple(int(a == axis) for a in range(3))
    target, mask = targets(np.array([4, 4, 9]).reshape(shape), [offset])
    assert target.ravel().tolist() == [0, 1, 0]
    assert mask.ravel().tolist() == [0, 1, 1]


def test_background_is_linked_to_nothing():
    target, mask = targets([[[0, 0, 1, 1]]], [(0, 0, 1)])
    assert target.ravel().tolist() == [0, 0, 0, 1]
    assert mask.ravel().tolist() == [0, 1, 1, 1]


def test_a_link_holds_where_both_its_voxels_do():
    mask = np.array([[[1, 0, 1, 1]]], bool)
    assert targets([[[1, 1, 1, 1]]], [(0, 0, 1)], mask)[1].ravel().tolist() == [0, 0, 0, 1]


def test_long_range_links_skip_what_lies_between():
    target, mask = targets([[[1, 2, 2, 1]]], [(0, 0, 3)])
    assert target.ravel().tolist() == [0, 0, 0, 1]
    assert mask.ravel().tolist() == [0, 0, 0, 1]


def test_negative_offsets_are_refused():
    with pytest.raises(ValueError, match="swap the two voxels"):
        targets([[[1, 1]]], [(0, 0, -1)])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.tuples(*[st.integers(0, 3)] * 3))
def test_equal_to_shifted_arrays(seed, offset):
    labels = np.random.default_rng(seed).integers(0, 3, (5, 6, 7)).astype(np.int32)
    target, mask = targets(labels, [offset])
    dz, dy, dx = offset
    here = labels[dz:, dy:, dx:]
    there = labels[: 5 - dz, : 6 - dy, : 7 - dx]
    expected = np.zeros((5, 6, 7), np.uint8)
    expected[dz:, dy:, dx:] = (here == there) & (here != 0)
    assert np.array_equal(target[0], expected)
    assert mask.sum() == here.size
