"""Codecs and encodings: those that are read, and the true reason for those that are not."""

import json

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.codecs import numcodecs as zarr_numcodecs

from axonem_eval.volumes import open_labels
from tests.volumes.written_labels import LABELS, SHAPE, assert_refused, precomputed, zarr_array


@pytest.mark.parametrize(
    "compressor",
    [
        numcodecs.Zstd(checksum=True),
        numcodecs.Zstd(checksum=False),
        numcodecs.GZip(),
        numcodecs.Zlib(),
        numcodecs.BZ2(),
        numcodecs.Blosc("zstd"),
        None,
    ],
    ids=repr,
)
def test_zarr_v2_compressors_are_read(tmp_path, compressor):
    with open_labels(zarr_array(tmp_path / "a.zarr", zarr_format=2, compressors=compressor)) as volume:
        np.testing.assert_array_equal(volume.read(tuple(slice(0, n) for n in SHAPE)), LABELS)


def test_a_checksum_of_zstd_in_zarr_v2_is_compared(tmp_path):
    path = zarr_array(tmp_path / "a.zarr", zarr_format=2, compressors=numcodecs.Zstd(checksum=True))
    chunk = path / "1.1.1"
    data = bytearray(chunk.read_bytes())
    data[-1] ^= 1  # the checksum ends the frame
    chunk.write_bytes(data)
    assert_refused(path, "damaged_chunk")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lz4", {"compressors": numcodecs.LZ4()}),
        ("lzma", {"compressors": numcodecs.LZMA()}),
        ("delta", {"compressors": numcodecs.Zlib(), "filters": [numcodecs.Delta("<u8")]}),
    ],
)
def test_a_zarr_v2_codec_that_is_not_read_is_named(tmp_path, name, options):
    message = assert_refused(zarr_array(tmp_path / "a.zarr", zarr_format=2, **options), "codec")
    assert f"codec {name}" in message


@pytest.mark.filterwarnings("ignore:Numcodecs codecs")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("numcodecs.lz4", {"compressors": zarr_numcodecs.LZ4()}),
        ("numcodecs.delta", {"filters": [zarr_numcodecs.Delta(dtype="uint64")]}),
    ],
)
def test_numcodecs_in_zarr_v3_are_named_and_the_remedy_works(tmp_path, name, options):
    message = assert_refused(zarr_array(tmp_path / "a.zarr", **options), "codec")
    assert name in message
    assert "zarr.codecs.ZstdCodec()" in message
    open_labels(zarr_array(tmp_path / "b.zarr", compressors=zarr.codecs.ZstdCodec())).close()


@pytest.mark.parametrize(
    ("encoding", "code", "reason"),
    [
        ("crackle", "encoding", "lossless but not read"),
        ("compresso", "encoding", "lossless but not read"),
        ("fpzip", "encoding", "for floats"),
        ("jpeg", "lossy", "changes ids"),
    ],
)
def test_a_precomputed_encoding_that_is_not_read_says_why(tmp_path, encoding, code, reason):
    path = precomputed(tmp_path / "a")
    info = json.loads((path / "info").read_text())
    info["scales"][0]["encoding"] = encoding
    (path / "info").write_text(json.dumps(info))
    message = assert_refused(path, code)
    assert reason in message
    assert "compressed_segmentation" in message
