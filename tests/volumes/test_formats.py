"""The same labels through every format: shape, axes, voxel size and labels come out alike."""

import gzip
import json
import shutil
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import tifffile
import zarr

from axonem_eval import InputError, VolumeSpec
from axonem_eval.sampling import sample_nodes
from axonem_eval.volumes import check_labels, open_labels
from tests.volumes.written_labels import (
    LABELS,
    SHAPE,
    assert_refused,
    folder_of_tiffs,
    ome,
    precomputed,
    tiff,
    zarr_array,
    zipped,
)

MAKERS = {
    "zarr2": lambda p: zarr_array(p / "a.zarr", zarr_format=2),
    "zarr2 blosc F": lambda p: zarr_array(p / "a.zarr", zarr_format=2, order="F", compressors=numcodecs.Blosc("lz4")),
    "zarr2 zlib": lambda p: zarr_array(p / "a.zarr", zarr_format=2, compressors=numcodecs.Zlib(3)),
    "zarr2 big-endian": lambda p: zarr_array(p / "a.zarr", LABELS.astype(">u8"), zarr_format=2),
    "zarr3": lambda p: zarr_array(p / "a.zarr"),
    "zarr3 gzip": lambda p: zarr_array(p / "a.zarr", compressors=zarr.codecs.GzipCodec()),
    "zarr3 sharded": lambda p: zarr_array(p / "a.zarr", chunks=(4, 8, 8), shards=(8, 16, 32)),
    "zarr3 sharded zip": lambda p: zipped(zarr_array(p / "a.zarr", chunks=(4, 8, 8), shards=(8, 16, 32))),
    "zarr3 group": lambda p: zarr_array(p / "a.zarr", name="some/where").parent / "a.zarr",
    "zarr2 zip": lambda p: zipped(zarr_array(p / "a.zarr", zarr_format=2)),
    "zip with a top folder": lambda p: Path(
        shutil.make_archive(str(p / "b"), "zip", zarr_array(p / "a.zarr").parent, "a.zarr")
    ),
    "ome 0.4": lambda p: ome(p / "a.zarr", 2),
    "ome 0.5": lambda p: ome(p / "a.zarr", 3),
    "precomputed raw": lambda p: precomputed(p / "a"),
    "precomputed compressed": lambda p: precomputed(p / "a", "compressed_segmentation"),
    "precomputed sharded": lambda p: precomputed(p / "a", "compressed_segmentation", sharded=True),
    "precomputed offset": lambda p: precomputed(p / "a", voxel_offset=[100, 20, 3]),
    "precomputed zip": lambda p: zipped(precomputed(p / "a")),
    "tiff": lambda p: tiff(p / "a.tif"),
    "tiff big-endian": lambda p: tiff(p / "a.tif", byteorder=">"),
    "bigtiff zlib": lambda p: tiff(p / "a.tif", bigtiff=True, compression="zlib"),
    "tiff lzw tiles": lambda p: tiff(p / "a.tif", compression="lzw", tile=(16, 16)),
    "tiff folder": lambda p: folder_of_tiffs(p / "a"),
}


@pytest.mark.parametrize("name", MAKERS)
def test_every_format_gives_the_same_labels(tmp_path, name):
    spec = VolumeSpec(SHAPE, (30.0, 16.0, 8.0) if "precomputed" in name else (30.0, 8.0, 8.0))
    path = MAKERS[name](tmp_path)
    info = check_labels(path, spec)
    nodes = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1).reshape(-1, 3)
    with open_labels(path) as volume:
        sample = sample_nodes(volume, nodes.astype(np.int32))
        box = volume.read((slice(3, 11), slice(15, 18), slice(30, 47)))
    np.testing.assert_array_equal(sample.node_segment.reshape(SHAPE), LABELS)
    np.testing.assert_array_equal(box, LABELS[3:11, 15:18, 30:47])
    assert info.stored_bytes > 0


