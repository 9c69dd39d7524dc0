import os

import numpy as np
import pytest

from axonem_eval.files import write_atomically
from axonem_eval.skeletonize.label_runs import LabelRunReader, has_block, index_blocks, write_block


@pytest.fixture
def labels():
    rng = np.random.default_rng(1)
    ids = np.array([0, 1, 2**53 + 1, 2**53 + 2, 2**64 - 1], np.uint64)
    return ids[rng.choice(5, (6, 7, 8), p=[0.3, 0.4, 0.1, 0.1, 0.1])]


def written(folder, labels, cut=4):
    """Two blocks, the later one first."""
    write_block(folder, 1, labels[:, cut:], (0, cut, 0), labels.shape)
    write_block(folder, 0, labels[:, :cut], (0, 0, 0), labels.shape)
    return folder


def test_each_label_is_read_back_from_its_blocks_in_order(tmp_path, labels):
    index, _ = index_blocks(written(tmp_path, labels), 2, 0)
    reader = LabelRunReader(tmp_path, index, labels.shape)
    for label in np.unique(labels[labels > 0]):
        assert np.array_equal(reader.voxels(int(label)), np.argwhere(labels == label))


def test_larger_voxels_hold_any_of_a_label_and_name_its_first(tmp_path, labels):
    index, _ = index_blocks(written(tmp_path, labels, cut=3), 2, 0)
    zyx = np.argwhere(labels == 1)
    expected, first = np.unique(zyx // 2, axis=0, return_index=True)
    large, of_label = LabelRunReader(tmp_path, index, labels.shape).coarse_voxels(1, 2)
    assert np.array_equal(large, expected)
    assert np.array_equal(of_label, zyx[first])


def test_a_label_in_many_blocks_takes_few_open_files(tmp_path):
    """A confined process may have 128, and a volume of 14 Gvoxel has 400 blocks."""
    shape = (150, 2, 2)
    for z in range(150):
        write_block(tmp_path, z, np.ones((1, 2, 2), np.uint8), (z, 0, 0), shape)
    before = len(os.listdir("/proc/self/fd"))
    reader = LabelRunReader(tmp_path, index_blocks(tmp_path, 150, 0)[0], shape)
    assert len(reader.voxels(1)) == 600
    assert len(os.listdir("/proc/self/fd")) - before < 50


def test_voxels_are_counted_over_all_blocks(tmp_path, labels):
    index, voxels = index_blocks(written(tmp_path, labels), 2, 0)
    found = dict(zip(index.label.tolist(), voxels.tolist(), strict=True))
    assert found == {int(i): int((labels == i).sum()) for i in np.unique(labels[labels > 0])}


def test_small_labels_stay_out_of_the_index(tmp_path, labels):
    most = int((labels == 1).sum())
    assert set(index_blocks(written(tmp_path, labels), 2, most - 1)[0].label.tolist()) == {1}
    assert len(index_blocks(tmp_path, 2, most)[0].label) == 0


def test_a_block_of_background_is_written_too(tmp_path):
    write_block(tmp_path, 0, np.zeros((2, 3, 4), np.uint8), (0, 0, 0), (2, 3, 4))
    assert has_block(tmp_path, 0)
    assert len(index_blocks(tmp_path, 1, 0)[0].label) == 0


def test_a_write_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match="disk full"):
        write_atomically(tmp_path / "out", lambda file: (_ for _ in ()).throw(OSError("disk full")))
    assert list(tmp_path.iterdir()) == []
