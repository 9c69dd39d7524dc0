"""Neuroglancer precomputed volumes in a zip archive whose info or chunks lie."""

import copy
import gzip
import io
import json
import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from tests.hostile.case import AXONEM, DAMAGED, LABELS, SHAPE, hostile
from tests.hostile.zarr_files import archive

Json = dict[str, Any]
BAD = ("bad_metadata", "unreadable")
SIZE = list(SHAPE[::-1])
SCALE: Json = {
    "key": "s0",
    "size": SIZE,
    "chunk_sizes": [[16, 16, 8]],
    "resolution": [8, 8, 30],
    "encoding": "raw",
    "voxel_offset": [0, 0, 0],
}
INFO: Json = {"type": "segmentation", "data_type": "uint64", "num_channels": 1, "scales": [SCALE]}


def chunk_files(pack=lambda labels: labels.tobytes()) -> dict[str, bytes]:
    """The chunk files of LABELS; ``pack`` gets (z, y, x) labels, which lie in the file as x fastest."""
    return {
        f"s0/{x}-{x + 16}_{y}-{y + 16}_{z}-{z + 8}": pack(np.ascontiguousarray(LABELS[z:, y:, x:][:8, :16, :16]))
        for z in (0, 8)
        for y in (0, 16)
        for x in (0, 16)
    }


def precomputed(path: Path, files: dict[str, bytes] | None = None, info: Json | None = None, **scale: Any) -> None:
    """A good volume but for changes to its first scale, its info, and its files."""
    text = json.dumps({**INFO, "scales": [{**SCALE, **scale}], **(info or {})})
    archive(path, {"info": text, **(chunk_files() if files is None else files)})


SHARDING: Json = {
    "@type": "neuroglancer_uint64_sharded_v1",
    "preshift_bits": 0,
    "minishard_bits": 0,
    "shard_bits": 0,
    "hash": "identity",
    "data_encoding": "raw",
    "minishard_index_encoding": "raw",
}
SCALES = {
    "size_negative": {"size": [-32, 32, 16]},
    "size_floats": {"size": [32.5, 32, 16]},
    "size_zero": {"size": [0, 32, 16]},
    "size_huge": {"size": [2**62, 2**62, 2**62]},
    "size_text": {"size": "32"},
    "size_nested": {"size": [[32], [32], [16]]},
    "chunk_zero": {"chunk_sizes": [[0, 0, 0]]},
    "chunk_negative": {"chunk_sizes": [[-1, 16, 8]]},
    "chunks_missing": {"chunk_sizes": []},
    "chunks_text": {"chunk_sizes": "all"},
    "resolution_text": {"resolution": ["a", {}, None]},
    "resolution_zero": {"resolution": [0, 0, 0]},
    "offset_huge": {"voxel_offset": [2**62, 2**62, 2**62]},
    "offset_text": {"voxel_offset": "0"},
    "encoding_unknown": {"encoding": "evil"},
    "encoding_list": {"encoding": ["raw"]},
    "key_absolute": {"key": "/etc"},
    "key_outside": {"key": "../../etc"},
    "key_url": {"key": "gs://bucket/x"},
    "key_number": {"key": 7},
    "size_zero_sharded": {"size": [32, 0, 16], "sharding": SHARDING},
    "sharding_unknown": {"sharding": {"@type": "evil"}},
    "sharding_text": {"sharding": "x"},
    "block_size_zero": {"encoding": "compressed_segmentation", "compressed_segmentation_block_size": [0, 0, 0]},
    "block_size_huge": {"encoding": "compressed_segmentation", "compressed_segmentation_block_size": [2**30] * 3},
}
for kind, change in SCALES.items():

    @hostile(
        f"precomputed-{kind}.zip",
        *BAD,
        *DAMAGED,
        *("no_voxels", "wrong_shape", "tiny_chunks", "outside_path", "lossy", "encoding", "wrong_voxel_size"),
        *("all_background", "no_chunks", "bad_voxel_size", "misplaced_chunks"),
        any_answer=kind == "resolution_zero",
    )
    def _(path: Path, change=change) -> None:
        precomputed(path, **change)


@hostile("precomputed-jpeg.zip", "lossy")
def _(path: Path) -> None:
    precomputed(path, encoding="jpeg", info={"data_type": "uint8"})