def test_a_named_array_is_read_from_a_group(tmp_path):
    zarr_array(tmp_path / "a.zarr", name="one")
    zarr_array(tmp_path / "a.zarr", LABELS + np.uint64(1), name="two")
    with open_labels(f"{tmp_path / 'a.zarr'}:two") as volume:
        assert volume.read((slice(0, 1),) * 3)[0, 0, 0] == LABELS[0, 0, 0] + 1


def test_main_is_preferred_in_a_group(tmp_path):
    zarr_array(tmp_path / "a.zarr", name="other")
    zarr_array(tmp_path / "a.zarr", name="main")
    with open_labels(tmp_path / "a.zarr") as volume:
        assert volume.info.dataset == "main"


def test_the_voxel_size_is_read_from_each_format(tmp_path):
    array = zarr.open_array(zarr_array(tmp_path / "a.zarr"))
    array.attrs["voxel_size_nm"] = [30, 8, 8]
    small = LABELS.astype(np.uint16)
    metadata = {"spacing": 0.03, "unit": "um", "axes": "ZYX"}
    tifffile.imwrite(tmp_path / "a.tif", small, imagej=True, resolution=(125.0, 125.0), metadata=metadata)
    paths = [tmp_path / "a.zarr", tmp_path / "a.tif", ome(tmp_path / "o.zarr", 3), precomputed(tmp_path / "p")]
    sizes = [(30, 8, 8), (30, 8, 8), (30, 8, 8), (30, 16, 8)]
    for path, size in zip(paths, sizes, strict=True):
        with open_labels(path) as volume:
            assert volume.info.voxel_size_nm_zyx == pytest.approx(size)


def test_a_float_array_is_named(tmp_path):
    said = assert_refused(zarr_array(tmp_path / "a.zarr", LABELS.astype(np.float32)), "wrong_dtype")
    assert "float32 has rounded ids above 16,777,216" in said
    assert "float32" in assert_refused(tiff(tmp_path / "a.tif", LABELS.astype(np.float32)), "wrong_dtype")
    assert "float32" in assert_refused(precomputed(tmp_path / "p", labels=LABELS.astype(np.float32)), "wrong_dtype")


def test_axes_named_x_y_z_are_refused(tmp_path):
    path = zarr_array(tmp_path / "a.zarr", dimension_names=["x", "y", "z"])
    assert "x, y, z" in assert_refused(path, "swapped_axes")


def test_arrays_beside_each_other_keep_their_whole_names(tmp_path):
    for name in ("a.zarr", "long.zarr"):
        zarr_array(tmp_path / "in" / name)
    archive = zipped(tmp_path / "in")
    assert "'long.zarr'" in assert_refused(archive, "ambiguous_dataset")
    with open_labels(f"{archive}:long.zarr") as volume:
        assert volume.info.dataset == "long.zarr"


def test_chunks_without_their_description_are_told_from_other_files(tmp_path):
    path = zarr_array(tmp_path / "a.zarr", zarr_format=2)
    (path / ".zarray").unlink()
    (path / ".zattrs").unlink(missing_ok=True)
    assert "begin with a dot" in assert_refused(path, "unknown_format")


def test_an_archive_in_an_archive_is_named(tmp_path):
    (tmp_path / "outer").mkdir()
    zipped(zarr_array(tmp_path / "a.zarr")).rename(tmp_path / "outer" / "a.zip")
    assert "a.zip, an archive within it" in assert_refused(zipped(tmp_path / "outer"), "unknown_format")


