"""Chunks without data: counted by each format, and told by place."""

import h5py
import numpy as np
import pytest
import zarr

from axonem_eval.volume import open_labels
from tests.scoring.test_formats import LABELS, SHAPE, folder_of_tiffs, precomputed, tiff, zarr_array

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
