"""Each augmentation does what it is named for, and leaves alone what it must."""

import numpy as np
import pytest

from baselines.common.augment import (
    Sample,
    blur_sections,
    change_grey,
    flip,
    lose_section,
    misalign,
    miss_sections,
    occlude,
    source_shape,
)
from baselines.common.config import AugmentConfig
from baselines.common.crops import CropStream
from baselines.common.data import Volume

SHAPE = (8, 40, 48)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def sample() -> Sample:
    """Grey values equal the labels / 100, so that whoever moves one without the other is found out."""
    labels = rng(5).integers(1, 90, SHAPE).astype(np.int32)
    return Sample((labels / 100).astype(np.float32), labels, np.ones(SHAPE, bool))


def moved_together(sample: Sample) -> bool:
    return bool(np.allclose(sample.grey[sample.mask], sample.labels[sample.mask] / 100))


def changed_sections(before: Sample, after: Sample) -> list[int]:
    return [z for z in range(len(before.grey)) if not np.array_equal(before.grey[z], after.grey[z])]


def test_flips_move_image_and_labels_together(sample):
    shapes = set()
    for seed in range(20):
        found = flip(sample, rng(seed))
        assert moved_together(found)
        assert sorted(found.labels.ravel()) == sorted(sample.labels.ravel())
        shapes.add(found.grey.tobytes())
    assert len(shapes) > 5


def test_isotropic_crops_turn_about_all_axes():
    labels = np.zeros((6, 6, 6), np.int32)
    labels[0, 1, 2] = 7
    cube = Sample(labels.astype(np.float32), labels, labels == 0)
    places = {tuple(int(i[0]) for i in np.nonzero(flip(cube, rng(s), isotropic=True).labels)) for s in range(200)}
    assert len(places) == 48


def test_a_lost_section_is_the_only_one_gone(sample):
    found = lose_section(sample, rng(1))
    kept = [z for z in range(SHAPE[0]) if any(np.array_equal(sample.labels[z], s) for s in found.labels)]
    assert len(found.grey) == SHAPE[0] - 1
    assert len(kept) == SHAPE[0] - 1
    assert moved_together(found)


def test_a_translation_moves_the_labels_of_all_later_sections(sample):
    found = misalign(sample, rng(3), 5, slip=False)
    moved = [z for z in range(SHAPE[0]) if not np.array_equal(found.labels[z], sample.labels[z])]
    assert moved == list(range(moved[0], SHAPE[0]))
    assert moved[0] >= 1
    assert moved_together(found)
    assert not found.mask[moved[0]].all()  # what came in from outside is not learnt from


def test_a_slip_moves_the_image_of_one_section_and_no_label(sample):
    found = misalign(sample, rng(3), 5, slip=True)
    assert len(changed_sections(sample, found)) == 1
    assert np.array_equal(found.labels, sample.labels)


def test_grey_values_change_section_by_section_and_stay_in_range(sample):
    found = change_grey(sample, rng(2), 0.5, 0.5)
    assert np.array_equal(found.labels, sample.labels)
    assert found.grey.min() >= 0
    assert found.grey.max() <= 1
    shift = found.grey.mean((1, 2)) - sample.grey.mean((1, 2))
    assert shift.std() > 0.01


def test_missing_sections_are_blank_wholly_or_in_part(sample):
    for seed in range(10):
        found = miss_sections(sample, rng(seed), 3)
        sections = changed_sections(sample, found)
        assert len(sections) <= 3
        for z in sections:
            assert len(np.unique(found.grey[z][found.grey[z] != sample.grey[z]])) == 1
        assert np.array_equal(found.labels, sample.labels)


def test_blurred_sections_lose_their_fine_detail(sample):
    changed = 0
    for seed in range(10):
        found = blur_sections(sample, rng(seed), 2, 5.0)
        sections = changed_sections(sample, found)
        assert len(sections) <= 2
        changed += len(sections)
        for z in sections:
            assert np.abs(np.diff(found.grey[z])).mean() < np.abs(np.diff(sample.grey[z])).mean()
    assert changed >= 5


def test_boxes_hide_less_than_a_third_and_a_box(sample):
    found = occlude(sample, rng(4), (4, 10), isotropic=False)
    hidden = (found.grey != sample.grey).mean()
    assert 0 < hidden <= 0.3 + 10 * 10 * 2 / np.prod(SHAPE)
    assert np.array_equal(found.labels, sample.labels)


