"""Folders and archives made to lead the reader astray, and reading them in the confined child."""

import gzip
import json
import os
import zipfile
from pathlib import Path

import imagecodecs
import numcodecs
import numpy as np
import pytest
import zarr

from axonem_eval import InputError, VolumeSpec
from axonem_eval.sandbox import sample_confined
from axonem_eval.volumes import open_labels
from tests.volumes.written_labels import (
    LABELS,
    SHAPE,
    assert_refused,
    folder_of_tiffs,
    precomputed,
    tiff,
    zarr_array,
    zipped,
)

SPEC = VolumeSpec(SHAPE, (30.0, 8.0, 8.0))
NODES = np.array([(0, 0, 0), (19, 32, 46), (3, 20, 7)], np.int32)


def edit_json(path: Path, **changes) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("target", ["/etc/passwd", "0", "nowhere"])
def test_a_link_in_a_folder_is_refused_wherever_it_leads(tmp_path, target):
    path = zarr_array(tmp_path / "a.zarr")
    (path / "c" / "0" / "0" / "1").unlink()
    (path / "c" / "0" / "0" / "1").symlink_to(target)
    assert "never followed" in assert_refused(path, "link")


def test_a_link_in_place_of_a_folder_is_refused(tmp_path):
    secret = zarr_array(tmp_path / "secret.zarr")
    path = zarr_array(tmp_path / "a.zarr")
    (path / "c").rename(tmp_path / "old")
    (path / "c").symlink_to(secret / "c")
    assert_refused(path, "link")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    path = zarr_array(tmp_path / "a.zarr")
    os.mkfifo(path / "c" / "0" / "0" / "9")
    assert_refused(path, "link")


@pytest.mark.parametrize("name", ["../escape", "/etc/passwd", "c/../../x", "C:\\x"])
def test_an_archive_with_names_that_lead_outside_is_refused(tmp_path, name):
    path = zipped(zarr_array(tmp_path / "a.zarr"))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"x")
    assert_refused(path, "outside_path")


def test_a_link_in_an_archive_is_refused(tmp_path):
    path = zipped(zarr_array(tmp_path / "a.zarr"))
    link = zipfile.ZipInfo("c/9")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    assert_refused(path, "link")


def test_a_bomb_in_an_archive_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr("axonem_eval.volumes.bounds.MAX_CHUNK_BYTES", 10_000_000)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("zarr.json", "{}")
        archive.writestr("c/0/0/0", bytes(10_000_001))
    assert "zip -0" in assert_refused(path, "huge_chunk")


def test_an_archive_that_holds_a_name_twice_is_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("zarr.json", "{}")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("zarr.json", "[]")
    assert_refused(path, "twice")


def test_a_bomb_among_sections_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr("axonem_eval.volumes.bounds.MAX_CHUNK_BYTES", 10_000_000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_BZIP2) as archive:
        for z in range(3):
            archive.writestr(f"s{z}.tif", bytes(10_000_001))
    assert_refused(tmp_path / "a.zip", "huge_chunk")


def test_a_truncated_archive_says_to_send_it_again(tmp_path):
    path = zipped(zarr_array(tmp_path / "a.zarr"))
    path.write_bytes(path.read_bytes()[:-100])
    assert "sha256sum" in assert_refused(path, "truncated")


@pytest.mark.parametrize("key", ["../secret", "/etc", "8_8_30/../../x", "s3://bucket", 7])
def test_a_precomputed_scale_outside_the_folder_is_refused(tmp_path, key):
    path = precomputed(tmp_path / "a")
    info = json.loads((path / "info").read_text())
    info["scales"][0]["key"] = key
    (path / "info").write_text(json.dumps(info))
    assert_refused(path, "outside_path")


def test_a_pyramid_level_outside_the_folder_is_refused(tmp_path):
    zarr_array(tmp_path / "secret.zarr")
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.attrs["ome"] = {"multiscales": [{"datasets": [{"path": "../secret.zarr"}]}]}
    assert_refused(tmp_path / "a.zarr", "outside_path")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"shape": [750, 1000, 1000]}, None),  # only more background
        ({"shape": [2**40, 2**40, 2**40]}, "tiny_chunks"),
        ({"shape": "many"}, "bad_metadata"),
        ({"shape": [-1, 2, 3]}, "bad_metadata"),
        ({"data_type": ["pickle"]}, "wrong_dtype"),
        ({"codecs": [{"name": "pickle"}]}, "codec"),
        ({"codecs": "none"}, "bad_metadata"),
        ({"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2**20, 2**20, 1]}}}, "huge_chunk"),
    ],
)
def test_zarr_metadata_that_lie_are_the_files_fault(tmp_path, changes, code):
    path = zarr_array(tmp_path / "a.zarr")
    if "chunk_grid" in changes:
        changes = {**changes, "shape": [2**20, 2**20, 1]}
    edit_json(path / "zarr.json", **changes)
    if code is None:
        open_labels(path).close()
        return
    with pytest.raises(InputError) as caught:
        open_labels(path)
    assert caught.value.complaints[0].code == code


@pytest.mark.parametrize("content", ["{", "[]", "null", '{"scales": []}', '{"scales": [{"key": "a"}]}', "9" * 10_000])
def test_info_that_is_no_info_is_the_files_fault(tmp_path, content):
    path = precomputed(tmp_path / "a")
    (path / "info").write_text(content)
    with pytest.raises(InputError):
        open_labels(path)


@pytest.mark.parametrize(
    ("codec", "bomb"),
    [
        (zarr.codecs.GzipCodec(), lambda n: gzip.compress(bytes(n))),
        (zarr.codecs.ZstdCodec(), lambda n: imagecodecs.zstd_encode(bytes(n))),
        (zarr.codecs.BloscCodec(), lambda n: imagecodecs.blosc_encode(bytes(n))),
    ],
)
def test_a_chunk_that_inflates_to_more_than_it_may_is_the_files_fault(tmp_path, codec, bomb):
    path = zarr_array(tmp_path / "a.zarr", compressors=codec)
    (path / "c" / "1" / "0" / "0").write_bytes(bomb(1 << 27))
    assert_refused(path, "damaged_chunk")


@pytest.mark.parametrize(
    "make",
    [
        lambda p: zarr_array(p / "a.zarr", chunks=(4, 8, 8), shards=(8, 16, 32)),
        lambda p: zipped(zarr_array(p / "a.zarr", zarr_format=2)),
        lambda p: tiff(p / "a.tif", compression="lzw"),
        lambda p: zipped(folder_of_tiffs(p / "a")),
        lambda p: zarr_array(p / "a.zarr", zarr_format=2, compressors=numcodecs.Zstd(checksum=True)),
    ],
)
def test_the_confined_child_reads_every_format(tmp_path, make):
    sample = sample_confined(make(tmp_path), SPEC, NODES)
    np.testing.assert_array_equal(sample.node_segment, LABELS[tuple(NODES.T)])
