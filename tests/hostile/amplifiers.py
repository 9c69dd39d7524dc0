"""Files in which few bytes are much work: tables that lead to one part many times, or back to themselves."""

import bz2
import json
import struct
import zipfile
import zlib
from pathlib import Path

import h5py
import imagecodecs
import numpy as np

from tests.hostile.case import AXONEM, DAMAGED, LABELS, SHAPE, hostile
from tests.hostile.hdf5_layouts import CHUNK, good
from tests.hostile.precomputed_files import SHARDING, precomputed
from tests.hostile.tiff_files import OFFSETS, ROWS, pages
from tests.hostile.tiff_files import page as tiff_page
from tests.hostile.zarr_files import V2, V3, archive, chunks, regular

LITTLE = V3["codecs"][0]
BROKEN_TREE = (
    *DAMAGED,
    "overlapping_chunks",
    "damaged_header",
    "too_slow",
    "reader_crashed",
    "no_dataset",
    "too_many_objects",
)


@hostile("hdf5-tree_of_one_leaf.h5", *BROKEN_TREE, confined=True)
def _(path: Path) -> None:
    """Eight levels of the chunk index, each of 64 entries that lead to the one node below."""
    good(path)
    content = bytearray(path.read_bytes())
    at = content.find(b"TREE\x01")
    entry = bytes(content[at + 24 : at + 24 + 48])
    child = at
    for level in range(1, 9):
        key, keys = entry[:40], b""
        for _ in range(64):
            keys += key + struct.pack("<Q", child)
        child = len(content)
        content += b"TREE\x01" + bytes([level]) + struct.pack("<HQQ", 64, 2**64 - 1, 2**64 - 1) + keys + key
    content = bytearray(bytes(content).replace(struct.pack("<Q", at), struct.pack("<Q", child)))
    for node in range(8):  # the links between nodes were replaced too where they led to the leaf
        if node == 0:
            first = bytes(content).find(b"TREE\x01\x01")
            for i in range(64):
                struct.pack_into("<Q", content, first + 24 + i * 48 + 40, at)
    struct.pack_into("<Q", content, 40, len(content))
    path.write_bytes(content)


@hostile("hdf5-group_tree_of_itself.h5", *BROKEN_TREE, confined=True)
def _(path: Path) -> None:
    good(path)
    content = bytearray(path.read_bytes())
    at = content.find(b"TREE\0")
    content[at + 5] = 1
    struct.pack_into("<Q", content, at + 24 + 8, at)
    path.write_bytes(content)


@hostile("hdf5-header_continues_in_itself.h5", *BROKEN_TREE, any_answer=True)
def _(path: Path) -> None:
    """The first message of the data set's header says that it goes on at that very message."""
    good(path)
    content = bytearray(path.read_bytes())
    entry = content.find(b"SNOD") + 8
    header = struct.unpack_from("<Q", content, entry + 8)[0]
    struct.pack_into("<HHBxxxQQ", content, header + 16, 16, 16, 0, header + 16, 200)
    path.write_bytes(content)