def volume() -> Volume:
    pytest.importorskip("torch")
    # smooth in y and x, so that interpolated grey values can be told from wrong ones
    y, x = np.meshgrid(np.arange(120), np.arange(120), indexing="ij")
    raw = np.broadcast_to((y + x).astype(np.uint8), (12, 120, 120)).copy()
    return Volume("v", raw, np.broadcast_to(((y + x) // 8 + 1).astype(np.uint32), raw.shape).copy())


def test_a_warp_moves_image_and_labels_together():
    config = AugmentConfig(**dict.fromkeys(("grey", "misalign", "missing", "lost", "blur", "box"), 0.0), warp=1.0)
    crops = CropStream([volume()], (8, 64, 64), config, 0, isotropic=False)
    plain = AugmentConfig(**dict.fromkeys(("grey", "misalign", "missing", "lost", "blur", "box", "warp"), 0.0))
    straight = CropStream([volume()], (8, 64, 64), plain, 0, isotropic=False)[1]
    found = crops[1]
    assert found.grey.shape == (8, 64, 64)
    assert found.mask.mean() > 0.7
    assert not np.array_equal(found.grey, straight.grey)
    for label in np.unique(found.labels[found.mask]):  # a label is a band of 8 grey values
        band = found.grey[(found.labels == label) & found.mask] * 255
        assert band.max() - band.min() < 12


def test_isotropic_crops_turn_about_all_axes_where_they_are_warped_too():
    pytest.importorskip("torch")
    raw = np.broadcast_to(np.arange(40, dtype=np.uint8)[:, None, None] * 5, (40, 40, 40)).copy()  # grey is z
    config = AugmentConfig(
        **dict.fromkeys(("grey", "misalign", "missing", "lost", "blur", "box", "elastic_pixels"), 0.0), warp=0.5
    )
    crops = CropStream([Volume("z", raw, raw.astype(np.uint32))], (8, 8, 8), config, 0, isotropic=True)
    found = [crops[i].grey for i in range(30)]
    assert {grey.shape for grey in found} == {(8, 8, 8)}
    slopes = np.array([[np.abs(np.diff(grey, axis=axis)).mean() for axis in range(3)] for grey in found])
    assert set(slopes.argmax(axis=1)) == {0, 1, 2}


def test_a_crop_depends_on_the_seed_and_its_number_alone():
    crops = CropStream([volume()], (8, 64, 64), AugmentConfig(), 3, isotropic=False)
    first = crops[17]
    for other in (4, 9):
        crops[other]
    again = crops[17]
    assert np.array_equal(first.grey, again.grey)
    assert np.array_equal(first.labels, again.labels)
    assert not np.array_equal(first.grey, crops[18].grey)


def test_sections_at_a_thin_volumes_face_are_learnt_from_although_some_crops_are_warped():
    pytest.importorskip("torch")
    raw = np.broadcast_to(np.arange(20, dtype=np.uint8)[:, None, None] * 10, (20, 60, 60)).copy()  # grey is z
    never = dict.fromkeys(("grey", "misalign", "missing", "lost", "blur", "box"), 0.0)
    config = AugmentConfig(flip=False, warp=0.3, **never)
    crops = CropStream([Volume("z", raw, raw.astype(np.uint32))], (16, 16, 16), config, 0, isotropic=True)
    found = [crops[i].grey.min() for i in range(60)]
    assert sum(grey == 0 for grey in found) >= 3  # each of 5 places in 70% of the crops: 8 expected


def test_a_volume_smaller_than_the_crop_is_masked_where_it_ends():
    pytest.importorskip("torch")
    small = Volume("s", volume().raw[:4, :20, :20], volume().labels[:4, :20, :20])
    config = AugmentConfig(**dict.fromkeys(("grey", "misalign", "missing", "lost", "blur", "box", "warp"), 0.0))
    found = CropStream([small], (8, 32, 32), config, 0, isotropic=False)[0]
    assert found.grey.shape == (8, 32, 32)
    assert found.mask.sum() == 4 * 20 * 20


def test_the_source_crop_leaves_room_for_a_misalignment_and_a_lost_section():
    config = AugmentConfig(warp=0.0)
    assert source_shape((8, 64, 64), config) == (9, 64 + 50, 64 + 50)
