"""Metadata of Zarr and precomputed in which any value is another: read, or refused in words that name the place."""

import copy
import json
import re
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axonem_eval import InputError, VolumeSpec, open_labels
from axonem_eval.volumes import check_labels
from tests.hostile.case import LABELS, SHAPE
from tests.hostile.precomputed_files import INFO, SCALE, SHARDING, chunk_files, minishard
from tests.hostile.zarr_files import CHUNK, SIZE, V2, V3, archive, chunks, regular, shard_index
from tests.volumes.written_labels import assert_refused

SPEC = VolumeSpec(SHAPE, (30.0, 8.0, 8.0))
TO_NM = [{"type": "scale", "scale": [30.0, 8.0, 8.0]}]
AXES = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
PYRAMID = {
    "multiscales": [{"axes": AXES, "datasets": [{"path": "0", "coordinateTransformations": TO_NM}], "name": "labels"}]
}
ATTRIBUTES = {"voxel_size_nm": [30, 8, 8], "units": ["nm", "nm", "nm"], "offset": [0, 0, 0]}
SHARDED = {
    "name": "sharding_indexed",
    "configuration": {
        "chunk_shape": list(CHUNK),
        "codecs": V3["codecs"][:1],
        "index_codecs": V3["codecs"][:1],
        "index_location": "end",
    },
}
SHARD = b"".join(chunks(".", pack=bytes).values()) + shard_index(*[(i * SIZE, SIZE) for i in range(8)])


def precomputed_shard() -> bytes:
    """All chunks of the precomputed volume, in Morton order: two along each axis, so x, y and z are one bit each."""
    in_order = list(chunk_files().values())
    data, index = b"".join(in_order), minishard([(int(i > 0), 0, len(chunk)) for i, chunk in enumerate(in_order)])
    return struct.pack("<QQ", len(data), len(data) + len(index)) + data + index


# Each: the metadata files, and those of the chunks.
STORES: list[tuple[dict[str, Any], dict[str, bytes]]] = [
    ({".zarray": V2, ".zattrs": ATTRIBUTES}, chunks(".")),
    ({"zarr.json": {**V3, "attributes": ATTRIBUTES, "dimension_names": ["z", "y", "x"]}}, chunks("/", "c/")),
    ({"zarr.json": {**V3, "codecs": [SHARDED], "chunk_grid": regular(*SHAPE)}}, {"c/0/0/0": SHARD}),
    ({".zgroup": {"zarr_format": 2}, ".zattrs": PYRAMID, "0/.zarray": V2}, chunks(".", "0/")),
    (
        {"zarr.json": {"zarr_format": 3, "node_type": "group", "attributes": {"ome": PYRAMID}}, "0/zarr.json": V3},
        chunks("/", "0/c/"),
    ),
    ({"info": INFO}, chunk_files()),
    ({"info": {**INFO, "scales": [{**SCALE, "sharding": SHARDING}]}}, {"s0/0.shard": precomputed_shard()}),
]
NUMBERS = st.one_of(
    st.integers(-3, 40),
    st.sampled_from([2**31, 2**32 - 1, 2**62, 2**63, 2**64, 10**400]),
    st.floats(),
)
VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), NUMBERS, st.text(max_size=5), st.sampled_from(["zstd", "x" * 5000, "<i4", "int8"])
    ),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["name", "id", "path", "a"]), inner),
    max_leaves=8,
)


