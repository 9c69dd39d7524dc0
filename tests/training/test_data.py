"""Training volumes: formats, and that what is wrong is told before training starts."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from axonem_eval.errors import InputError
from baselines.common.config_data import VolumeConfig
from baselines.common.config_file import config_from
from baselines.common.data import compact, erode_labels, load_volumes, open_raw
from baselines.common.published import FFN, published_segmentations

pytest.importorskip("tifffile")
SHAPE = (4, 6, 8)


@pytest.fixture
def config(tmp_path):
    return replace(config_from({"name": "x", "voxel_size_nm": [30, 8, 8]}), folder=str(tmp_path))


def raw() -> np.ndarray:
    return np.arange(np.prod(SHAPE), dtype=np.uint8).reshape(SHAPE)


def labels(dtype: str = "uint64") -> np.ndarray:
    found = np.ones(SHAPE, dtype)
    found[:, 3:] = 7
    return found


def write(path, **datasets) -> None:
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file.create_dataset(name.replace("__", "/"), data=values)


def test_a_pair_is_read_cropped_and_renumbered(config, tmp_path):
    write(tmp_path / "v.h5", raw=raw(), labels=labels() + np.uint64(2**63))
    spec = VolumeConfig(raw="v.h5:raw", labels="v.h5:labels", z=(1, 3))
    (volume,) = load_volumes(config, [spec])
    assert volume.raw.tolist() == raw()[1:3].tolist()
    assert volume.labels.dtype == np.uint32
    assert (volume.labels == np.where(labels()[1:3] == 1, 1, 2)).all()


def test_all_complaints_come_at_once(config, tmp_path):
    write(tmp_path / "raw.h5", main=raw())
    write(tmp_path / "small.h5", main=labels()[:2])
    wanted = [
        VolumeConfig(raw="raw.h5", labels="small.h5", name="first"),
        VolumeConfig(raw="gone.h5", labels="also-gone.h5", name="second"),
        VolumeConfig(kind="snemi3d", path="nowhere"),
    ]
    with pytest.raises(InputError) as caught:
        load_volumes(config, wanted)
    assert [c.code for c in caught.value.complaints] == ["shape_mismatch", "no_file", "no_file", "no_file", "no_file"]


def test_sections_of_context_have_no_labels(config, tmp_path):
    write(tmp_path / "v.h5", raw=raw(), labels=labels())
    spec = VolumeConfig(raw="v.h5:raw", labels="v.h5:labels", z=(1, 4), scored_z=(2, 3))
    (volume,) = load_volumes(config, [spec])
    assert volume.raw.tolist() == raw()[1:4].tolist()
    assert [section.any() for section in volume.labels] == [False, True, False]


def test_a_range_beyond_the_volume_is_an_error(config, tmp_path):
    write(tmp_path / "v.h5", raw=raw(), labels=labels())
    with pytest.raises(InputError, match=r"x = \[2, 9\] lies outside the volume's 0 to 8"):
        load_volumes(config, [VolumeConfig(raw="v.h5:raw", labels="v.h5:labels", x=(2, 9))])
    with pytest.raises(InputError, match=r"x = \[2, 9\] lies outside the volume's 0 to 8"):
        open_raw(config, VolumeConfig(raw="v.h5:raw", x=(2, 9)))
    with pytest.raises(InputError, match="2 voxels along y; coarser makes one of 3 of them"):
        open_raw(config, VolumeConfig(raw="v.h5:raw", y=(2, 4), coarser=(1, 3, 1)))


def test_snemi3d_is_read_from_tiff(config, tmp_path):
    import tifffile

    tifffile.imwrite(tmp_path / "train-input.tif", raw(), photometric="minisblack")
    tifffile.imwrite(tmp_path / "train-labels.tif", labels("uint16"), photometric="minisblack")
    (volume,) = load_volumes(config, [VolumeConfig(kind="snemi3d", path=".")])
    assert volume.shape_zyx == SHAPE


def test_cremi_masks_what_is_not_annotated(config, tmp_path):
    truth = labels()
    truth[0] = np.iinfo(np.uint64).max
    write(tmp_path / "c.hdf", volumes__raw=raw(), volumes__labels__neuron_ids=truth)
    (volume,) = load_volumes(config, [VolumeConfig(kind="cremi", path="c.hdf")])
    assert volume.mask is not None
    assert not volume.mask[0].any()
    assert volume.mask[1:].all()
    assert not volume.labels[0].any()


def test_axonem_pairs_images_with_labels(config, tmp_path):
    for name in ("1-2-3", "4-5-6"):
        write(tmp_path / f"im_{name}_pad.h5", main=raw())
        write(tmp_path / f"seg_{name}_pad.h5", main=labels())
    write(tmp_path / "im_7-8-9_pad.h5", main=raw())
    with pytest.raises(InputError, match=r"im_7-8-9_pad.h5 has no labels"):
        load_volumes(config, [VolumeConfig(kind="axonem", path=".")])
    (tmp_path / "im_7-8-9_pad.h5").unlink()
    assert len(load_volumes(config, [VolumeConfig(kind="axonem", path=".")])) == 2


def test_erosion_takes_the_voxels_on_both_sides_of_a_boundary():
    line = np.array([[[1, 1, 1, 2, 2, 2]]], np.uint32)
    assert erode_labels(line, 1, (1, 2)).tolist() == [[[1, 1, 0, 0, 2, 2]]]


def test_erosion_may_spare_what_is_too_thin_for_it():
    line = np.array([[[1, 1, 1, 1, 2, 2, 3, 3, 3, 3]]], np.uint32)
    assert erode_labels(line, 1, (2,)).tolist() == [[[1, 1, 1, 0, 0, 0, 0, 3, 3, 3]]]
    assert erode_labels(line, 1, (2,), spare_thin=True).tolist() == [[[1, 1, 1, 0, 2, 2, 0, 3, 3, 3]]]


def test_a_thin_neck_keeps_a_body_in_one_piece_under_erosion():
    from scipy import ndimage

    body = np.full((1, 9, 24), 2, np.uint32)
    body[0, 1:8, 1:8] = body[0, 1:8, 16:23] = body[0, 4, 8:16] = 1
    assert ndimage.label(erode_labels(body, 1, (1, 2)) == 1)[1] == 2
    spared = erode_labels(body, 1, (1, 2), spare_thin=True)
    assert ndimage.label(spared == 1)[1] == 1
    assert not spared[0, 1, 1:8].any()  # what is thick loses its faces all the same


def test_compact_keeps_the_partition_and_zero():
    wide = np.array([0, 2**63, 5, 5, 0], np.uint64)
    found = compact(wide)
    assert found[0] == found[4] == 0
    assert found[2] == found[3] != found[1]


def test_published_segmentations_are_cropped_like_the_volume(config, tmp_path):
    found = labels("uint8")
    found[2] = 9
    np.savez(tmp_path / FFN, segmentation=found)
    spec = VolumeConfig(kind="fib25", path=str(tmp_path), z=(1, 3))
    (published,) = published_segmentations(config, spec).values()
    assert published.tolist() == compact(found[1:3]).tolist()
    assert published_segmentations(config, VolumeConfig(kind="pair")) == {}


def test_synthetic_tissue_can_be_scored_by_its_axons_alone(config):
    from axonem_eval.synthetic import make_tissue

    spec = VolumeConfig(kind="synthetic", shape=(8, 48, 48), seed=3)
    (whole,) = load_volumes(config, [spec])
    (axons,) = load_volumes(config, [replace(spec, axons_only=True)])
    assert set(np.unique(axons.labels)) <= {0, *make_tissue((8, 48, 48), (30, 8, 8), seed=3).axon_ids}
    assert (axons.labels[axons.labels > 0] == whole.labels[axons.labels > 0]).all()
    assert 0 < (axons.labels > 0).sum() < (whole.labels > 0).sum()


def test_columns_of_context_have_no_labels(config, tmp_path):
    write(tmp_path / "v.h5", raw=raw(), labels=labels())
    spec = VolumeConfig(raw="v.h5:raw", labels="v.h5:labels", x=(2, 8), scored_x=(4, 6))
    (volume,) = load_volumes(config, [spec])
    assert volume.raw.tolist() == raw()[:, :, 2:8].tolist()
    assert [column.any() for column in np.moveaxis(volume.labels, 2, 0)] == [False, False, True, True, False, False]


def test_a_coarser_volume_has_mean_grey_values_and_the_most_frequent_labels(config, tmp_path):
    truth, unknown = labels(), np.zeros(SHAPE, np.uint8)
    truth[3, 5, 3], unknown[2, 1, 3] = 9, 1
    write(tmp_path / "v.h5", raw=raw(), labels=truth, unknown=unknown)
    spec = VolumeConfig(raw="v.h5:raw", labels="v.h5:labels", ignore="v.h5:unknown", x=(2, 7), coarser=(1, 2, 2))
    (volume,) = load_volumes(config, [spec])
    fine = raw()[:, :, 2:6].astype(float).reshape(4, 3, 2, 2, 2).mean(axis=(2, 4))  # 7 columns have no eighth to join
    assert volume.raw.tolist() == np.rint(fine).tolist()
    assert volume.labels[:, :, 0].tolist() == [[1, 1, 2]] * 4
    assert np.argwhere(~volume.mask).tolist() == [[2, 0, 0]]


def test_a_coarser_volume_on_disk_reads_the_same_grey_values_box_by_box(config, tmp_path):
    write(tmp_path / "v.h5", raw=raw(), labels=labels())
    spec = VolumeConfig(raw="v.h5:raw", labels="v.h5:labels", y=(1, 6), x=(2, 8), coarser=(1, 2, 3))
    stored, identity = open_raw(config, spec)
    (volume,) = load_volumes(config, [spec])
    assert stored.shape == volume.raw.shape == (4, 2, 2)
    assert stored[1:3, 1:2, 0:2].tolist() == volume.raw[1:3, 1:2, 0:2].tolist()
    assert identity != open_raw(config, replace(spec, x=(1, 7)))[1]  # so that work on it is not taken for work on this


def test_a_mask_of_another_shape_is_an_error(config, tmp_path):
    write(tmp_path / "v.h5", raw=raw(), labels=labels(), unknown=np.zeros((4, 6, 9), np.uint8))
    with pytest.raises(InputError, match="ignore has shape 4 x 6 x 9, expected 4 x 6 x 8"):
        load_volumes(config, [VolumeConfig(raw="v.h5:raw", labels="v.h5:labels", ignore="v.h5:unknown")])
