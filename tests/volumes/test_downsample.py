import numpy as np
import pytest

from axonem_eval.errors import InputError
from axonem_eval.volumes import blocks, downsample_block, near_isotropic_factor, open_labels, read_small
from tests.label_files import write_h5


@pytest.mark.parametrize(
    ("voxel_nm", "factor"),
    [((30, 8, 8), (1, 4, 4)), ((40, 7, 7), (1, 4, 4)), ((40, 16, 16), (1, 2, 2)), ((10, 10, 10), (3, 3, 3))],
)
def test_factor_gives_near_isotropic_voxels_of_28_to_40_nm(voxel_nm, factor):
    assert near_isotropic_factor(voxel_nm) == factor


def test_the_most_frequent_label_of_a_block_stands_for_it():
    labels = np.array([[[1, 1, 2, 2], [1, 3, 2, 0]]], np.uint32)
    assert downsample_block(labels, (1, 2, 2)).tolist() == [[[1, 2]]]


def test_of_equals_a_label_wins_over_background():
    labels = np.array([[[0, 0, 5, 5]]], np.uint32)
    assert downsample_block(labels, (1, 1, 4)).tolist() == [[[5]]]


def test_blocks_cut_by_the_edge_count_what_is_there():
    labels = np.array([[[1, 1, 1, 2, 2]]], np.uint32)
    assert downsample_block(labels, (1, 1, 3)).tolist() == [[[1, 2]]]


def test_labels_beyond_float_stay_exact():
    labels = np.full((2, 2, 2), 2**63 + 1, np.uint64)
    assert downsample_block(labels, (2, 2, 2)).item() == 2**63 + 1


def test_blocks_cover_each_voxel_once_and_begin_on_whole_factors(monkeypatch):
    monkeypatch.setattr("axonem_eval.volumes.downsample.BLOCK_VOXELS", 3000)
    shape, factor = (50, 37, 41), (1, 4, 4)
    covered = np.zeros(shape, int)
    for box in blocks(shape, (8, 6, 10), factor):
        covered[box] += 1
        assert all(s.start % f == 0 for s, f in zip(box, factor, strict=True))
    assert covered.min() == covered.max() == 1


def test_block_by_block_gives_the_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("axonem_eval.volumes.downsample.BLOCK_VOXELS", 500)
    labels = np.random.default_rng(0).integers(0, 3, (9, 22, 17)).astype(np.uint16)
    factor = (2, 3, 2)
    whole = downsample_block(labels, factor)
    put_together = np.zeros_like(whole)
    with open_labels(write_h5(tmp_path / "a.h5", labels)) as volume:
        for box in blocks(volume.shape_zyx, volume.chunk_shape_zyx, factor):
            small = read_small(volume, box, factor)
            origin = [s.start // f for s, f in zip(box, factor, strict=True)]
            put_together[tuple(slice(o, o + n) for o, n in zip(origin, small.shape, strict=True))] = small
    assert np.array_equal(put_together, whole)


def test_a_negative_label_is_the_owners_fault(tmp_path):
    labels = np.ones((4, 4, 4), np.int32)
    labels[1, 2, 3] = -1
    with (
        open_labels(write_h5(tmp_path / "a.h5", labels)) as volume,
        pytest.raises(InputError, match=r"-1 at voxel \(1, 2, 3\)"),
    ):
        read_small(volume, (slice(0, 4), slice(0, 4), slice(0, 4)), (2, 2, 2))
