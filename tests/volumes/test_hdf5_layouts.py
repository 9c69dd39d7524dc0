"""Whatever the layout of an HDF5 dataset, our reading equals h5py's."""

import zlib
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

from axonem_eval import InputError, VolumeSpec
from axonem_eval.sampling import sample_nodes
from axonem_eval.volumes import check_labels, for_each_chunk, open_labels
from axonem_eval.volumes import threads as threads_module
from axonem_eval.volumes.hdf5 import open as hdf5_module
from axonem_eval.volumes.hdf5.chunks import Hdf5Chunks
from axonem_eval.volumes.hdf5.slabs import Hdf5Slabs

SHAPE = (21, 34, 45)
RNG = np.random.default_rng(5)
# Runs along x, as labels have them, so that every codec has something to compress.
LABELS = np.repeat(RNG.integers(0, 2**60, (21, 34, 9), dtype=np.uint64), 5, axis=2)


def write(path: Path, labels: np.ndarray = LABELS, **options) -> Path:
    file_options = {name: options.pop(name) for name in ("userblock_size", "libver") if name in options}
    with h5py.File(path, "w", **file_options) as file:
        file.create_dataset("main", data=labels, **options)
    return path


def h5py_reads(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        return file["main"][:]


def we_read(path: Path) -> np.ndarray:
    """All chunks, put together."""
    with open_labels(path) as volume:
        out = np.zeros(volume.shape_zyx, volume.dtype)
        chunks = np.argsort(volume.storage_rank(), kind="stable")

        def visit(position: int, labels: np.ndarray) -> None:
            box = volume.chunk_box(int(chunks[position]))
            out[box] = labels[tuple(slice(0, s.stop - s.start) for s in box)]

        for_each_chunk(volume, chunks, visit, threads=3)
        return out


def we_sample(path: Path) -> np.ndarray:
    """The label at every voxel, through the sampler."""
    with open_labels(path) as volume:
        nodes = np.indices(volume.shape_zyx, np.int32).reshape(3, -1).T
        return sample_nodes(volume, nodes, threads=2).node_segment.reshape(volume.shape_zyx)


CHUNKS = (8, 16, 16)  # does not divide the shape
LAYOUTS = {
    "contiguous": {},
    "chunked": {"chunks": CHUNKS},
    "gzip": {"chunks": CHUNKS, "compression": "gzip"},
    "gzip shuffle": {"chunks": CHUNKS, "compression": "gzip", "shuffle": True},
    "gzip shuffle fletcher32": {"chunks": CHUNKS, "compression": "gzip", "shuffle": True, "fletcher32": True},
    "fletcher32": {"chunks": CHUNKS, "fletcher32": True},
    "shuffle": {"chunks": CHUNKS, "shuffle": True},
    "lzf": {"chunks": CHUNKS, "compression": "lzf"},
    "lzf shuffle": {"chunks": CHUNKS, "compression": "lzf", "shuffle": True},
    "blosc": {"chunks": CHUNKS, **hdf5plugin.Blosc("zstd", shuffle=hdf5plugin.Blosc.SHUFFLE)},
    "blosc bitshuffle": {"chunks": CHUNKS, **hdf5plugin.Blosc("lz4", shuffle=hdf5plugin.Blosc.BITSHUFFLE)},
    "zstd": {"chunks": CHUNKS, **hdf5plugin.Zstd()},
    "zstd shuffle": {"chunks": CHUNKS, "shuffle": True, **hdf5plugin.Zstd()},
    "lz4": {"chunks": CHUNKS, **hdf5plugin.LZ4()},
    "lz4 of several blocks": {"chunks": CHUNKS, **hdf5plugin.LZ4(nbytes=1000)},
    "one chunk": {"chunks": SHAPE, "compression": "gzip"},
    "one chunk shuffle": {"chunks": SHAPE, "compression": "gzip", "shuffle": True, "fletcher32": True},
    "chunk beyond the shape": {"chunks": (32, 64, 64), "compression": "gzip", "maxshape": (None,) * 3},
    "tiny chunks": {"chunks": (2, 3, 4), "compression": "gzip"},
    "tiny chunks raw": {"chunks": (1, 2, 5)},
    "user block": {"chunks": CHUNKS, "compression": "gzip", "userblock_size": 1024},
    "user block contiguous": {"userblock_size": 512},
    "newest file format": {"chunks": CHUNKS, "compression": "gzip", "libver": "latest"},
    # Left to the HDF5 library:
    "scaleoffset": {"chunks": CHUNKS, "scaleoffset": 0},
    "bitshuffle": {"chunks": CHUNKS, **hdf5plugin.Bitshuffle()},
    "blosc2": {"chunks": CHUNKS, **hdf5plugin.Blosc2()},
    "bzip2": {"chunks": CHUNKS, **hdf5plugin.BZip2()},
}


def write_layout(path: Path, name: str, labels: np.ndarray = LABELS) -> Path:
    return write(path, labels, **LAYOUTS[name])


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_reads_as_h5py_does(tmp_path, name):
    path = write_layout(tmp_path / "a.h5", name)
    np.testing.assert_array_equal(we_read(path), LABELS)
    np.testing.assert_array_equal(we_sample(path), LABELS)


@pytest.mark.parametrize("name", [n for n in LAYOUTS if n not in ("tiny chunks", "tiny chunks raw")])
def test_huge_chunks_are_read_in_slabs(tmp_path, name, monkeypatch):
    monkeypatch.setattr(hdf5_module, "WHOLE_CHUNK_BYTES", 1)
    monkeypatch.setattr("axonem_eval.volumes.hdf5.slabs.slab_shape.__defaults__", ((1, 1, 1), 5000))
    path = write_layout(tmp_path / "a.h5", name)
    np.testing.assert_array_equal(we_read(path), LABELS)
    np.testing.assert_array_equal(we_sample(path), LABELS)


@pytest.mark.parametrize("dtype", ["i1", "u1", "<i2", ">i2", "<u2", "<i4", ">u4", "<u4", "<i8", ">i8", "<u8", ">u8"])
@pytest.mark.parametrize("name", ["gzip shuffle", "contiguous", "tiny chunks", "one chunk"])
def test_every_integer_type_reads_as_h5py_does(tmp_path, dtype, name):
    largest = min(np.iinfo(dtype).max, 2**62)
    labels = (LABELS % np.uint64(largest)).astype(dtype)
    path = write_layout(tmp_path / "a.h5", name, labels)
    np.testing.assert_array_equal(we_read(path), h5py_reads(path))
    np.testing.assert_array_equal(we_sample(path), labels)


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}, {"compression": "lzf", "shuffle": True}])
def test_chunks_never_written_hold_the_fill_value(tmp_path, options):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("main", SHAPE, ">u4", chunks=CHUNKS, fillvalue=77, **options)
        data[9:11, 20:30, 3:9] = 5
    np.testing.assert_array_equal(we_read(tmp_path / "a.h5"), h5py_reads(tmp_path / "a.h5"))
    np.testing.assert_array_equal(we_sample(tmp_path / "a.h5"), h5py_reads(tmp_path / "a.h5"))


