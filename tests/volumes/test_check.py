"""Each fault of an upload gets a complaint: what was found, what was wanted, what to do."""

import h5py
import numpy as np
import pytest

from axonem_eval import InputError, VolumeSpec
from axonem_eval.volumes import check_labels, open_labels
from tests.label_files import SHAPE, VOXEL_NM, two_axons, write_h5

SPEC = VolumeSpec(SHAPE, VOXEL_NM)


def complaints(path, spec=SPEC):
    with pytest.raises(InputError) as caught:
        check_labels(path, spec)
    return {c.code: c.message for c in caught.value.complaints}


def test_a_right_file_passes_and_is_described(tmp_path):
    info = check_labels(write_h5(tmp_path / "a.h5", two_axons(), voxel_size_nm=VOXEL_NM), SPEC)
    assert (info.shape_zyx, info.dtype, info.dataset, info.voxel_size_nm_zyx) == (SHAPE, "uint64", "main", VOXEL_NM)


def test_something_that_is_not_hdf5_is_named_by_its_first_bytes(tmp_path):
    path = tmp_path / "a.h5"
    path.write_bytes(b"what is this")
    assert "what is" in complaints(path)["not_hdf5"]


def test_an_empty_file_says_so(tmp_path):
    path = tmp_path / "a.h5"
    path.touch()
    assert "0 bytes" in complaints(path)["empty_file"]


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_truncated_file_says_to_send_it_again(tmp_path, keep):
    rng = np.random.default_rng(1)
    path = write_h5(tmp_path / "a.h5", rng.integers(1, 9, (40, 40, 40)).astype(np.uint64))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    assert "sha256sum" in complaints(path, VolumeSpec((40, 40, 40), VOXEL_NM))["truncated"]


def test_a_file_without_dataset_says_what_is_expected(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_group("nothing")
    assert "'main'" in complaints(path)["no_dataset"]


def test_two_candidate_datasets_are_both_listed(tmp_path):
    path = write_h5(tmp_path / "a.h5", two_axons(), dataset="one")
    with h5py.File(path, "a") as file:
        file["two"] = two_axons()
    message = complaints(path)["ambiguous_dataset"]
    assert "'one'" in message
    assert "'two'" in message


def test_main_wins_over_another_candidate(tmp_path):
    path = write_h5(tmp_path / "a.h5", two_axons(), dataset="other")
    with h5py.File(path, "a") as file:
        file["main"] = two_axons()
    assert check_labels(path, SPEC).dataset == "main"


def test_cremi_layout_is_found(tmp_path):
    path = write_h5(tmp_path / "a.h5", two_axons(), dataset="volumes/labels/neuron_ids", resolution=VOXEL_NM)
    assert check_labels(path, SPEC).voxel_size_nm_zyx == VOXEL_NM


def test_a_wrong_shape_names_both_shapes(tmp_path):
    message = complaints(write_h5(tmp_path / "a.h5", two_axons((12, 24, 19))))["wrong_shape"]
    assert "12 x 24 x 19" in message
    assert "12 x 24 x 20" in message


def test_a_downsampled_volume_is_recognised(tmp_path):
    message = complaints(write_h5(tmp_path / "a.h5", two_axons()[:, ::2, ::2]))["wrong_shape"]
    assert "downsampled by 1 x 2 x 2" in message
    assert "If they are cropped, submit the whole volume" in message


@pytest.mark.parametrize("axes", [(2, 1, 0), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1)])
def test_swapped_axes_come_with_the_transpose_that_mends_them(tmp_path, axes):
    swapped = two_axons().transpose(axes)
    message = complaints(write_h5(tmp_path / "a.h5", swapped))["swapped_axes"]
    back = tuple(int(c) for c in message.split("transpose(")[1].split(")")[0].split(","))
    assert swapped.transpose(back).shape == SHAPE


def test_float_labels_are_refused_with_the_cast(tmp_path):
    assert "astype(np.uint64)" in complaints(write_h5(tmp_path / "a.h5", two_axons().astype(np.float32)))["wrong_dtype"]


def test_four_dimensions_are_refused(tmp_path):
    assert "squeeze" in complaints(write_h5(tmp_path / "a.h5", two_axons()[None]))["wrong_ndim"]


