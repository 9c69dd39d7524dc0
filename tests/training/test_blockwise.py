"""Blocks tile a volume, patches cover it, a ledger knows its job."""

import numpy as np
import pytest

from baselines.common.blockwise import Ledger, OtherJob, blocks, bump, patch_starts, summed_weight


def test_cores_tile_the_volume_and_halos_reach_beyond():
    covered = np.zeros((7, 10, 11), int)
    for block in blocks((7, 10, 11), (3, 4, 5), (1, 2, 2)):
        covered[block.core] += 1
        halo = np.zeros(covered.shape, bool)
        halo[block.halo] = True
        assert halo[block.core].all()
        inside = np.zeros([s.stop - s.start for s in block.halo], bool)
        inside[block.core_in_halo] = True
        assert inside.sum() == covered[block.core].size
    assert (covered == 1).all()


@pytest.mark.parametrize(("size", "patch", "overlap"), [(100, 20, 0.5), (101, 20, 0.25), (20, 20, 0.5), (7, 20, 0.5)])
def test_patches_cover_an_axis_and_stay_inside(size, patch, overlap):
    starts = patch_starts(size, patch, overlap)
    covered = np.zeros(max(size, patch), int)
    for start in starts:
        covered[start : start + patch] += 1
    assert covered[:size].min() >= 1
    assert len(covered) == max(size, patch)
    assert (summed_weight(size, patch, starts) > 0).all()


def test_the_bump_is_symmetric_highest_in_the_middle_and_never_nothing():
    weight = bump(16)
    assert np.allclose(weight, weight[::-1])
    assert weight.argmax() in (7, 8)
    assert weight.min() == np.float32(1e-3)


def test_another_job_in_the_folder_is_refused(tmp_path):
    Ledger(tmp_path, {"threshold": 0.5})
    Ledger(tmp_path, {"threshold": 0.5})
    with pytest.raises(OtherJob):
        Ledger(tmp_path, {"threshold": 0.6})
