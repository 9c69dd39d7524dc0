"""Files that say which axis is which: the names that programs write, in HDF5 and in Zarr."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr

from axonem_eval import InputError, open_labels
from tests.label_files import two_axons, write_h5
from tests.volumes.written_labels import zarr_array

NAMES: dict[str, Callable[[str], Any]] = {
    "axes": list,
    "_ARRAY_DIMENSIONS": list,
    "axis_names": list,
    "transform": lambda order: {"axes": list(order), "scale": [1, 1, 1], "units": ["nm"] * 3},
    "axistags": lambda order: {"axes": [{"key": axis, "typeFlags": 2, "resolution": 0} for axis in order]},
}
# Of HDF5, whose attributes are no objects.
IN_HDF5: dict[str, Callable[[str], Any]] = {
    "axes": list,
    "axis_names": lambda order: np.array(list(order), "S1"),
    "_ARRAY_DIMENSIONS": lambda order: np.array(list(order), h5py.string_dtype()),
    "axistags": lambda order: json.dumps(NAMES["axistags"](order)),
}


def in_zarr(folder: Path, name: str, order: str) -> Path:
    path = zarr_array(folder / "a.zarr", zarr_format=2)
    zarr.open_array(path).attrs[name] = NAMES[name](order)
    return path


def in_hdf5(folder: Path, name: str, order: str) -> Path:
    return write_h5(folder / "a.h5", two_axons(), **{name: IN_HDF5[name](order)})


def by_scales(folder: Path, name: str, order: str) -> Path:
    path = write_h5(folder / "a.h5", two_axons())
    with h5py.File(path, "r+") as file:
        for dimension, axis in zip(file[name].dims, order, strict=True):
            dimension.label = axis
    return path


WRITTEN = [*((in_zarr, n) for n in NAMES), *((in_hdf5, n) for n in IN_HDF5), (by_scales, "main")]


@pytest.mark.parametrize(("write", "name"), WRITTEN)
def test_axes_are_turned_once_where_x_y_z_is_asked_for(tmp_path, write, name):
    """Named z,y,x they are in order already."""
    shapes = []
    for order in ("zyx", "xyz"):
        (tmp_path / order).mkdir()
        with open_labels(write(tmp_path / order, name, order), axes="xyz") as volume:
            shapes.append(volume.shape_zyx)
    assert shapes[0] == shapes[1][::-1]
    assert len(set(shapes[0])) == 3


@pytest.mark.parametrize(("write", "name"), WRITTEN)
def test_another_order_is_refused_with_both(tmp_path, write, name):
    with pytest.raises(InputError, match="name the axes x, z, y; expected z, y, x") as caught:
        open_labels(write(tmp_path, name, "xzy"))
    assert [c.code for c in caught.value.complaints] == ["swapped_axes"]


@pytest.mark.parametrize(
    "value",
    [
        "zyx",
        "{",
        "[" * 100_000,
        '{"axes": 3}',
        b"\xff\xfe",
        np.arange(3),
        h5py.Empty("f4"),
        np.array(["z", "y"], "S1"),
        np.zeros(3, [("a", "i4")]),
    ],
    ids=lambda value: repr(value)[:30],
)
@pytest.mark.parametrize("name", ["axes", "axistags", "DIMENSION_LABELS", "transform"])
def test_an_attribute_that_names_no_axes_is_passed_over(tmp_path, name, value):
    path = write_h5(tmp_path / "a.h5", two_axons())
    with h5py.File(path, "r+", libver="latest") as file:
        file["main"].attrs[name] = value
    open_labels(path).close()


def test_the_transform_of_janelia_states_the_voxel_size(tmp_path):
    path = zarr_array(tmp_path / "a.zarr", zarr_format=2)
    array = zarr.open_array(path)
    transform = {"axes": ["z", "y", "x"], "scale": [0.03, 0.008, 0.008], "translate": [0, 0, 4], "units": ["um"] * 3}
    for name in ("voxel_size_nm", "resolution"):
        array.attrs.pop(name, None)
    array.attrs["transform"] = transform
    with open_labels(path) as volume:
        assert volume.info.voxel_size_nm_zyx == pytest.approx((30, 8, 8))
        assert volume.info.offset_nm_zyx is None  # in um: not taken for nm
    array.attrs["transform"] = {**transform, "scale": [30, 8, 8], "units": ["nm"] * 3}
    with open_labels(path) as volume:
        assert volume.info.voxel_size_nm_zyx == (30, 8, 8)
        assert volume.info.offset_nm_zyx == (0, 0, 4)