def test_a_negative_label_is_located(tmp_path):
    labels = two_axons().astype(np.int64)
    labels[3, 4, 5] = -7
    message = complaints(write_h5(tmp_path / "a.h5", labels))["negative_label"]
    assert "-7" in message
    assert "(3, 4, 5)" in message


def test_a_wrong_voxel_size_names_both(tmp_path):
    message = complaints(write_h5(tmp_path / "a.h5", two_axons(), voxel_size_nm=(40, 7, 7)))["wrong_voxel_size"]
    assert "40 x 7 x 7" in message
    assert "30 x 8 x 8" in message


def test_a_voxel_size_in_xyz_order_is_recognised(tmp_path):
    message = complaints(write_h5(tmp_path / "a.h5", two_axons(), voxel_size_nm=(8, 8, 30)))["wrong_voxel_size"]
    assert "x, y, z" in message


def test_a_volume_of_background_is_refused(tmp_path):
    assert "background" in complaints(write_h5(tmp_path / "a.h5", np.zeros(SHAPE, np.uint32)))["all_background"]


def test_a_volume_of_one_label_is_refused(tmp_path):
    assert "label 5" in complaints(write_h5(tmp_path / "a.h5", np.full(SHAPE, 5, np.uint32)))["one_label"]


def test_a_dataset_that_was_never_written_is_all_background(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("main", shape=SHAPE, dtype=np.uint32, chunks=(4, 8, 8), compression="gzip")
    assert "all_background" in complaints(path)


def test_all_complaints_come_at_once(tmp_path):
    path = write_h5(tmp_path / "a.h5", np.zeros(SHAPE, np.uint32), voxel_size_nm=(1, 1, 1))
    assert complaints(path).keys() == {"wrong_voxel_size", "all_background"}


@pytest.mark.parametrize("leading", [(), (1,)])
def test_a_wrong_dtype_hides_neither_shape_nor_voxel_size(tmp_path, leading):
    labels = two_axons((12, 24, 19)).astype(np.float32).reshape(*leading, 12, 24, 19)
    found = complaints(write_h5(tmp_path / "a.h5", labels, voxel_size_nm=(1, 1, 1)))
    assert found.keys() == {"wrong_dtype", "wrong_shape", "wrong_voxel_size"} | ({"wrong_ndim"} if leading else set())


def test_a_mask_of_floats_is_told_as_a_mask(tmp_path):
    with pytest.raises(InputError, match="booleans or integers") as caught:
        open_labels(write_h5(tmp_path / "a.h5", np.ones(SHAPE, np.float32)), mask=True)
    assert "abels" not in str(caught.value)


def test_a_mask_in_place_of_labels_is_told_apart(tmp_path):
    assert "connected components" in complaints(write_h5(tmp_path / "a.h5", two_axons() > 0))["wrong_dtype"]


def test_a_link_into_another_file_is_never_followed(tmp_path):
    secret = write_h5(tmp_path / "secret.h5", two_axons())
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["main"] = h5py.ExternalLink(str(secret), "main")
    assert "external_link" in complaints(path)


def test_external_and_virtual_storage_are_never_read(tmp_path):
    secret = write_h5(tmp_path / "secret.h5", two_axons())
    virtual = tmp_path / "virtual.h5"
    with h5py.File(virtual, "w") as file:
        layout = h5py.VirtualLayout(SHAPE, np.uint64)
        layout[...] = h5py.VirtualSource(str(secret), "main", SHAPE)
        file.create_virtual_dataset("main", layout)
    external = tmp_path / "external.h5"
    with h5py.File(external, "w") as file:
        size = h5py.h5f.UNLIMITED
        file.create_dataset("main", SHAPE, np.uint64, external=[(str(secret), 0, size)])
    assert "external_storage" in complaints(virtual)
    assert "external_storage" in complaints(external)


def test_a_corrupt_chunk_is_located(tmp_path):
    rng = np.random.default_rng(0)
    path = write_h5(tmp_path / "a.h5", rng.integers(1, 5, SHAPE).astype(np.int32))
    with h5py.File(path) as file:
        where = file["main"].id.get_chunk_info(0)
    with open(path, "r+b") as file:
        file.seek(where.byte_offset + where.size // 2)
        file.write(b"\xff" * 16)
    assert "(0, 0, 0)" in complaints(path)["damaged_chunk"]
