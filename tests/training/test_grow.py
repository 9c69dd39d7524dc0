"""Growth of objects into the blank: membranes last, and no farther than asked."""

import numpy as np

from baselines.ffn.grow import grown

NM = (10.0, 10.0, 10.0)


def row(*values: int, dtype=np.uint32) -> np.ndarray:
    return np.array([[values]], dtype)


def test_objects_meet_at_the_membrane_not_half_way():
    grey = row(200, 200, 200, 200, 200, 60, 200, 200, dtype=np.uint8)
    labels = row(4, 0, 0, 0, 0, 0, 0, 9)
    after = grown(labels, grey, NM, 1000.0)
    assert after[0, 0, :5].tolist() == [4] * 5
    assert after[0, 0, 6:].tolist() == [9, 9]
    assert after.dtype == np.uint32


def test_what_is_farther_than_the_limit_stays_blank():
    grey = np.full((1, 1, 8), 200, np.uint8)
    assert grown(row(4, 0, 0, 0, 0, 0, 0, 0), grey, NM, 20.0).ravel().tolist() == [4, 4, 4, 0, 0, 0, 0, 0]
    assert grown(row(4, 0, 0, 0, 0, 0, 0, 0), grey, (10.0, 10.0, 5.0), 20.0).ravel().tolist() == [4] * 5 + [0] * 3


def test_no_object_loses_a_voxel():
    rng = np.random.default_rng(0)
    labels = np.where(rng.random((6, 20, 20)) < 0.2, rng.integers(1, 5, (6, 20, 20)), 0).astype(np.uint64)
    after = grown(labels, rng.integers(0, 256, labels.shape, np.uint8), NM, 30.0)
    np.testing.assert_array_equal(after[labels > 0], labels[labels > 0])
    assert np.count_nonzero(after) > np.count_nonzero(labels)
