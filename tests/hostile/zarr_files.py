"""Zarr arrays in a zip archive whose metadata or chunks lie."""

import copy
import gzip
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from tests.hostile.case import AXONEM, DAMAGED, LABELS, SHAPE, hostile

Json = dict[str, Any]
CHUNK = (8, 16, 16)
BAD = ("bad_metadata", "unreadable")

V2: Json = {
    "zarr_format": 2,
    "shape": list(SHAPE),
    "chunks": list(CHUNK),
    "dtype": "<u8",
    "compressor": {"id": "gzip", "level": 1},
    "fill_value": 0,
    "order": "C",
    "filters": None,
}
V3: Json = {
    "zarr_format": 3,
    "node_type": "array",
    "shape": list(SHAPE),
    "data_type": "uint64",
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(CHUNK)}},
    "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
    "codecs": [
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "gzip", "configuration": {"level": 1}},
    ],
    "fill_value": 0,
    "attributes": {},
}


def archive(path: Path, files: dict[str, bytes | str]) -> None:
    """A zip without compression."""
    with zipfile.ZipFile(path, "w") as out:
        for name, content in files.items():
            out.writestr(zipfile.ZipInfo(name), content)


def chunks(separator: str, prefix: str = "", pack=lambda data: gzip.compress(data, 1, mtime=0)) -> dict[str, bytes]:
    """The chunk files of LABELS."""
    return {
        prefix + separator.join(map(str, (z, y, x))): pack(LABELS[z * 8 :, y * 16 :, x * 16 :][:8, :16, :16].tobytes())
        for z in range(2)
        for y in range(2)
        for x in range(2)
    }


def v2(path: Path, more: dict[str, bytes | str] | None = None, **changes: Any) -> None:
    """A good Zarr v2 array but for the changes to its metadata, and more files, or others in their place."""
    archive(path, {".zarray": json.dumps({**V2, **changes}), **chunks("."), **(more or {})})


def v3(path: Path, more: dict[str, bytes | str] | None = None, **changes: Any) -> None:
    """The same in Zarr v3."""
    archive(path, {"zarr.json": json.dumps({**V3, **changes}), **chunks("/", "c/"), **(more or {})})


def regular(*chunk: Any) -> Json:
    return {"name": "regular", "configuration": {"chunk_shape": list(chunk)}}


