"""Over-segmentation consensus of two segmentations: its ids, in memory and in parts."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from baselines.common.coarser import downsampled
from baselines.ffn.consensus import consensus, consensus_ids, read_upsampled


def labels(*values: int) -> np.ndarray:
    return np.array([[values]], np.uint32)


def consensus_by_dictionaries(first, second, min_voxels) -> list[int]:
    """The rules, one voxel and one pair at a time."""
    pairs = list(zip(first.ravel().tolist(), second.ravel().tolist(), strict=True))
    voxels = Counter(pairs)
    partner = {}
    for a in {a for a, _ in pairs}:
        partner[a] = max((b for c, b in voxels if c == a), key=lambda b: (voxels[a, b], -b))
    becomes, last = {}, max(a for a, _ in pairs)
    for b, a in sorted((b, a) for a, b in voxels):
        if a == 0 or voxels[a, b] < min_voxels:
            becomes[a, b] = 0
        elif partner[a] == b:
            becomes[a, b] = a
        else:
            last += 1
            becomes[a, b] = last
    return [becomes[pair] for pair in pairs]


@st.composite
def two_segmentations(draw):
    shape = draw(array_shapes(min_dims=3, max_dims=3, max_side=5))
    ids = st.sampled_from([0, 1, 2, 3, 7, 2**40])
    return draw(arrays(np.uint64, shape, elements=ids)), draw(arrays(np.uint64, shape, elements=ids))


@given(two_segmentations(), st.integers(0, 4))
def test_the_consensus_is_that_of_the_rules_taken_one_by_one(both, min_voxels):
    assert consensus(*both, min_voxels).ravel().tolist() == consensus_by_dictionaries(*both, min_voxels)


@given(two_segmentations(), st.integers(0, 4))
def test_a_consensus_in_parts_is_that_of_the_whole(both, min_voxels):
    first, second = both
    parts = [(first[z : z + 1], second[z : z + 1]) for z in range(len(first))]
    ids = consensus_ids(parts, min_voxels)
    joined = np.concatenate([ids.apply(*part) for part in parts])
    np.testing.assert_array_equal(joined, consensus(first, second, min_voxels))


def test_a_merger_of_one_segmentation_is_cut_by_the_other():
    assert consensus(labels(1, 1, 1, 1, 1), labels(4, 4, 4, 9, 9), 0).ravel().tolist() == [1, 1, 1, 2, 2]
    assert consensus(labels(4, 4, 4, 9, 9), labels(1, 1, 1, 1, 1), 0).ravel().tolist() == [4, 4, 4, 9, 9]


def test_what_the_second_leaves_blank_stays_an_object_and_may_keep_the_id():
    assert consensus(labels(5, 5, 5, 5), labels(0, 0, 0, 8), 0).ravel().tolist() == [5, 5, 5, 6]


def test_what_the_first_leaves_blank_stays_blank():
    assert consensus(labels(0, 0, 3), labels(8, 8, 8), 0).ravel().tolist() == [0, 0, 3]


def test_of_equal_partners_the_smaller_id_keeps_the_first_id():
    assert consensus(labels(5, 5, 5, 5), labels(9, 9, 2, 2), 0).ravel().tolist() == [6, 6, 5, 5]


def test_an_object_in_two_pieces_stays_one():
    assert consensus(labels(1, 0, 1), labels(2, 2, 2), 0).ravel().tolist() == [1, 0, 1]


def test_dust_goes_after_the_cut_and_takes_no_id():
    first, second = labels(1, 1, 1, 1, 1, 1), labels(2, 2, 2, 3, 4, 4)
    assert consensus(first, second, 2).ravel().tolist() == [1, 1, 1, 0, 2, 2]


def test_the_consensus_of_a_segmentation_with_itself_is_itself():
    rng = np.random.default_rng(0)
    own = rng.integers(0, 9, (6, 7, 8), np.uint32)
    np.testing.assert_array_equal(consensus(own, own, 0), own)


def test_segmentations_of_other_shapes_and_pairs_not_counted_are_refused():
    with pytest.raises(ValueError, match="shapes"):
        consensus(labels(1, 2), labels(1), 0)
    with pytest.raises(ValueError, match=r"pair of ids \(2, 9\) was not counted"):
        consensus_ids([(labels(1, 2), labels(8, 8))], 0).apply(labels(1, 2), labels(8, 9))


def test_half_the_resolution_and_back_covers_the_volume_but_its_last_odd_voxels():
    image = np.arange(2 * 4 * 5, dtype=np.uint8).reshape(2, 4, 5)
    half = downsampled(image, (1, 2, 2))
    assert half.tolist() == [[[3, 5], [13, 15]], [[23, 25], [33, 35]]]  # means of 0 1 5 6; 2 3 7 8; ..., to even
    whole = (slice(0, 2), slice(0, 4), slice(0, 5))
    back = read_upsampled(half.astype(np.uint32), (1, 2, 2), whole)
    assert back[0].tolist() == [[3, 3, 5, 5, 0]] * 2 + [[13, 13, 15, 15, 0]] * 2
    for box in itertools.product((slice(0, 1), slice(1, 2)), (slice(0, 3), slice(3, 4)), (slice(1, 4), slice(4, 5))):
        np.testing.assert_array_equal(read_upsampled(half.astype(np.uint32), (1, 2, 2), box), back[box])


def test_an_image_smaller_than_a_coarse_voxel_is_refused():
    with pytest.raises(ValueError, match="no box"):
        downsampled(np.zeros((1, 4, 4), np.uint8), (2, 2, 2))
