"""Chunks without data: counted by each format, and told by place."""

import json
import re

import h5py
import numpy as np
import pytest
import zarr

from axonem_eval import InputError, VolumeSpec
from axonem_eval.cli import main
from axonem_eval.volumes import check_labels, open_labels
from tests.label_files import straight_graph, two_axons
from tests.volumes.written_labels import LABELS, SHAPE, assert_refused, folder_of_tiffs, precomputed, tiff, zarr_array

# Voxels that hold something; all else was never written.
WRITTEN = (slice(0, 8), slice(0, 16), slice(16, 32))


def sparse_zarr(path, **options):
    array = zarr.create_array(
        store=path, shape=SHAPE, dtype="u8", **{"chunks": (8, 16, 16), "zarr_format": 3, "fill_value": 0, **options}
    )
    array[WRITTEN] = LABELS[WRITTEN]
    return path


def sparse_h5(path, **options):
    with h5py.File(path, "w") as file:
        data = file.create_dataset("main", SHAPE, "u8", chunks=(8, 16, 16), **options)
        data[WRITTEN] = LABELS[WRITTEN]
    return path


def sparse_precomputed(path, **scale):
    precomputed(path, **{"chunk_size": [16, 16, 8], **scale})
    for chunk in (path / "8_16_30").iterdir():
        x, y, z = (int(part.split("-")[0]) for part in chunk.name.split("_"))
        first = scale.get("voxel_offset", (0, 0, 0))
        if (x - first[0], y - first[1], z - first[2]) != (16, 0, 0):
            chunk.unlink()
    return path


SPARSE = {
    "zarr2": lambda p: sparse_zarr(p / "a.zarr", zarr_format=2),
    "zarr3": lambda p: sparse_zarr(p / "a.zarr"),
    "zarr3 with v2 names": lambda p: sparse_zarr(p / "a.zarr", chunk_key_encoding={"name": "v2", "separator": "."}),
    "precomputed": lambda p: sparse_precomputed(p / "a"),
    "precomputed offset": lambda p: sparse_precomputed(p / "a", voxel_offset=[100, 20, 3]),
    "hdf5": lambda p: sparse_h5(p / "a.h5", compression="gzip"),
    "hdf5 scaleoffset": lambda p: sparse_h5(p / "a.h5", scaleoffset=0),
}


@pytest.mark.parametrize("name", SPARSE)
def test_chunks_without_data_are_counted_and_placed(tmp_path, name):
    with open_labels(SPARSE[name](tmp_path)) as volume:
        assert (volume.info.chunks_stored, volume.info.chunks_total) == (1, 27)
        for chunk, stored in enumerate(volume.stored_chunks()):
            labels = volume.read(volume.chunk_box(chunk))
            assert stored == (labels != volume.fill_value).any()


def test_shards_are_what_is_counted(tmp_path):
    with open_labels(sparse_zarr(tmp_path / "a.zarr", chunks=(4, 8, 8), shards=(8, 16, 16))) as volume:
        assert (volume.info.chunks_stored, volume.info.chunks_total) == (1, 27)
        for chunk, stored in enumerate(volume.stored_chunks()):
            assert stored == (volume.read(volume.chunk_box(chunk)) != 0).any()


def sharded_precomputed(path, hashed_by="identity", preshift=0, minishard=1, shard=3):
    sharding = {
        "@type": "neuroglancer_uint64_sharded_v1",
        "hash": hashed_by,
        "preshift_bits": preshift,
        "minishard_bits": minishard,
        "shard_bits": shard,
        "data_encoding": "raw",
        "minishard_index_encoding": "raw",
    }
    return precomputed(path, sharding=sharding, labels=np.maximum(LABELS, 1), voxel_offset=[100, 20, 3])


