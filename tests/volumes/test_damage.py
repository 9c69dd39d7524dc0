"""Damage is placed: the message gives the first voxel of the damaged chunk, in the order of the file's axes."""

from collections.abc import Callable
from pathlib import Path

import h5py
import hdf5plugin
import pytest

from axonem_eval import InputError
from axonem_eval.volumes import open_labels
from tests.volumes.written_labels import LABELS, precomputed, zarr_array, zipped

AT = (8, 16, 16)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:30])


def zarr2(folder: Path) -> Path:
    cut(zarr_array(folder / "a.zarr", zarr_format=2) / "1.1.1")
    return folder / "a.zarr"


def zarr2_uncompressed(folder: Path) -> Path:
    cut(zarr_array(folder / "a.zarr", zarr_format=2, compressors=None) / "1.1.1")
    return folder / "a.zarr"


def zarr3(folder: Path) -> Path:
    cut(zarr_array(folder / "a.zarr") / "c" / "1" / "1" / "1")
    return folder / "a.zarr"


def zarr3_in_zip(folder: Path) -> Path:
    return zipped(zarr3(folder))


def zarr3_sharded(folder: Path) -> Path:
    shard = zarr_array(folder / "a.zarr", chunks=(4, 8, 8), shards=(8, 16, 16)) / "c" / "1" / "1" / "1"
    shard.write_bytes(bytes(20) + shard.read_bytes()[20:])
    return folder / "a.zarr"


def precomputed_raw(folder: Path) -> Path:
    cut(precomputed(folder / "a") / "8_16_30" / "16-32_16-24_8-12")
    return folder / "a"


def hdf5(**options) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        with h5py.File(folder / "a.h5", "w") as file:
            data = file.create_dataset("main", data=LABELS, chunks=(8, 16, 16), **options)
            data.id.write_direct_chunk(AT, bytes(30))
        return folder / "a.h5"

    return write


MAKERS = {
    "zarr2": zarr2,
    "zarr2 uncompressed": zarr2_uncompressed,
    "zarr3": zarr3,
    "zarr3 in a zip": zarr3_in_zip,
    "zarr3 sharded": zarr3_sharded,
    "precomputed": precomputed_raw,
    "hdf5 gzip": hdf5(compression="gzip"),
    "hdf5 bitshuffle, read by its library": hdf5(**hdf5plugin.Bitshuffle()),
}


def messages(path: Path, axes: str) -> set[str]:
    """Of all chunks, and of the whole volume at once."""
    found = set()
    with open_labels(path, axes=axes) as volume:
        reads = [lambda chunk=chunk: volume.read_chunk(chunk) for chunk in range(volume.n_chunks)]
        for read in [*reads, lambda: volume.read(tuple(slice(0, n) for n in volume.shape_zyx))]:
            try:
                read()
            except InputError as error:
                found.add(str(error))
    return found


@pytest.mark.parametrize("axes", ["zyx", "xyz"])
@pytest.mark.parametrize("made", MAKERS)
def test_a_damaged_chunk_is_placed_by_every_read(tmp_path, made, axes):
    named = "z,y,x" if made == "precomputed" else ",".join(axes)
    found = messages(MAKERS[made](tmp_path), axes)
    assert found
    for message in found:
        assert f"voxel {AT} ({named})" in message
