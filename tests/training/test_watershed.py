"""Affinity watershed: by hand, by property, and against waterz on the same input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.affinity_unet.region_graph import region_graph
from baselines.affinity_unet.watershed import highest_level, lowest_level, merge_small, watershed
from tests.training.affinity_fields import row, same_partition, smooth


def test_a_row_by_hand():
    """Links .8 .3 .9: voxels 0 and 1 choose each other, so do 2 and 3; the weak link joins nobody."""
    fragments, count = watershed(row(0.8, 0.3, 0.9), 0.01, 0.99)
    assert fragments.ravel().tolist() == [1, 1, 2, 2]
    assert count == 2


def test_a_chain_of_rising_links_runs_into_one_fragment():
    fragments, _ = watershed(row(0.2, 0.4, 0.6), 0.01, 0.99)
    assert fragments.ravel().tolist() == [1, 1, 1, 1]


def test_links_at_the_high_threshold_always_join():
    assert watershed(row(0.99, 0.98, 1.0), 0.01, 0.98)[1] == 1
    assert watershed(row(0.99, 0.98, 1.0), 0.01, 0.999)[1] == 2


def test_links_at_the_low_threshold_never_join_and_leave_background():
    fragments, count = watershed(row(0.9, 0.2, 0.2), 0.25, 0.99)
    assert fragments.ravel().tolist() == [1, 1, 0, 0]
    assert count == 1


def test_a_plateau_is_divided_between_its_exits():
    """Two strong pairs joined by a plateau of equal links: each half of it goes to the nearer pair."""
    fragments, count = watershed(row(0.9, 0.5, 0.5, 0.5, 0.5, 0.5, 0.9), 0.01, 0.99)
    assert count == 2
    assert fragments.ravel().tolist() == [1, 1, 1, 1, 2, 2, 2, 2]


def test_thresholds_between_two_stored_values_leave_each_on_its_side():
    """3 is an affinity of 0.0118: above 0.01. 252 is 0.988: below 0.99."""
    assert [highest_level(a) for a in (0.0, 0.01, 0.2, 1.0)] == [0, 2, 51, 255]
    assert [lowest_level(a) for a in (0.0, 0.2, 0.99, 1.0)] == [0, 51, 253, 255]


@pytest.mark.parametrize(("level", "background"), [(2, True), (3, False)])
def test_only_links_of_at_most_the_low_threshold_leave_background(level, background):
    affinity = np.zeros((3, 1, 1, 2), np.uint8)
    affinity[2, 0, 0, 1] = level
    fragments, _ = watershed(affinity, 0.01, 0.99)
    assert (fragments == 0).all() == background


@pytest.mark.slow
def test_small_fragments_join_their_strongest_neighbour_only_above_low():
    affinity = row(0.9, 0.2, 0.9, 0.6, 0.9, 0.9, 0.9)  # fragments of 2, 2 and 4 voxels
    fragments, count = watershed(affinity, 0.01, 0.99)
    assert count == 3
    graph = region_graph(affinity, fragments)
    edges = (graph.u.astype(np.uint32), graph.v.astype(np.uint32), graph.strongest)
    lookup, left = merge_small(fragments, count, *edges, size=3, low=0.25)
    assert lookup[fragments].ravel().tolist() == [1, 1, 2, 2, 2, 2, 2, 2]
    assert left == 2
    assert merge_small(fragments, count, *edges, size=3, low=0.01)[1] == 1


@pytest.mark.parametrize("coarse", [0, 3, 8])
@pytest.mark.parametrize("seed", range(4))
def test_equal_to_waterz(coarse, seed):
    waterz = pytest.importorskip("waterz")
    affinity = smooth((9, 25, 22), seed, coarse)
    fragments, count = watershed(affinity, 0.02, 0.97)
    theirs = next(
        waterz.agglomerate(
            (affinity / np.float32(255)).astype(np.float32), [0.0], aff_threshold_low=0.02, aff_threshold_high=0.97,
        )
    )  # fmt: skip
    assert count > 5
    assert same_partition(fragments, theirs)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0, 2, 5]))
def test_every_fragment_hangs_together_above_low(seed, coarse):
    affinity = smooth((4, 9, 8), seed, coarse)
    fragments, count = watershed(affinity, 0.1, 0.9)
    linked = np.zeros((3, *fragments.shape), np.uint8)
    for axis in range(3):
        after = [slice(None)] * 3
        after[axis] = slice(1, None)
        before = [slice(None)] * 3
        before[axis] = slice(None, -1)
        same = fragments[tuple(after)] == fragments[tuple(before)]
        linked[(axis, *after)] = 255 * (
            same & (affinity[(axis, *after)] > highest_level(0.1)) & (fragments[tuple(after)] > 0)
        )
    # following only links inside fragments, above low, must give the fragments back
    assert watershed(linked, 0.01, 0.5)[1] == count == fragments.max()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_mirroring_the_volume_mirrors_the_fragments(seed):
    """Without ties; a plateau's middle voxel has to go to one side."""
    rng = np.random.default_rng(seed)
    affinity = rng.permutation(3 * 3 * 5 * 5).astype(np.uint8).reshape(3, 3, 5, 5)
    mirrored = affinity[:, :, :, ::-1].copy()
    mirrored[2, :, :, 1:] = affinity[2, :, :, :0:-1]
    mirrored[2, :, :, 0] = 0
    a = watershed(affinity, 0.0, 1.0)[0]
    assert same_partition(a[:, :, ::-1], watershed(mirrored, 0.0, 1.0)[0])