def places(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The place of each value of a JSON document, as keys from its top."""
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else []
    return [found for key in keys for found in [(*at, key), *places(node[key], (*at, key))]]


@st.composite
def changed_metadata(draw) -> tuple[int, dict[str, str]]:
    """Which store, and its metadata files; one or two values of one of them are others, or are left out."""
    number = draw(st.integers(0, len(STORES) - 1))
    metadata = copy.deepcopy(STORES[number][0])
    name = draw(st.sampled_from(sorted(metadata)))
    for _ in range(draw(st.integers(1, 2))):
        *above, last = draw(st.sampled_from(places(metadata[name]) or [(None,)]))
        node = metadata[name]
        for key in above:
            node = node[key]
        if last is not None and draw(st.booleans()):
            node[last] = draw(VALUES)
        elif isinstance(node, dict):
            node.pop(last, None)
    return number, texts(metadata)


def texts(metadata: dict[str, Any]) -> dict[str, str]:
    return {name: json.dumps(content) for name, content in metadata.items()}


def reads(path) -> np.ndarray:
    check_labels(path, SPEC)
    with open_labels(path) as volume:
        return volume.read(tuple(slice(0, n) for n in volume.shape_zyx))


def complaint(path) -> str:
    """Code and words of the first complaint about a file; empty where it is read."""
    try:
        reads(path)
    except InputError as error:
        return f"{error.complaints[0].code}: {error}"
    return ""


@pytest.mark.parametrize("store", STORES)
def test_the_stores_are_read_as_long_as_nothing_is_changed(tmp_path, store):
    metadata, data = store
    archive(tmp_path / "a.zip", {**texts(metadata), **data})
    np.testing.assert_array_equal(reads(tmp_path / "a.zip"), LABELS)


@given(changed=changed_metadata())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # each example writes the same path anew
def test_any_value_that_is_another_gives_labels_or_a_complaint_in_words(tmp_path, changed):
    number, metadata = changed
    path = tmp_path / "a.zip"
    archive(path, {**metadata, **STORES[number][1]})
    said = complaint(path)
    assert not re.search(r"\w+(Error|Exception)\b", said), "what Python said, in place of what is wrong"
    if said.startswith("bad_metadata"):
        assert any(name in said for name in metadata)
        assert "expected" in said
        assert len(said) < 600


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"shape": [[], 32, 32]}, "bad_metadata", "in .zarray, shape is [[], 32, 32]; expected a list of integers"),
        ({"shape": [1e308, 32, 32]}, "bad_metadata", "shape is [1e+308, 32, 32]"),
        ({"chunks": [8, 16]}, "bad_metadata", "chunks is [8, 16]; expected a list of 3 integers, one for each axis"),
        ({"chunks": [8, 0, 16]}, "bad_metadata", "from 1 on"),
        ({"filters": 7}, "bad_metadata", "filters is 7; expected a list of objects"),
        ({"filters": [{"id": "zlib"}]}, "codec", "the codec zlib (a filter)"),
        ({"compressor": {}}, "bad_metadata", "it states no compressor.id; expected a text"),
        ({"dtype": "uint64"}, "bad_metadata", "dtype is 'uint64'; expected byte order, kind and bytes, such as <u8"),
        ({"fill_value": -1}, "bad_metadata", "fill_value is -1; expected an integer of uint64"),
        ({"zarr_format": 3}, "bad_metadata", "zarr_format is 3; expected 2"),
        # Each chunk would take 8 TB, whatever the volume's size.
        ({"chunks": [2**32 - 1, 16, 16]}, "huge_chunk", "4294967295 x 16 x 16 voxels"),
    ],
)
def test_a_complaint_says_where_what_and_what_was_expected(tmp_path, changes, code, said):
    archive(tmp_path / "a.zip", {".zarray": json.dumps({**V2, **changes}), **chunks(".")})
    assert said in assert_refused(tmp_path / "a.zip", code)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"size": [32, 32]}, "in info, scales[0].size is [32, 32]; expected a list of 3 integers, one for each axis"),
        (
            {"chunk_sizes": [[16, 16]]},
            "scales[0].chunk_sizes is [[16, 16]]; expected a list of chunk sizes, each three",
        ),
        ({"chunk_sizes": []}, "expected at least one chunk size"),
        ({"voxel_offset": [0, 0, "0"]}, "scales[0].voxel_offset is [0, 0, '0']; expected three integers x, y, z"),
        ({"sharding": "x"}, "scales[0].sharding is 'x'; expected a JSON object"),
        ({"encoding": None}, "scales[0].encoding is None; expected a text"),
    ],
)
def test_so_does_one_about_an_info_file(tmp_path, changes, said):
    info = {**INFO, "scales": [{**SCALE, **changes}]}
    archive(tmp_path / "a.zip", {"info": json.dumps(info), **chunk_files()})
    assert said in assert_refused(tmp_path / "a.zip", "bad_metadata")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (json.dumps(V2).encode()[:90], "it is damaged or cut short. Copy it again"),
        (b"<!DOCTYPE html><html>404</html>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git lfs pull"),
    ],
)
@pytest.mark.parametrize("name", [".zarray", "zarr.json", "info"])
def test_metadata_that_are_no_json_are_called_what_they_are(tmp_path, name, content, said):
    archive(tmp_path / "a.zip", {name: content, **chunks(".")})
    message = assert_refused(tmp_path / "a.zip", "bad_metadata")
    assert f"{name} is not readable as JSON: " in message
    assert said in message


def test_a_fill_value_with_a_fraction_of_zero_is_that_integer(tmp_path):
    stored = chunks(".")
    stored.pop("1.1.1")
    archive(tmp_path / "a.zip", {".zarray": json.dumps({**V2, "fill_value": 5.0}), **stored})
    with open_labels(tmp_path / "a.zip") as volume:
        assert volume.fill_value == 5
        assert (volume.read((slice(8, 16), slice(16, 32), slice(16, 32))) == 5).all()


@pytest.mark.parametrize(
    "metadata",
    [
        {"axes": [{"name": n, "unit": None} for n in "zyx"], "coordinateTransformations": None},
        {"axes": None, "type": None},
    ],
)
def test_null_for_what_ngff_allows_to_leave_out_is_read(tmp_path, metadata):
    """As writers leave it that dump every field of a model."""
    level = {"path": "0", "coordinateTransformations": None}
    group = {"multiscales": [{**metadata, "datasets": [level]}], "ome": None}
    archive(tmp_path / "a.zip", {".zattrs": json.dumps(group), "0/.zarray": json.dumps(V2), **chunks(".", "0/")})
    np.testing.assert_array_equal(reads(tmp_path / "a.zip"), LABELS)


def test_whole_numbers_of_an_info_file_may_have_a_fraction_of_zero(tmp_path):
    info = {**INFO, "scales": [{**SCALE, "voxel_offset": [0.0, 0.0, 0.0], "chunk_sizes": [[16.0, 16.0, 8.0]]}]}
    archive(tmp_path / "a.zip", {"info": json.dumps(info), **chunk_files()})
    np.testing.assert_array_equal(reads(tmp_path / "a.zip"), LABELS)


def test_a_value_that_is_stated_twice_has_one_meaning(tmp_path):
    twice = json.dumps(V2)[:-1] + ', "shape": [16, 32, 16]}'
    archive(tmp_path / "a.zip", {".zarray": twice, **chunks(".")})
    with open_labels(tmp_path / "a.zip") as volume:
        assert volume.shape_zyx == (16, 32, 16)
        np.testing.assert_array_equal(volume.read((slice(0, 16), slice(0, 32), slice(0, 16))), LABELS[:, :, :16])