@hostile("zarr-giant_chunk_in_283_bytes.zip", "huge_chunk", "no_chunks", shape_zyx=(512, 512, 512), confined=True)
def _(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        metadata = {**V2, "shape": [512] * 3, "chunks": [512] * 3, "compressor": None}
        out.writestr(".zarray", json.dumps(metadata, separators=(",", ":")))


for size in (256, 400, 510):

    @hostile(
        f"zarr-chunk_of_{size}_cubed_none_stored.zip", "huge_chunk", "all_background", "no_chunks", shape_zyx=(510,) * 3
    )
    def _(path: Path, size=size) -> None:
        metadata = {**V3, "shape": [510] * 3, "chunk_grid": regular(size, size, size)}
        archive(path, {"zarr.json": json.dumps(metadata)})


@hostile("zarr-chunk_of_1_gib_stored.zip", "huge_chunk", *DAMAGED, shape_zyx=(511, 511, 511))
def _(path: Path) -> None:
    data = gzip.compress(bytes(100 << 20), 9, mtime=0)
    archive(path, {".zarray": json.dumps({**V2, "shape": [511] * 3, "chunks": [511] * 3}), "0.0.0": data})


@hostile("zarr-axonem_none_stored.zip", "all_background", "no_chunks", shape_zyx=AXONEM)
def _(path: Path) -> None:
    v3(path, shape=list(AXONEM), chunk_grid=regular(64, 64, 64), fill_value=0, chunk_key_encoding={"name": "v2"})


@hostile("zarr-axonem_signed_none_stored.zip", "all_background", "no_chunks", shape_zyx=AXONEM)
def _(path: Path) -> None:
    v2(path, shape=list(AXONEM), chunks=[64, 64, 64], dtype="<i8", dimension_separator="/")


@hostile("zarr-chunks_of_one_voxel.zip", "tiny_chunks", "all_background", "no_chunks", shape_zyx=(310, 310, 310))
def _(path: Path) -> None:
    v2(path, shape=[310] * 3, chunks=[1, 1, 1], dimension_separator="/")


@hostile("zarr-chunks_of_one_voxel_of_axonem.zip", "tiny_chunks", shape_zyx=AXONEM)
def _(path: Path) -> None:
    v3(path, shape=list(AXONEM), chunk_grid=regular(1, 1, 1))


SHAPES = {
    "negative": [-16, 32, 32],
    "floats": [16.0, 32.0, 32.0],
    "booleans": [True, True, True],
    "huge": [2**62, 2**62, 2**62],
    "huger": [10**400, 1, 1],
    "text": "16x32x32",
    "objects": [{}, [], None],
    "nothing": None,
    "zero": [0, 32, 32],
    "4000_dimensions": [1] * 4000,
}
for kind, shape in SHAPES.items():

    @hostile(f"zarr-shape_{kind}.zip", *BAD, "tiny_chunks", "no_voxels", "wrong_ndim", "wrong_shape")
    def _(path: Path, shape=shape) -> None:
        v3(path, shape=shape)

    @hostile(f"zarr-v2_shape_{kind}.zip", *BAD, "tiny_chunks", "no_voxels", "wrong_ndim", "wrong_shape")
    def _(path: Path, shape=shape) -> None:
        v2(path, shape=shape)


for kind, shape in {
    "zero": [0, 0, 0],
    "negative": [-1, 16, 16],
    "huge": [2**62] * 3,
    "text": "8",
    "short": [8],
}.items():

    @hostile(f"zarr-chunk_shape_{kind}.zip", *BAD, "huge_chunk", any_answer=kind == "huge")
    def _(path: Path, shape=shape) -> None:
        v3(path, chunk_grid={"name": "regular", "configuration": {"chunk_shape": shape}})

    @hostile(f"zarr-v2_chunk_shape_{kind}.zip", *BAD, "huge_chunk", any_answer=kind == "huge")
    def _(path: Path, shape=shape) -> None:
        v2(path, chunks=shape)


DTYPES = ("O", "|O", "<U8", "|V16", "<M8[ns]", "<c16", "<f2", "|b1", "u16", "<u3", "evil", "", "<u8,<u8", "(2,3)<u8")
for i, dtype in enumerate(DTYPES):

    @hostile(f"zarr-v2_dtype_{i}.zip", *BAD, "wrong_dtype", any_answer=dtype == "|b1")
    def _(path: Path, dtype=dtype) -> None:
        v2(path, dtype=dtype)


@hostile("zarr-v2_dtype_structured.zip", *BAD, "wrong_dtype")
def _(path: Path) -> None:
    v2(path, dtype=[["a", "<u8"], ["b", "<u8", [2, 2]]])


@hostile("zarr-data_type_nested.zip", *BAD, "wrong_dtype")
def _(path: Path) -> None:
    v3(path, data_type={"name": "numpy.datetime64", "configuration": {"unit": "s"}})


METADATA = {
    "depth_bomb": "[" * 200_000,
    "depth_bomb_of_objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "digits": '{"zarr_format":2,"shape":[' + "9" * 500_000 + "]}",
    "nan": json.dumps({**V2, "fill_value": 0}).replace('"fill_value": 0', '"fill_value": NaN'),
    "twice": json.dumps(V2)[:-1] + ',"shape":[1,1,1]}',
    "no_json": "\xff\xfe{",
    "nul": "\0" * 1000,
    "list": "[1,2,3]",
    "number": "7",
    "empty": "",
    "utf16": json.dumps(V2).encode("utf-16"),
}
for kind, text in METADATA.items():

    @hostile(f"zarr-metadata_{kind}.zip", *BAD, any_answer=kind in ("twice", "utf16"))
    def _(path: Path, text=text) -> None:
        archive(path, {".zarray": text, **chunks(".")})