def test_contiguous_data_never_written_hold_the_fill_value(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("main", SHAPE, np.uint16, fillvalue=3)
    assert (we_sample(tmp_path / "a.h5") == 3).all()


def test_a_chunk_that_skipped_its_filter_is_read(tmp_path):
    with h5py.File(write(tmp_path / "a.h5", chunks=CHUNKS, compression="gzip"), "r+") as file:
        chunk = np.zeros(CHUNKS, np.uint64)
        chunk[:] = LABELS[8:16, 16:32, :16]
        file["main"].id.write_direct_chunk((8, 16, 0), chunk.tobytes(), filter_mask=1)
    np.testing.assert_array_equal(we_read(tmp_path / "a.h5"), LABELS)


def test_a_negative_fill_value_beyond_the_edge_is_no_negative_label(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("main", SHAPE, np.int32, chunks=CHUNKS, fillvalue=-1)
        data[:] = (LABELS % np.uint64(1000)).astype(np.int32)
    check_labels(tmp_path / "a.h5", VolumeSpec(SHAPE, (30.0, 8.0, 8.0)))
    np.testing.assert_array_equal(we_sample(tmp_path / "a.h5"), LABELS % np.uint64(1000))


def test_a_negative_label_is_named_by_its_voxel(tmp_path):
    labels = (LABELS % np.uint64(1000)).astype(np.int16)
    labels[20, 33, 44] = -3
    with pytest.raises(InputError, match=r"label -3 at voxel \(20, 33, 44\)"):
        we_sample(write(tmp_path / "a.h5", labels, chunks=(2, 2, 2)))


def damage(path: Path, chunk: tuple[int, int, int], change) -> None:
    """Rewrite the stored bytes of one chunk."""
    with h5py.File(path, "r+") as file:
        mask, data = file["main"].id.read_direct_chunk(chunk)
        file["main"].id.write_direct_chunk(chunk, change(bytearray(data)), mask)


def flipped(at: int):
    def change(data: bytearray) -> bytes:
        data[at] ^= 0x10
        return bytes(data)

    return change


@pytest.mark.parametrize("slabs", [False, True])
@pytest.mark.parametrize(
    ("options", "change"),
    [
        ({"compression": "gzip"}, flipped(-1)),  # adler32
        ({"compression": "gzip"}, flipped(200)),
        ({"compression": "gzip"}, lambda data: bytes(data[:-40])),
        ({"compression": "gzip"}, lambda data: zlib.compress(zlib.decompress(data)[:-8])),
        ({"compression": "gzip"}, lambda data: zlib.compress(zlib.decompress(data) + b"more")),
        ({"fletcher32": True}, flipped(200)),
        ({"fletcher32": True, "compression": "gzip", "shuffle": True}, flipped(-1)),
        ({"compression": "lzf"}, lambda data: bytes(data[:60])),
        (dict(hdf5plugin.Zstd()), flipped(3)),
        (dict(hdf5plugin.Blosc()), lambda data: bytes(data[:60])),
        (dict(hdf5plugin.LZ4()), lambda data: bytes(data[:60])),
    ],
)
def test_a_damaged_chunk_is_the_files_fault_and_is_placed(tmp_path, monkeypatch, options, change, slabs):
    if slabs:
        monkeypatch.setattr(hdf5_module, "WHOLE_CHUNK_BYTES", 1)
    path = write(tmp_path / "a.h5", chunks=CHUNKS, **options)
    damage(path, (8, 16, 32), change)
    with pytest.raises(InputError, match=r"\(8, 16, 32\)") as caught:
        we_sample(path)
    assert caught.value.complaints[0].code == "damaged_chunk"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (dict(hdf5plugin.SZ3(absolute=1)), "SZ3, which may change ids"),
        (dict(hdf5plugin.Zfp()), "ZFP, which may change ids"),
    ],
)
def test_a_compression_that_may_change_ids_is_refused_by_its_name(tmp_path, options, named):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("main", SHAPE, np.int32, chunks=CHUNKS, **options)
    with pytest.raises(InputError, match=named) as caught:
        open_labels(tmp_path / "a.h5")
    assert caught.value.complaints[0].code == "codec"