def test_a_folder_of_something_else_says_what_is_read(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    assert "zarr.json" in assert_refused(tmp_path, "unknown_format")


def test_a_damaged_chunk_is_named_without_our_paths(tmp_path):
    path = zarr_array(tmp_path / "a.zarr")
    chunk = path / "c" / "1" / "0" / "2"
    chunk.write_bytes(chunk.read_bytes()[:100])
    message = assert_refused(path, "damaged_chunk")
    assert "c/1/0/2" in message
    assert str(tmp_path) not in message


def test_a_damaged_section_is_named(tmp_path):
    path = tiff(tmp_path / "a.tif", compression="zlib")
    data = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        offset, size = file.pages[4].dataoffsets[0], file.pages[4].databytecounts[0]
    path.write_bytes(data[:offset] + bytes(size) + data[offset + size :])
    assert "section 4" in assert_refused(path, "damaged_chunk")


def test_a_missing_section_is_named(tmp_path):
    (folder_of_tiffs(tmp_path / "a") / "seg_12.tif").unlink()
    assert "number 12" in assert_refused(tmp_path / "a", "missing_section")


def test_a_colour_image_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 30, 3), np.uint8), photometric="rgb")
    assert_refused(tmp_path / "a.tif", "wrong_ndim")


@pytest.mark.parametrize("axes", ["CZYX", "TZYX", "TCYX", "TCZYX"])
def test_an_ome_tiff_of_more_than_z_y_and_x_is_refused(tmp_path, axes):
    labels = LABELS.astype(np.uint32).reshape(*(2,) * (len(axes) - 3), -1, *SHAPE[1:])
    tifffile.imwrite(tmp_path / "a.ome.tif", labels, photometric="minisblack", metadata={"axes": axes})
    assert f"Size{axes[0]}=2" in assert_refused(tmp_path / "a.ome.tif", "wrong_ndim")


@pytest.mark.parametrize("axes", ["ZYX", "TYX", "CYX", "TCZYX"])
def test_an_ome_tiff_of_one_stack_is_read_whatever_its_axis_is_called(tmp_path, axes):
    labels = LABELS.astype(np.uint32).reshape(*(1,) * (len(axes) - 3), *SHAPE)
    tifffile.imwrite(tmp_path / "a.ome.tif", labels, photometric="minisblack", metadata={"axes": axes})
    with open_labels(tmp_path / "a.ome.tif") as volume:
        np.testing.assert_array_equal(volume.read(tuple(slice(0, n) for n in SHAPE)), labels.reshape(SHAPE))


def test_precomputed_chunks_packed_by_a_web_server_are_not_read_as_background(tmp_path):
    path = precomputed(tmp_path / "a")
    for chunk in (path / json.loads((path / "info").read_text())["scales"][0]["key"]).iterdir():
        chunk.rename(f"{chunk}.gz")
    assert "gunzip" in assert_refused(path, "packed_chunks")


def test_precomputed_chunks_packed_under_their_own_names_are_told_from_damaged_ones(tmp_path):
    path = precomputed(tmp_path / "a")
    chunks = list((path / json.loads((path / "info").read_text())["scales"][0]["key"]).iterdir())
    for chunk in chunks:
        chunk.write_bytes(gzip.compress(chunk.read_bytes()))
    with open_labels(path) as volume, pytest.raises(InputError, match=r"packed with gzip.*gunzip <FILE >NEW"):
        volume.read_chunk(0)
    for chunk in chunks:
        chunk.write_bytes(gzip.decompress(chunk.read_bytes()))
    with open_labels(path) as volume:
        np.testing.assert_array_equal(volume.read(tuple(slice(0, n) for n in SHAPE)), LABELS)
    chunks[0].write_bytes(b"")
    with open_labels(path) as volume, pytest.raises(InputError, match="damaged"):
        volume.read(tuple(slice(0, n) for n in SHAPE))


@pytest.mark.parametrize("make", [precomputed, tiff, folder_of_tiffs])
def test_a_name_of_an_array_is_refused_where_none_can_be_chosen(tmp_path, make):
    path = make(tmp_path / "a")
    with pytest.raises(InputError, match="'16_32_30' cannot be chosen; give a without it"):
        open_labels(f"{path}:16_32_30")


def test_without_the_extra_the_complaint_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorstore", None)
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    assert "axonem[formats]" in assert_refused(zarr_array(tmp_path / "a.zarr"), "missing_extra")
    (tmp_path / "a.tif").write_bytes(b"II*\0" + bytes(20))
    assert "axonem[formats]" in assert_refused(tmp_path / "a.tif", "missing_extra")