@hostile("zarr-metadata_of_200_mib.zip", "huge_metadata", "huge_chunk")
def _(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out, out.open("zarr.json", "w") as file:
        for _ in range(200):
            file.write(b" " * (1 << 20))


@hostile("zarr-metadata_45_times_15_mib.zip", "huge_metadata", "too_many_files", "ambiguous_dataset", *BAD)
def _(path: Path) -> None:
    """Each below the limit, together not."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        text = json.dumps(V2).encode()
        for i in range(45):
            out.writestr(zipfile.ZipInfo(f"{i}/.zarray"), text + b" " * (15 << 20), zipfile.ZIP_DEFLATED, 9)


@hostile("zarr-3000_arrays.zip", "ambiguous_dataset", "too_many_files", confined=True)
def _(path: Path) -> None:
    text = json.dumps(V2, separators=(",", ":"))
    archive(path, {f"{i}/.zarray": text for i in range(3000)})


@hostile("zarr-2000_arrays_in_2000_pyramids.zip", "ambiguous_dataset", "too_many_files")
def _(path: Path) -> None:
    """Each group says that the others' arrays are levels of its own."""
    levels = json.dumps({"multiscales": [{"datasets": [{"path": str(i)} for i in range(40)]}]})
    arrays = {f"{i}/.zarray": json.dumps(V2) for i in range(1500)}
    archive(path, {**{f"{i}/.zattrs": levels for i in range(600)}, **arrays})


@hostile("zarr-groups_20000_deep.zip", "long_name")
def _(path: Path) -> None:
    archive(path, {"a/" * 20_000 + ".zarray": json.dumps(V2)})


CODECS = {
    "unknown": [{"name": "pickle"}],
    "none": [],
    "text": "gzip",
    "numbers": [1, 2],
    "two_serializers": [V3["codecs"][0], V3["codecs"][0]],
    "gzip_1000_times": [V3["codecs"][0], *[{"name": "gzip", "configuration": {"level": 1}}] * 1000],
    "transpose_lies": [{"name": "transpose", "configuration": {"order": [0, 0, 9]}}, V3["codecs"][0]],
}
for kind, codecs in CODECS.items():

    @hostile(f"zarr-codecs_{kind}.zip", *BAD, *DAMAGED, "codec")
    def _(path: Path, codecs=codecs) -> None:
        v3(path, codecs=codecs)


for i, compressor in enumerate(({"id": "pickle"}, {"id": "blosc", "cname": "evil"}, "gzip", [], {"id": 7}, {})):

    @hostile(f"zarr-v2_compressor_{i}.zip", *BAD, "codec")
    def _(path: Path, compressor=compressor) -> None:
        v2(path, compressor=compressor)


@hostile("zarr-v2_filters.zip", *BAD, "codec")
def _(path: Path) -> None:
    v2(path, filters=[{"id": "delta", "dtype": "<u8"}] * 100)


PACKED = {
    "gzip_bomb": lambda: ("gzip", gzip.compress(bytes(300 << 20), 9, mtime=0)),
    "gzip_short": lambda: ("gzip", gzip.compress(bytes(8))),
    "gzip_torn": lambda: ("gzip", gzip.compress(bytes(16384))[:-9]),
    "gzip_members": lambda: ("gzip", gzip.compress(b"", mtime=0) * 20_000),
    "zstd_bomb": lambda: ("zstd", imagecodecs.zstd_encode(bytes(512 << 20), 1)),
    "zstd_size_lies": lambda: ("zstd", b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 2**62) + b"\1\0\0"),
    "blosc_bomb": lambda: ("blosc", imagecodecs.blosc_encode(bytes(100 << 20), 9)),
    "blosc_size_lies": lambda: ("blosc", struct.pack("<BBBBIII", 2, 1, 0x21, 8, 2**31 - 1, 2**31 - 1, 64) + bytes(48)),
}
CONFIGURATION = {
    "gzip": {"level": 1},
    "zstd": {"level": 1},
    "blosc": {"cname": "lz4", "clevel": 5, "shuffle": "noshuffle", "typesize": 8, "blocksize": 0},
}
for kind, packed in PACKED.items():

    @hostile(f"zarr-chunk_{kind}.zip", *DAMAGED)
    def _(path: Path, packed=packed) -> None:
        codec, data = packed()
        codecs = [V3["codecs"][0], {"name": codec, "configuration": CONFIGURATION[codec]}]
        v3(path, {"c/0/0/0": data, "c/1/1/1": data}, codecs=codecs)


def sharded(path: Path, index: bytes, inner: tuple[int, ...] = CHUNK, data: bytes = b"", **changes: Any) -> None:
    """One shard for the whole volume: its data, and an index at its end."""
    configuration = {
        "chunk_shape": list(inner),
        "codecs": [V3["codecs"][0]],
        "index_codecs": [V3["codecs"][0]],
        "index_location": "end",
    }
    codecs = [{"name": "sharding_indexed", "configuration": {**configuration, **changes}}]
    metadata = {**copy.deepcopy(V3), "codecs": codecs, "chunk_grid": regular(*SHAPE)}
    archive(path, {"zarr.json": json.dumps(metadata), "c/0/0/0": data + index})


def shard_index(*entries: tuple[int, int]) -> bytes:
    return b"".join(struct.pack("<QQ", *entry) for entry in entries)


