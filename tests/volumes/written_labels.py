"""One volume of labels, written in each format by the library of that format."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorstore
import tifffile
import zarr

from axonem_eval import InputError
from axonem_eval.volumes import open_labels

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


def assert_refused(path: Path, code: str) -> str:
    """The message of the one complaint about a file, which has that code."""
    with pytest.raises(InputError) as caught, open_labels(path) as volume:
        volume.read(tuple(slice(0, n) for n in volume.shape_zyx))
    assert [c.code for c in caught.value.complaints] == [code]
    return caught.value.complaints[0].message