@hostile("precomputed-resolution_nan.zip", any_answer=True)
def _(path: Path) -> None:
    text = json.dumps(INFO).replace("[8, 8, 30]", "[NaN, Infinity, -Infinity]")
    archive(path, {"info": text, **chunk_files()})


@hostile("precomputed-20000_scales.zip", any_answer=True)
def _(path: Path) -> None:
    scales = [SCALE, *({**SCALE, "key": f"{i}"} for i in range(1, 4000))]
    precomputed(path, info={"scales": scales})


@hostile("precomputed-scales_of_one_name.zip", any_answer=True)
def _(path: Path) -> None:
    precomputed(path, info={"scales": [SCALE] * 1000})


@hostile("precomputed-no_scales.zip", *BAD)
def _(path: Path) -> None:
    precomputed(path, info={"scales": []})


@hostile("precomputed-scales_no_list.zip", *BAD)
def _(path: Path) -> None:
    precomputed(path, info={"scales": {"0": SCALE}})


for kind, info in {
    "channels_1000": {"num_channels": 1000},
    "channels_negative": {"num_channels": -1},
    "type_float": {"data_type": "float32"},
    "type_object": {"data_type": {"a": 1}},
    "type_odd": {"data_type": "object"},
    "type_text": {"data_type": "S8"},
    "image": {"type": "image", "data_type": "uint8"},
}.items():

    @hostile(f"precomputed-{kind}.zip", *BAD, *DAMAGED, "wrong_dtype", "wrong_ndim", any_answer=kind == "image")
    def _(path: Path, info=info) -> None:
        precomputed(path, info=info)


@hostile("precomputed-chunk_of_1_gib.zip", "huge_chunk", "all_background", "no_chunks", shape_zyx=(510, 510, 510))
def _(path: Path) -> None:
    precomputed(path, {}, size=[510] * 3, chunk_sizes=[[510] * 3])


@hostile("precomputed-axonem_none_stored.zip", "all_background", "no_chunks", shape_zyx=AXONEM)
def _(path: Path) -> None:
    precomputed(path, {}, size=list(AXONEM[::-1]), chunk_sizes=[[64, 64, 64]])


@hostile("precomputed-chunks_of_one_voxel.zip", "tiny_chunks", "all_background", "no_chunks", shape_zyx=(310, 310, 310))
def _(path: Path) -> None:
    precomputed(path, {}, size=[310] * 3, chunk_sizes=[[1, 1, 1]])


@hostile("precomputed-chunk_too_short.zip", *DAMAGED)
def _(path: Path) -> None:
    precomputed(path, chunk_files(lambda labels: labels.tobytes()[:-8]))


@hostile("precomputed-chunk_too_long.zip", *DAMAGED)
def _(path: Path) -> None:
    precomputed(path, chunk_files(lambda labels: labels.tobytes() + bytes(8)))


@hostile("precomputed-chunk_names_of_others.zip", "all_background", "no_chunks", "misplaced_chunks")
def _(path: Path) -> None:
    files = {name.replace("s0/", "s0/../s0/x"): data for name, data in chunk_files().items()}
    precomputed(path, {name.replace("/../s0", ""): data for name, data in files.items()})


def segments(*words: int) -> bytes:
    return struct.pack(f"<{len(words)}I", *words)


COMPRESSED = {
    "empty": b"",
    "header_only": segments(1),
    "channel_outside": segments(2**32 - 1),
    "table_outside": segments(1, *[0xFFFFFF, 4] * 4),
    "values_outside": segments(1, *[3 << 24 | 0, 0xFFFFFFFF] * 4),
    "bits_7": segments(1, *[7 << 24, 8] * 4, 1, 0),
    "bits_255": segments(1, *[255 << 24, 8] * 4, 1, 0),
    "index_outside_its_table": segments(1, *[32 << 24 | 8, 10] * 4, 1, 0, *[2**32 - 1] * 600),
    "table_is_the_header": segments(1, *[0, 0] * 4),
}
for kind, data in COMPRESSED.items():

    @hostile(f"precomputed-segments_{kind}.zip", *DAMAGED, any_answer=kind == "table_is_the_header")
    def _(path: Path, data=data) -> None:
        precomputed(
            path,
            chunk_files(lambda labels: data),
            encoding="compressed_segmentation",
            compressed_segmentation_block_size=[8, 8, 8],
        )


