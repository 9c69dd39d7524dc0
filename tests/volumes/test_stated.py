"""The voxel size that a file states: forms and units that are understood, and words about those that are not."""

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from axonem_eval import InputError, VolumeSpec
from axonem_eval.volumes import check_labels, open_labels
from tests.label_files import SHAPE as SMALL
from tests.label_files import VOXEL_NM, two_axons, write_h5
from tests.volumes.written_labels import LABELS, SHAPE, ome, tiff

SPEC = VolumeSpec(SMALL, VOXEL_NM)


def info_of(path):
    with open_labels(path) as volume:
        return volume.info


def h5_with(tmp_path, **attributes):
    return info_of(write_h5(tmp_path / "a.h5", two_axons(), **attributes))


@pytest.mark.parametrize(
    "value",
    [
        [30, 8, 8],
        np.array([[30, 8, 8]]),
        np.array([[30.0], [8.0], [8.0]]),
        np.array([30, 8, 8], ">f8"),
        "30,8,8",
        b"30 8 8",
        "[30, 8, 8]",
        "30 x 8 x 8 nm",
        "0.03 x 0.008 x 0.008 um",
        "0.03, 0.008, 0.008 \N{MICRO SIGN}m",
        np.array(["30", "8", "8"], dtype=h5py.string_dtype()),
    ],
    ids=repr,
)
def test_a_stated_size_is_understood_in_the_usual_forms(tmp_path, value):
    info = h5_with(tmp_path, resolution=value)
    assert info.voxel_size_nm_zyx == pytest.approx(VOXEL_NM)
    assert not info.warnings


@pytest.mark.parametrize("value", [8, 8.0, "8", np.array([[8]])], ids=repr)
def test_one_number_is_the_size_along_each_axis(tmp_path, value):
    assert h5_with(tmp_path, voxel_size=value).voxel_size_nm_zyx == (8, 8, 8)


@pytest.mark.parametrize(
    "value", ["abc", "30,8", [30, 8], [30, 8, 0], [30, 8, np.nan], np.ones((3, 3)), h5py.Empty("f4")], ids=repr
)
def test_a_form_that_is_not_understood_is_said(tmp_path, value):
    info = h5_with(tmp_path, resolution=value)
    assert info.voxel_size_nm_zyx is None
    assert len(info.warnings) == 1
    assert "a.h5: states resolution" in info.warnings[0]
    assert "not understood" in info.warnings[0]


@pytest.mark.parametrize("unit", ["um", "micrometer", "\N{MICRO SIGN}m", "\N{GREEK SMALL LETTER MU}m", ["um"] * 3])
def test_a_unit_beside_the_size_counts(tmp_path, unit):
    assert h5_with(tmp_path, voxel_size=[0.03, 0.008, 0.008], units=unit).voxel_size_nm_zyx == pytest.approx(VOXEL_NM)


def test_a_unit_that_is_not_known_is_said(tmp_path):
    info = h5_with(tmp_path, voxel_size=[30, 8, 8], units="furlong")
    assert info.voxel_size_nm_zyx is None
    assert "'furlong'" in info.warnings[0]


def test_an_offset_is_shown_and_not_used(tmp_path):
    info = h5_with(tmp_path, resolution=VOXEL_NM, offset=[1200, 0, 64])
    assert info.offset == "offset [1200, 0, 64]"
    assert h5_with(tmp_path, offset=[0, 0, 0]).offset == ""


@pytest.mark.parametrize(
    ("stated", "like"),
    [
        ((0.03, 0.008, 0.008), "um"),
        ((30e-9, 8e-9, 8e-9), "m"),
        ((300, 80, 80), "angstrom"),
        ((30e3, 8e3, 8e3), "nm that were called um"),
        ((8, 8, 30), "x, y, z"),
        ((0.008, 0.008, 0.03), "x, y, z in um"),
    ],
)
def test_what_a_wrong_size_reads_like_is_said(tmp_path, stated, like):
    with pytest.raises(InputError, match=f"reads like {like}\\. "):
        check_labels(write_h5(tmp_path / "a.h5", two_axons(), resolution=stated), SPEC)