@hostile("hdf5-type_committed_in_itself.h5", *BROKEN_TREE, confined=True)
def _(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["kind"] = np.dtype("u8")
        file.create_dataset("main", SHAPE, file["kind"], chunks=CHUNK)[:] = LABELS
        address = h5py.h5o.get_info(file["kind"].id).addr
        own = h5py.h5o.get_info(file["main"].id).addr
    path.write_bytes(path.read_bytes().replace(struct.pack("<Q", address), struct.pack("<Q", own)))


@hostile("hdf5-global_heap_torn.h5", any_answer=True)
def _(path: Path) -> None:
    good(path)
    with h5py.File(path, "a") as file:
        file["main"].attrs["voxel_size_nm"] = ["30", "8", "8"]
    content = bytearray(path.read_bytes())
    at = content.find(b"GCOL")
    content[at + 8 : at + 64] = b"\xff" * 56
    path.write_bytes(content)


@hostile("zarr-chunks_of_one_voxel_a_few_stored.zip", any_answer=True, shape_zyx=(100, 100, 100))
def _(path: Path) -> None:
    """Wherever several chunks are read at a time, one of them is there."""
    metadata = {**V2, "shape": [100] * 3, "chunks": [1, 1, 1], "compressor": None}
    places = [(z, y, 0) for z in range(0, 100, 4) for y in range(0, 100, 20)]
    files = {f"{z}.{y}.{x}": struct.pack("<Q", z + 1) for z, y, x in places}
    archive(path, {".zarray": json.dumps(metadata), **files})


@hostile("precomputed-shards_of_one_voxel.zip", "all_background", *DAMAGED, shape_zyx=(100, 100, 100))
def _(path: Path) -> None:
    precomputed(path, {"s0/0.shard": bytes(16)}, size=[100] * 3, chunk_sizes=[[1, 1, 1]], sharding=SHARDING)


@hostile(
    "zarr-shard_of_axonem_all_one.zip",
    "one_label",
    "too_slow",
    "overlapping_chunks",
    shape_zyx=AXONEM,
    cpu_seconds=100,
    slow=True,
)
def _(path: Path) -> None:
    """All 49,152 chunks of 2 MiB are the same hundred bytes."""
    data = imagecodecs.zstd_encode(np.ones(64**3, "<u8"), 1)
    shape = [768, 4096, 4096]
    codecs = [LITTLE, {"name": "zstd", "configuration": {"level": 1, "checksum": False}}]
    inner = {"chunk_shape": [64] * 3, "codecs": codecs, "index_codecs": [LITTLE], "index_location": "end"}
    metadata = {
        **V3,
        "shape": list(AXONEM),
        "chunk_grid": regular(*shape),
        "codecs": [{"name": "sharding_indexed", "configuration": inner}],
    }
    index = struct.pack("<QQ", 0, len(data)) * (12 * 64 * 64)
    archive(path, {"zarr.json": json.dumps(metadata), "c/0/0/0": data + index})


@hostile(
    "tiff-pages_share_a_table_of_strips.tif",
    *DAMAGED,
    "overlapping_chunks",
    "too_many_strips",
    shape_zyx=(3000, 32000, 8),
)
def _(path: Path) -> None:
    """Each of 3,000 pages has 32,000 strips of one row, by one and the same table."""
    n = 32_000
    pages(path, [{**tiff_page((n, 8), 8), ROWS: (4, [1])} for _ in range(3000)], bytes(8))
    content = bytearray(path.read_bytes())
    tables = len(content)
    for tag, place in ((OFFSETS, tables), (279, tables + 4 * n)):
        old = struct.pack("<HHI", tag, 4, 1)
        at = content.find(old, 8)
        while at >= 0:
            struct.pack_into("<HHII", content, at, tag, 4, n, place)
            at = content.find(old, at + 1)
    content += struct.pack("<I", 8) * n + struct.pack("<I", 8) * n
    path.write_bytes(content)


def _lying_size(path: Path, method: int, data: bytes, name: str, files: dict[str, bytes | str]) -> None:
    """An archive one entry of which inflates to more than its header says."""
    archive(path, {**files, name: data})
    content = bytearray(path.read_bytes())
    size, claimed = struct.pack("<II", len(data), len(data)), struct.pack("<II", len(data), 16384)
    for signature, at_method, at_size in ((b"PK\3\4", 8, 18), (b"PK\1\2", 10, 20)):
        at = content.find(signature)
        while at >= 0:
            if content[at + at_size : at + at_size + 8] == size:
                struct.pack_into("<H", content, at + at_method, method)
                content[at + at_size : at + at_size + 8] = claimed
            at = content.find(signature, at + 1)
    path.write_bytes(content)


def _deflated(megabytes: int) -> bytes:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    return squeeze.compress(bytes(megabytes << 20)) + squeeze.flush()


RAW = {".zarray": json.dumps({**V2, "compressor": None})}
OTHERS = {name: data for name, data in chunks(".", pack=bytes).items() if name != "0.0.0"}
for kind, method, data in (
    ("deflated", zipfile.ZIP_DEFLATED, lambda: _deflated(500)),
    ("bzip2", zipfile.ZIP_BZIP2, lambda: bz2.compress(bytes(500 << 20))),
):

    @hostile(f"zip-chunk_{kind}_is_larger_than_it_says.zip", *DAMAGED, "unreadable", any_answer=True)
    def _(path: Path, method=method, data=data) -> None:
        _lying_size(path, method, data(), "0.0.0", {**RAW, **OTHERS})

    @hostile(f"zip-metadata_{kind}_is_larger_than_it_says.zip", "bad_metadata", *DAMAGED)
    def _(path: Path, method=method, data=data) -> None:
        _lying_size(path, method, data(), ".zarray", OTHERS)