def test_readers_are_chosen_as_meant(tmp_path, monkeypatch):
    for name in ("gzip shuffle fletcher32", "lzf", "blosc", "zstd", "lz4", "user block"):
        with open_labels(write_layout(tmp_path / "a.h5", name)) as volume:
            assert isinstance(volume, Hdf5Chunks)
    monkeypatch.setattr(hdf5_module, "WHOLE_CHUNK_BYTES", 1)
    for name in ("contiguous", "gzip", "one chunk shuffle"):
        with open_labels(write_layout(tmp_path / "a.h5", name)) as volume:
            assert isinstance(volume, Hdf5Slabs)


def test_a_chunk_too_large_to_unshuffle_is_refused_and_without_shuffle_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("axonem_eval.volumes.bounds.MAX_CHUNK_BYTES", 1000)
    monkeypatch.setattr(hdf5_module, "WHOLE_CHUNK_BYTES", 1000)
    np.testing.assert_array_equal(we_read(write(tmp_path / "a.h5", chunks=SHAPE, compression="gzip")), LABELS)
    with pytest.raises(InputError, match="h5repack"):
        open_labels(write(tmp_path / "b.h5", chunks=SHAPE, compression="gzip", shuffle=True))


def test_large_chunks_are_read_by_fewer_threads(tmp_path, monkeypatch):
    monkeypatch.setattr(threads_module, "BATCH_BYTES", 1)
    path = write(tmp_path / "a.h5", chunks=CHUNKS, compression="gzip")
    with open_labels(path) as volume:
        assert threads_module.reading_threads(volume, 8) == 8
        monkeypatch.setattr(threads_module, "MEMORY_BUDGET_BYTES", 7 * volume.chunk_bytes)
        assert threads_module.reading_threads(volume, 8) == 2


def test_more_chunks_than_an_index_can_hold_are_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("main", (750, 4286, 4286), np.uint8, chunks=(2, 2, 2), compression="gzip")
    with pytest.raises(InputError, match="64 x 64 x 64") as caught:
        open_labels(tmp_path / "a.h5")
    assert caught.value.complaints[0].code == "tiny_chunks"