@hostile("precomputed-png_of_another_size.zip", *DAMAGED, *BAD)
def _(path: Path) -> None:
    data = imagecodecs.png_encode(np.zeros((4000, 4000), np.uint8))
    precomputed(path, chunk_files(lambda labels: data), encoding="png", info={"data_type": "uint8"})


@hostile("precomputed-png_header_of_2_31.zip", *DAMAGED, *BAD)
def _(path: Path) -> None:
    data = bytearray(imagecodecs.png_encode(np.zeros((16, 16), np.uint8)))
    data[16:24] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
    precomputed(path, chunk_files(lambda labels: bytes(data)), encoding="png", info={"data_type": "uint8"})


@hostile("precomputed-compresso_of_noise.zip", "encoding")
def _(path: Path) -> None:
    data = b"cpso\0\x08" + b"\xff" * 300
    precomputed(path, chunk_files(lambda labels: data), encoding="compresso")


@hostile("precomputed-crackle.zip", *BAD, "encoding", "lossy")
def _(path: Path) -> None:
    precomputed(path, chunk_files(lambda labels: b"crkl" + b"\xff" * 300), encoding="crackle")


def sharded(path: Path, shard: bytes, **changes: Any) -> None:
    precomputed(path, {"s0/0.shard": shard, "s0/.shard": shard}, sharding={**copy.deepcopy(SHARDING), **changes})


def minishard(entries: list[tuple[int, int, int]]) -> bytes:
    """Index: ids, starts and sizes, each as a row, ids and starts as differences."""
    return np.array(entries, "<u8").T.tobytes()


NOISE = bytes(16384)
SHARDS = {
    "index_outside": (struct.pack("<QQ", 2**62, 2**62 + 24), {}),
    "index_reversed": (struct.pack("<QQ", 24, 0) + NOISE, {}),
    "index_odd": (struct.pack("<QQ", 0, 23) + NOISE, {}),
    "index_short": (b"\0" * 7, {}),
    "chunk_outside": (struct.pack("<QQ", 0, 24) + minishard([(0, 2**62, 16384)]), {}),
    "chunk_of_2_60": (struct.pack("<QQ", 0, 24) + minishard([(0, 0, 2**60)]), {}),
    "bits_64": (NOISE, {"minishard_bits": 64, "shard_bits": 64, "preshift_bits": 64}),
    "bits_of_minishards_60": (NOISE, {"minishard_bits": 60}),
    "bits_of_minishards_32": (NOISE, {"minishard_bits": 32}),
    "bits_negative": (NOISE, {"minishard_bits": -1}),
    "hash_unknown": (NOISE, {"hash": "sha1"}),
    "encoding_unknown": (NOISE, {"data_encoding": "zstd9"}),
}
SHARD_CODES = (*BAD, *DAMAGED, "all_background", "no_chunks", "misplaced_chunks")
for kind, (shard, changes) in SHARDS.items():

    @hostile(f"precomputed-shard_{kind}.zip", *SHARD_CODES)
    def _(path: Path, shard=shard, changes=changes) -> None:
        sharded(path, shard, **changes)


@hostile("precomputed-shard_index_bomb.zip", *SHARD_CODES)
def _(path: Path) -> None:
    bomb = gzip.compress(bytes(200 << 20), 9, mtime=0)[:199_984]
    sharded(path, struct.pack("<QQ", 0, 200_000) + bomb, minishard_index_encoding="gzip")


@hostile("precomputed-gzip_chunks.zip", "packed_chunks", "all_background")
def _(path: Path) -> None:
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb", mtime=0) as out:
        out.write(bytes(64 << 20))
    precomputed(path, {f"{name}.gz": bomb.getvalue() for name in chunk_files()})


@hostile("precomputed-info_is_html.zip", *BAD)
def _(path: Path) -> None:
    archive(path, {"info": "<!doctype html><title>404</title>", **chunk_files()})


@hostile("precomputed-info_depth_bomb.zip", *BAD)
def _(path: Path) -> None:
    archive(path, {"info": '{"scales":' * 80_000, **chunk_files()})


@hostile("precomputed-skeletons_for_labels.zip", *BAD, "skeletons")
def _(path: Path) -> None:
    archive(
        path, {"info": json.dumps({"@type": "neuroglancer_skeletons", "transform": [1, 0, 0, 0]}), "1": b"\xff" * 8}
    )
