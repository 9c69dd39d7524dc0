"""The same labels through every format: shape, axes, voxel size and labels come out alike."""

import gzip
import json
import shutil
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import tensorstore
import tifffile
import zarr

from axonem_eval import InputError, VolumeSpec
from axonem_eval.sampling import sample_nodes
from axonem_eval.volumes import check_labels, open_labels

SHAPE = (20, 33, 47)
LABELS = np.random.default_rng(3).integers(0, 2**40, SHAPE, dtype=np.uint64)
LABELS[:, :5] = 7


def zarr_array(path: Path, labels: np.ndarray = LABELS, **options) -> Path:
    """An array, in the root of the store where no name is given."""
    options = {"chunks": (8, 16, 16), "zarr_format": 3, **options}
    array = zarr.create_array(store=path, shape=labels.shape, dtype=labels.dtype, **options)
    array[:] = labels
    return path


def zipped(path: Path) -> Path:
    return Path(shutil.make_archive(str(path), "zip", path))


def precomputed(path: Path, encoding: str = "raw", sharded: bool = False, labels: np.ndarray = LABELS, **scale) -> Path:
    """A precomputed volume written by tensorstore; voxels of 8 x 16 x 30 nm (x,y,z)."""
    dtype = str(labels.dtype)
    metadata = {"resolution": [8, 16, 30], "encoding": encoding, "chunk_size": [16, 8, 4], "size": labels.shape[::-1]}
    if encoding == "compressed_segmentation":
        metadata["compressed_segmentation_block_size"] = [8, 8, 8]
    if sharded:
        metadata["sharding"] = {
            "@type": "neuroglancer_uint64_sharded_v1",
            "preshift_bits": 1,
            "minishard_bits": 2,
            "shard_bits": 1,
            "hash": "identity",
            "data_encoding": "gzip",
            "minishard_index_encoding": "gzip",
        }
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": f"{path}/"},
        "multiscale_metadata": {"data_type": dtype, "num_channels": 1, "type": "segmentation"},
        "scale_metadata": {**metadata, **scale},
    }
    store = tensorstore.open(spec, create=True).result()
    store[...] = labels.T[..., None]
    return path


def tiff(path: Path, labels: np.ndarray = LABELS, **options) -> Path:
    tifffile.imwrite(path, labels, photometric="minisblack", **options)
    return path


def ome(path: Path, version: int) -> Path:
    """A pyramid of two levels of which the first is the full resolution, with leading axes t and c."""
    group = zarr.open_group(path, mode="w", zarr_format=version)
    for level, labels in enumerate((LABELS, LABELS[::2, ::2, ::2])):
        group.create_array(str(level), data=labels[None, None], chunks=(1, 1, 8, 16, 16))
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "tczyx"]
    scale = [{"type": "scale", "scale": [1, 1, 0.03, 0.008, 0.008]}]
    multiscales = [{"axes": axes, "datasets": [{"path": str(i), "coordinateTransformations": scale} for i in (0, 1)]}]
    group.attrs.update({"multiscales": multiscales} if version == 2 else {"ome": {"multiscales": multiscales}})
    return path


def folder_of_tiffs(path: Path) -> Path:
    path.mkdir()
    for z, section in enumerate(LABELS):
        tiff(path / f"seg_{z + 8}.tif", section, compression="zlib")
    return path


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


def complaint(path: Path, code: str) -> str:
    """The message of the one complaint about a file, which has that code."""
    with pytest.raises(InputError) as caught, open_labels(path) as volume:
        volume.read(tuple(slice(0, n) for n in volume.shape_zyx))
    assert [c.code for c in caught.value.complaints] == [code]
    return caught.value.complaints[0].message


def test_a_float_array_is_named(tmp_path):
    assert "float32" in complaint(zarr_array(tmp_path / "a.zarr", LABELS.astype(np.float32)), "wrong_dtype")
    assert "float32" in complaint(tiff(tmp_path / "a.tif", LABELS.astype(np.float32)), "wrong_dtype")
    assert "float32" in complaint(precomputed(tmp_path / "p", labels=LABELS.astype(np.float32)), "wrong_dtype")


def test_axes_named_x_y_z_are_refused(tmp_path):
    path = zarr_array(tmp_path / "a.zarr", dimension_names=["x", "y", "z"])
    assert "x, y, z" in complaint(path, "swapped_axes")


def test_a_folder_of_something_else_says_what_is_read(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    assert "zarr.json" in complaint(tmp_path, "unknown_format")


def test_a_damaged_chunk_is_named_without_our_paths(tmp_path):
    path = zarr_array(tmp_path / "a.zarr")
    chunk = path / "c" / "1" / "0" / "2"
    chunk.write_bytes(chunk.read_bytes()[:100])
    message = complaint(path, "damaged_chunk")
    assert "c/1/0/2" in message
    assert str(tmp_path) not in message


def test_a_damaged_section_is_named(tmp_path):
    path = tiff(tmp_path / "a.tif", compression="zlib")
    data = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        offset, size = file.pages[4].dataoffsets[0], file.pages[4].databytecounts[0]
    path.write_bytes(data[:offset] + bytes(size) + data[offset + size :])
    assert "section 4" in complaint(path, "damaged_chunk")


def test_a_missing_section_is_named(tmp_path):
    (folder_of_tiffs(tmp_path / "a") / "seg_12.tif").unlink()
    assert "number 12" in complaint(tmp_path / "a", "missing_section")


def test_a_colour_image_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 30, 3), np.uint8), photometric="rgb")
    complaint(tmp_path / "a.tif", "wrong_ndim")


def test_precomputed_chunks_packed_by_a_web_server_are_not_read_as_background(tmp_path):
    path = precomputed(tmp_path / "a")
    for chunk in (path / json.loads((path / "info").read_text())["scales"][0]["key"]).iterdir():
        chunk.rename(f"{chunk}.gz")
    assert "gunzip" in complaint(path, "packed_chunks")


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
    assert "axonem[formats]" in complaint(zarr_array(tmp_path / "a.zarr"), "missing_extra")
    (tmp_path / "a.tif").write_bytes(b"II*\0" + bytes(20))
    assert "axonem[formats]" in complaint(tmp_path / "a.tif", "missing_extra")