@pytest.mark.parametrize("hashed_by", ["identity", "murmurhash3_x86_128"])
@pytest.mark.parametrize("bits", [(0, 0, 1), (0, 1, 3), (2, 2, 5), (1, 5, 1), (5, 0, 9)])
def test_chunks_of_a_missing_shard_are_counted_and_placed(tmp_path, hashed_by, bits):
    path = sharded_precomputed(tmp_path / "a", hashed_by, *bits)
    with open_labels(path) as volume:
        assert volume.stored_chunks().all()
        assert not volume.info.warnings
    shards = sorted(path.glob("*/*.shard"))
    assert len(shards) > 1
    for shard in shards[::2]:
        shard.unlink()
    with open_labels(path) as volume:
        labels = volume.read(tuple(slice(0, n) for n in SHAPE))
        size = volume.info.chunk_shape_zyx
        grid = np.ndindex(*(-(-n // c) for n, c in zip(SHAPE, size, strict=True)))
        read = [
            labels[tuple(slice(p * c, (p + 1) * c) for p, c in zip(place, size, strict=True))].any() for place in grid
        ]
        missing = read.count(False)
        assert (volume.info.chunks_stored, volume.info.chunks_total) == (len(read) - missing, len(read))
        assert f"{missing} of {len(read)} chunks have no file" in volume.info.warnings[0]
        for chunk, stored in enumerate(volume.stored_chunks()):
            assert stored == labels[volume.chunk_box(chunk)].any()


def test_a_sharded_volume_without_its_shards_is_refused(tmp_path):
    path = sharded_precomputed(tmp_path / "a")
    for shard in path.glob("*/*.shard"):
        shard.rename(shard.with_name(f"00{shard.name}"))
    assert "lead to 8_16_30/0.shard, and there lies 8_16_30/00" in assert_refused(path, "no_chunks")
    for shard in path.glob("*/*.shard"):
        shard.unlink()
    assert "no other file lies there" in assert_refused(path, "no_chunks")


def test_slabs_of_a_huge_chunk_are_stored_where_it_is(tmp_path):
    path = tmp_path / "a.h5"
    shape = (4, 4096, 4096)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("main", shape, "u4", chunks=(2, 4096, 4096), compression="gzip")
        data[:1] = 1
    with open_labels(path) as volume:
        assert volume.n_chunks > 2
        stored = volume.stored_chunks()
        np.testing.assert_array_equal(stored, [volume.chunk_origin(i)[0] < 2 for i in range(volume.n_chunks)])
        assert (volume.info.chunks_stored, volume.info.chunks_total) == (1, 2)


@pytest.mark.parametrize("make", [lambda p: zarr_array(p / "a"), lambda p: precomputed(p / "a")])
def test_a_full_store_has_every_chunk(tmp_path, make):
    with open_labels(make(tmp_path)) as volume:
        assert volume.stored_chunks().all()
        assert volume.info.chunks_stored == volume.info.chunks_total > 1


@pytest.mark.parametrize("make", [lambda p: tiff(p / "a.tif"), lambda p: folder_of_tiffs(p / "a")])
def test_tiff_always_stores_all(tmp_path, make):
    with open_labels(make(tmp_path)) as volume:
        assert volume.stored_chunks() is None
        assert (volume.info.chunks_stored, volume.info.chunks_total) == (None, SHAPE[0])


@pytest.mark.parametrize("name", SPARSE)
def test_missing_chunks_are_warned_of_and_the_file_is_taken(tmp_path, name):
    size = (30.0, 16.0, 8.0) if "precomputed" in name else (30.0, 8.0, 8.0)
    warnings = check_labels(SPARSE[name](tmp_path), VolumeSpec(SHAPE, size)).warnings
    assert len(warnings) == 1
    assert "26 of 27 chunks" in warnings[0]
    assert "background" in warnings[0]


def test_what_missing_chunks_read_as_is_said(tmp_path):
    with open_labels(sparse_zarr(tmp_path / "a.zarr", fill_value=7)) as volume:
        assert "read as label 7" in volume.info.warnings[0]


def test_info_check_and_score_say_how_many_chunks_are_missing(tmp_path, capsys):
    labels, gt = two_axons((12, 24, 20)), str(tmp_path / "gt.npz")
    path = zarr_array(tmp_path / "seg.zarr", labels, chunks=(12, 12, 10))
    (path / "c" / "0" / "1" / "1").unlink()
    straight_graph().save(gt)
    for command in (["info"], ["check", "--ground-truth", gt], ["score", "--ground-truth", gt]):
        assert main([command[0], str(path), *command[1:], "--json"]) == 0
        told = capsys.readouterr()
        assert "warning: seg.zarr: 1 of 4 chunks have no file" in told.err
        json.loads(told.out)


def edited(path, change):
    metadata = json.loads(path.read_text())
    change(metadata)
    path.write_text(json.dumps(metadata))


def separator(path, change):
    edited(path / ("zarr.json" if (path / "zarr.json").exists() else ".zarray"), change)
    return path


V2_NESTED = {"zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}}
# What is wrong with the metadata, by which a remedy is to be found in the complaint, and how that is done.
ELSEWHERE = {
    "v2 nested, default": (V2_NESTED, lambda m: m.pop("dimension_separator")),
    "v2 flat, says nested": ({"zarr_format": 2}, lambda m: m.update(dimension_separator="/")),
    "v3 nested, says dots": ({}, lambda m: m["chunk_key_encoding"]["configuration"].update(separator=".")),
    "v3 nested, says v2": ({}, lambda m: m.update(chunk_key_encoding={"name": "v2"})),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_chunks_that_lie_elsewhere_are_named_and_the_remedy_works(tmp_path, name):
    options, damage = ELSEWHERE[name]
    path = separator(zarr_array(tmp_path / "a.zarr", **options), damage)
    message = assert_refused(path, "no_chunks")
    assert "the metadata lead to" in message
    remedy = json.loads(f"{{{re.search(r'(?:add|write) (.*) (?:to .zarray|in zarr.json)', message).group(1)}}}")
    separator(path, lambda m: m.update(remedy))
    with open_labels(path) as volume:
        np.testing.assert_array_equal(volume.read(tuple(slice(0, n) for n in SHAPE)), LABELS)


def test_a_wrong_key_of_a_scale_is_named_and_the_remedy_works(tmp_path):
    path = precomputed(tmp_path / "a")
    (path / "8_16_30").rename(path / "8.0_16.0_30.0")
    message = assert_refused(path, "no_chunks")
    assert "lead to 8_16_30/0-16_0-8_0-4" in message
    assert '"key": "8.0_16.0_30.0"' in message
    edited(path / "info", lambda info: info["scales"][0].update(key="8.0_16.0_30.0"))
    with open_labels(path) as volume:
        assert volume.stored_chunks().all()


def test_files_of_a_later_scale_are_named_and_the_remedy_works(tmp_path):
    path = precomputed(tmp_path / "a")

    def put_before(info):
        (scale,) = info["scales"]
        info["scales"] = [{**scale, "key": "4_8_30", "size": [2 * n for n in scale["size"]]}, scale]

    edited(path / "info", put_before)
    assert "lies 8_16_30/" in (message := assert_refused(path, "no_chunks"))
    assert "of another scale. Only the first scale is read: remove the scales before it" in message
    edited(path / "info", lambda info: info["scales"].pop(0))
    with open_labels(path) as volume:
        assert volume.stored_chunks().all()


def test_a_wrong_offset_is_named(tmp_path):
    path = precomputed(tmp_path / "a")
    edited(path / "info", lambda info: info["scales"][0].update(voxel_offset=[7, 7, 7]))
    assert "voxel_offset" in assert_refused(path, "no_chunks")


@pytest.mark.parametrize("make", [lambda p: sparse_zarr(p / "a"), lambda p: sparse_precomputed(p / "a")])
def test_a_store_without_any_chunk_is_refused(tmp_path, make):
    path = make(tmp_path)
    for chunk in [p for p in path.rglob("*") if p.is_file() and p.name not in ("info", "zarr.json")]:
        chunk.unlink()
    assert "no other file lies there" in assert_refused(path, "no_chunks")


def test_an_empty_mask_needs_no_chunk(tmp_path):
    path = zarr_array(tmp_path / "a.zarr", np.zeros(SHAPE, bool))
    with open_labels(path, mask=True) as volume:
        assert not volume.stored_chunks().any()


def test_check_says_that_no_chunk_was_ever_written(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("main", (30, 10, 10), "u4", chunks=(1, 1, 1))
    spec = VolumeSpec((30, 10, 10), (30.0, 8.0, 8.0))
    with pytest.raises(InputError, match="none of its chunks was ever written"):
        check_labels(path, spec)