OME_UNITS = {
    "nanometer": 1, "micrometer": 1e-3, "\N{MICRO SIGN}m": 1e-3, "\N{GREEK SMALL LETTER MU}m": 1e-3, "angstrom": 10,
    "meter": 1e-9, "millimeter": 1e-6, "picometer": 1e3, "nm": 1, "micrometre": 1e-3, "\N{ANGSTROM SIGN}": 10,
}  # fmt: skip


def ome_of(path, unit, scale, whole=None, axes="zyx", labels=LABELS):
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.create_array("0", data=labels, chunks=tuple(min(16, n) for n in labels.shape))
    multiscale = {
        "axes": [{"name": n, "type": "space", **({"unit": unit} if unit else {})} for n in axes],
        "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}],
    }
    if whole:
        multiscale["coordinateTransformations"] = [{"type": "scale", "scale": whole}]
    group.attrs["multiscales"] = [multiscale]
    return path


@pytest.mark.parametrize("unit", OME_UNITS)
def test_ome_units_become_nm(tmp_path, unit):
    info = info_of(ome_of(tmp_path / "a.zarr", unit, [n * OME_UNITS[unit] for n in VOXEL_NM]))
    assert info.voxel_size_nm_zyx == pytest.approx(VOXEL_NM)


def test_the_scale_of_the_whole_pyramid_comes_after_that_of_a_level(tmp_path):
    path = ome_of(tmp_path / "a.zarr", "nanometer", [1, 1, 2], whole=[30, 8, 4])
    assert info_of(path).voxel_size_nm_zyx == VOXEL_NM


@pytest.mark.parametrize(("unit", "said"), [("furlong", "'furlong'"), (None, "without a unit")])
def test_an_ome_scale_that_is_not_understood_is_said(tmp_path, unit, said):
    info = info_of(ome_of(tmp_path / "a.zarr", unit, [30, 8, 8]))
    assert info.voxel_size_nm_zyx is None
    assert said in info.warnings[0]


def test_axes_are_found_by_their_names(tmp_path):
    path = ome_of(tmp_path / "a.zarr", "nanometer", [30, 8, 8, 1], axes="zyxc", labels=LABELS[..., None])
    info = check_labels(path, VolumeSpec(SHAPE, VOXEL_NM))
    assert (info.voxel_size_nm_zyx, info.chunks_stored) == (VOXEL_NM, info.chunks_total)


def test_axes_in_another_order_are_named_and_the_remedy_works(tmp_path):
    labels = LABELS.T[None]
    path = ome_of(tmp_path / "a.zarr", "nanometer", [1, 8, 8, 30], axes="cxyz", labels=labels)
    with pytest.raises(InputError, match=r"x, y, z.*Transpose"):
        open_labels(path)
    path = ome_of(tmp_path / "b.zarr", "nanometer", [1, 30, 8, 8], axes="czyx", labels=labels.transpose(0, 3, 2, 1))
    with open_labels(path) as volume:
        np.testing.assert_array_equal(volume.read(tuple(slice(0, n) for n in SHAPE)), LABELS)


def test_imagej_and_ome_tiff_units_are_understood_or_said(tmp_path):
    small = LABELS.astype(np.uint16)
    for unit, size in (("um", VOXEL_NM), ("\\u00B5m", VOXEL_NM), ("furlong", None)):
        metadata = {"spacing": 0.03, "unit": unit, "axes": "ZYX"}
        tifffile.imwrite(tmp_path / "a.tif", small, imagej=True, resolution=(125.0, 125.0), metadata=metadata)
        info = info_of(tmp_path / "a.tif")
        assert info.voxel_size_nm_zyx == (pytest.approx(size) if size else None)
        assert bool(info.warnings) == (size is None)
    sizes = {f"PhysicalSize{a}": s / 1000 for a, s in zip("ZYX", VOXEL_NM, strict=True)}
    tiff(tmp_path / "b.ome.tif", small, metadata={"axes": "ZYX", **sizes})
    assert info_of(tmp_path / "b.ome.tif").voxel_size_nm_zyx == pytest.approx(VOXEL_NM)


def test_ome_of_both_versions_still_reads_alike(tmp_path):
    assert info_of(ome(tmp_path / "a.zarr", 2)).voxel_size_nm_zyx == pytest.approx(VOXEL_NM)
    assert info_of(ome(tmp_path / "b.zarr", 3)).voxel_size_nm_zyx == pytest.approx(VOXEL_NM)