SIZE = 8 * 16 * 16 * 8
SHARDS = {
    "outside": shard_index(*[(2**62, SIZE)] * 8),
    "beyond_the_end": shard_index(*[(10_000, SIZE)] * 8),
    "overflow": shard_index(*[(2**64 - 8, SIZE)] * 8),
    "size_lies": shard_index(*[(0, 2**62)] * 8),
    "short": b"\0" * 17,
    "empty": b"",
}
for kind, index in SHARDS.items():

    @hostile(f"zarr-shard_index_{kind}.zip", *DAMAGED, "all_background")
    def _(path: Path, index=index) -> None:
        sharded(path, index, data=bytes(SIZE))


@hostile("zarr-shard_index_all_one.zip", "overlapping_chunks", "one_label", *DAMAGED)
def _(path: Path) -> None:
    sharded(path, shard_index(*[(0, SIZE)] * 8), data=np.full(SIZE // 8, 5, "<u8").tobytes())


@hostile("zarr-shard_of_voxels.zip", *BAD, *DAMAGED, "tiny_chunks")
def _(path: Path) -> None:
    sharded(path, b"\xff" * 16, inner=(1, 1, 1))


@hostile("zarr-shard_chunk_of_0.zip", *BAD)
def _(path: Path) -> None:
    sharded(path, b"", inner=(0, 16, 16))


@hostile("zarr-shard_index_of_2_40.zip", *BAD, "tiny_chunks", "huge_chunk", *DAMAGED, shape_zyx=(300, 300, 300))
def _(path: Path) -> None:
    """A shard whose index alone would take 400 MB."""
    inner = {"chunk_shape": [1, 1, 1], "codecs": [V3["codecs"][0]], "index_codecs": [V3["codecs"][0]]}
    codecs = [{"name": "sharding_indexed", "configuration": inner}]
    v3(path, {"c/0/0/0": bytes(1000)}, shape=[300] * 3, codecs=codecs, chunk_grid=regular(300, 300, 300))


@hostile("zarr-shards_in_shards.zip", *BAD, *DAMAGED, "nested_shards")
def _(path: Path) -> None:
    codecs = [V3["codecs"][0]]
    for _ in range(200):
        inner = {"chunk_shape": list(CHUNK), "codecs": codecs, "index_codecs": [V3["codecs"][0]]}
        codecs = [{"name": "sharding_indexed", "configuration": inner}]
    v3(path, codecs=codecs)


@hostile("zarr-shards_in_shards_in_shards.zip", *BAD, *DAMAGED, "nested_shards")
def _(path: Path) -> None:
    codecs = [V3["codecs"][0]]
    for _ in range(3):
        inner = {"chunk_shape": list(CHUNK), "codecs": codecs, "index_codecs": [V3["codecs"][0]]}
        codecs = [{"name": "sharding_indexed", "configuration": inner}]
    v3(path, codecs=codecs)


@hostile("zarr-fill_negative.zip", "negative_label", *BAD, "no_chunks", "all_background")
def _(path: Path) -> None:
    archive(path, {".zarray": json.dumps({**V2, "dtype": "<i8", "fill_value": -1})})


@hostile("zarr-fill_of_another_type.zip", *BAD)
def _(path: Path) -> None:
    v2(path, fill_value=[{"a": 1}])


@hostile("zarr-separator_leads_outside.zip", *BAD, "outside_path", "all_background", "no_chunks", "misplaced_chunks")
def _(path: Path) -> None:
    v2(path, dimension_separator="/../")


@hostile("zarr-chunk_is_a_folder.zip", *DAMAGED, "all_background", "no_chunks", "misplaced_chunks")
def _(path: Path) -> None:
    archive(path, {".zarray": json.dumps(V2), **{f"{name}/": b"" for name in chunks(".")}})


@hostile("zarr-storage_transformers.zip", *BAD)
def _(path: Path) -> None:
    v3(path, storage_transformers=[{"name": "http", "configuration": {"url": "http://127.0.0.1/"}}])


@hostile("zarr-pyramid_leads_outside.zip", "outside_path")
def _(path: Path) -> None:
    datasets = [{"path": "../../../etc/passwd"}]
    v2(path, {".zattrs": json.dumps({"multiscales": [{"datasets": datasets}]})})


@hostile("zarr-pyramid_of_itself.zip", any_answer=True)
def _(path: Path) -> None:
    datasets = [{"path": ""}, {"path": "."}, {"path": None}][:2]
    v2(path, {".zattrs": json.dumps({"multiscales": [{"datasets": datasets, "axes": 7}]})})


@hostile("zarr-scale_is_nan.zip", any_answer=True)
def _(path: Path) -> None:
    v2(path, {".zattrs": '{"voxel_size_nm": [NaN, Infinity, 1e400], "resolution": [[1], {}]}'})
