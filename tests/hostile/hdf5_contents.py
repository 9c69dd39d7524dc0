"""HDF5 files with filters that inflate without end, odd types, odd links, and damage."""

import struct
import zlib
from functools import cache
from pathlib import Path

import h5py
import hdf5plugin
import imagecodecs
import numpy as np

from tests.hostile.case import AXONEM, DAMAGED, LABELS, SHAPE, alter, hostile, overwrite
from tests.hostile.hdf5_layouts import CHUNK, good

CHUNK_BYTES = 8 * 16 * 16 * 8
BAD_FILTER = (*DAMAGED, "codec")


def chunk_of(path: Path, data: bytes, filter_mask: int = 0, **options) -> None:
    """A good file but for the bytes of its first chunk."""
    with h5py.File(path, "w") as file:
        made = file.create_dataset("main", data=LABELS, **{"chunks": CHUNK, **options})
        made.id.write_direct_chunk((0, 0, 0), data, filter_mask)


@cache
def zeros(encode, megabytes: int, *options: int) -> bytes:
    """Many zeros in few bytes."""
    return encode(bytes(megabytes << 20), *options)


BOMBS = {
    "gzip": lambda: (zeros(zlib.compress, 200, 9), {"compression": "gzip"}),
    "gzip_shuffle": lambda: (zeros(zlib.compress, 200, 9), {"compression": "gzip", "shuffle": True}),
    "gzip_fletcher": lambda: (zeros(zlib.compress, 200, 9), {"compression": "gzip", "fletcher32": True}),
    "gzip_short": lambda: (zlib.compress(bytes(100), 9), {"compression": "gzip"}),
    "gzip_endless": lambda: (zeros(zlib.compress, 200, 9)[:-2000], {"compression": "gzip"}),
    "zstd": lambda: (zeros(imagecodecs.zstd_encode, 512, 1), hdf5plugin.Zstd()),
    "zstd_size_lies": lambda: (b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 2**62) + b"\1\0\0", hdf5plugin.Zstd()),
    "lzf": lambda: (zeros(imagecodecs.lzf_encode, 64), {"compression": "lzf"}),
    "lz4": lambda: (struct.pack(">QI", 2**62, 2**30) + struct.pack(">I", 40) + bytes(40), hdf5plugin.LZ4()),
    "lz4_block_size_0": lambda: (struct.pack(">QI", CHUNK_BYTES, 0) + bytes(40), hdf5plugin.LZ4()),
    "blosc": lambda: (struct.pack("<BBBBIII", 2, 1, 0x21, 8, 2**31 - 1, 2**31 - 1, 64) + bytes(48), hdf5plugin.Blosc()),
    "blosc_block_size_0": lambda: (
        struct.pack("<BBBBIII", 2, 1, 0x21, 8, CHUNK_BYTES, 0, 64) + bytes(48),
        hdf5plugin.Blosc(),
    ),
    "blosc_zeros": lambda: (zeros(imagecodecs.blosc_encode, 200, 9), hdf5plugin.Blosc()),
    "blosc2": lambda: (zeros(imagecodecs.blosc2_encode, 200, 9), hdf5plugin.Blosc2()),
    "bitshuffle": lambda: (struct.pack(">QI", 2**62, 8192) + bytes(100), hdf5plugin.Bitshuffle()),
    "bitshuffle_block_size_0": lambda: (struct.pack(">QI", CHUNK_BYTES, 0) + bytes(100), hdf5plugin.Bitshuffle()),
    "bzip2": lambda: (b"BZh91AY&SY" + bytes(100), hdf5plugin.BZip2()),
    "scaleoffset": lambda: (b"\xff" * 400, {"scaleoffset": 0}),
    "scaleoffset_64_bits": lambda: (struct.pack("<IB", 64, 8) + bytes(30), {"scaleoffset": 0}),
    "one_byte": lambda: (b"x", {"compression": "gzip"}),
    "fletcher_of_3_bytes": lambda: (b"abc", {"fletcher32": True}),
}
if h5py.h5z.filter_avail(h5py.h5z.FILTER_SZIP):
    BOMBS["szip"] = lambda: (struct.pack("<I", 2**32 - 1) + b"\xff" * 400, {"compression": "szip"})

# What these decode has no check of its own.
ANY = ("scaleoffset_64_bits",)

for kind, bomb in BOMBS.items():

    @hostile(f"hdf5-filter_{kind}.h5", *BAD_FILTER, any_answer=kind in ANY)
    def _(path: Path, bomb=bomb) -> None:
        data, options = bomb()
        chunk_of(path, data, **options)


@hostile("hdf5-filter_nbit.h5", any_answer=True)
def _(path: Path) -> None:
    create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    create.set_chunk(CHUNK)
    create.set_filter(h5py.h5z.FILTER_NBIT, 0, ())
    kind = h5py.h5t.STD_U64LE.copy()
    kind.set_precision(40)
    with h5py.File(path, "w") as file:
        made = h5py.h5d.create(file.id, b"main", kind, h5py.h5s.create_simple(SHAPE), dcpl=create)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, LABELS)
        made.write_direct_chunk((0, 0, 0), b"\xff" * 7)


def filters(path: Path, numbers: list[tuple[int, int, tuple[int, ...]]], data: bytes) -> None:
    """A file whose first chunk holds these bytes; numbers : (filter, flags, parameters)."""
    create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    create.set_chunk(CHUNK)
    for number, flags, values in numbers:
        create.set_filter(number, flags, values)
    with h5py.File(path, "w") as file:
        made = h5py.h5d.create(file.id, b"main", h5py.h5t.STD_U64LE, h5py.h5s.create_simple(SHAPE), dcpl=create)
        made.write_direct_chunk((0, 0, 0), data)


@hostile("hdf5-filter_gzip_in_gzip.h5", "repeated_filter", confined=True)
def _(path: Path) -> None:
    filters(path, [(1, 0, (9,))] * 3, zlib.compress(zlib.compress(zlib.compress(bytes(1 << 30), 9), 9), 9))


@hostile("hdf5-filter_32_times.h5", "repeated_filter")
def _(path: Path) -> None:
    data = bytes(64)
    for _ in range(31):
        data = zlib.compress(data)
    filters(path, [(1, 0, (9,))] * 31, data)


@hostile("hdf5-filter_nobody_has.h5", *BAD_FILTER)
def _(path: Path) -> None:
    filters(path, [(300, 1, ())], b"x" * 100)


@hostile("hdf5-filter_shuffle_of_odd_size.h5", any_answer=True)
def _(path: Path) -> None:
    good(path, shuffle=True)
    content = bytearray(path.read_bytes())
    at = content.find(b"shuffle\0")
    content[at + 8 : at + 12] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(content)


def typed(path: Path, kind: h5py.h5t.TypeID, shape: tuple[int, ...] = SHAPE, name: bytes = b"main") -> None:
    """A dataset of a type that numpy may not know, nothing written."""
    with h5py.File(path, "a") as file:
        h5py.h5d.create(file.id, name, kind, h5py.h5s.create_simple(shape))


def _resized(kind: h5py.h5t.TypeID, size: int) -> h5py.h5t.TypeID:
    kind = kind.copy()
    kind.set_size(size)
    return kind


def _odd_float() -> h5py.h5t.TypeID:
    kind = h5py.h5t.IEEE_F64LE.copy()
    kind.set_fields(60, 40, 20, 0, 40)
    return kind


def _compound() -> h5py.h5t.TypeID:
    kind = h5py.h5t.create(h5py.h5t.COMPOUND, 24)
    kind.insert(b"a", 0, h5py.h5t.STD_U64LE)
    kind.insert(b"\xff\xfe", 8, h5py.h5t.array_create(h5py.h5t.STD_U64LE, (2,)))
    return kind


TYPES = {
    "compound": _compound,
    "string": lambda: _resized(h5py.h5t.C_S1, 8),
    "string_of_any_length": lambda: h5py.h5t.py_create(h5py.string_dtype(), logical=True),
    "enum": lambda: h5py.h5t.py_create(h5py.enum_dtype({"a": 1, "b": 2}, "u8"), logical=True),
    "bool": lambda: h5py.h5t.py_create(np.dtype(bool), logical=True),
    "reference": lambda: h5py.h5t.STD_REF_OBJ,
    "region_reference": lambda: h5py.h5t.STD_REF_DSETREG,
    "vlen": lambda: h5py.h5t.py_create(h5py.vlen_dtype("u8"), logical=True),
    "vlen_of_vlen": lambda: h5py.h5t.vlen_create(h5py.h5t.vlen_create(h5py.h5t.STD_U64LE)),
    "opaque": lambda: h5py.h5t.create(h5py.h5t.OPAQUE, 8),
    "array": lambda: h5py.h5t.array_create(h5py.h5t.STD_U64LE, (2, 3)),
    "array_of_2_31": lambda: h5py.h5t.array_create(h5py.h5t.STD_U8LE, (2**20, 2**10)),
    "bitfield": lambda: h5py.h5t.STD_B64LE,
    "128_bits": lambda: _resized(h5py.h5t.STD_U64LE, 16),
    "24_bits": lambda: _resized(h5py.h5t.STD_U64LE, 3),
    "float16": lambda: h5py.h5t.IEEE_F16LE,
    "float_nobody_has": _odd_float,
    "time": lambda: h5py.h5t.UNIX_D32LE,
    "complex": lambda: h5py.h5t.py_create(np.dtype("c16")),
}

for kind, make in TYPES.items():

    @hostile(f"hdf5-type_{kind}.h5", "wrong_dtype", any_answer=kind in ("24_bits", "bitfield", "enum", "bool"))
    def _(path: Path, make=make) -> None:
        typed(path, make())


@hostile("hdf5-type_nobody_has_beside_the_labels.h5", reads=LABELS)
def _(path: Path) -> None:
    good(path)
    typed(path, TYPES["128_bits"](), name=b"a")
    typed(path, TYPES["time"](), name=b"b")


@hostile("hdf5-type_of_40_bits.h5", reads=LABELS)
def _(path: Path) -> None:
    kind = h5py.h5t.STD_U64LE.copy()
    kind.set_precision(40)
    typed(path, kind)
    with h5py.File(path, "a") as file:
        file["main"][:] = LABELS


@hostile("hdf5-type_committed.h5", reads=LABELS, confined=True)
def _(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["kind"] = np.dtype("u8")
        file["other"] = np.dtype([("a", "S3", (2, 2))])
        file.create_dataset("main", SHAPE, file["kind"], chunks=CHUNK)[:] = LABELS


@hostile("hdf5-storage_external.h5", "external_storage")
def _(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("main", SHAPE, "u8", external=[("/etc/passwd", 0, 2**20)])


@hostile("hdf5-storage_virtual.h5", "external_storage")
def _(path: Path) -> None:
    layout = h5py.VirtualLayout(SHAPE, "u8")
    layout[:8] = h5py.VirtualSource("/etc/passwd", "main", (8, 32, 32))
    layout[8:] = h5py.VirtualSource(".", "main", SHAPE)[8:]
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("main", layout)


@hostile("hdf5-link_external.h5", "external_link")
def _(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["main"] = h5py.ExternalLink("/etc/passwd", "/")


@hostile("hdf5-link_soft_to_itself.h5", "no_dataset")
def _(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["main"], file["a"], file["b"] = h5py.SoftLink("/main"), h5py.SoftLink("/b"), h5py.SoftLink("/a")


@hostile("hdf5-link_hard_in_a_circle.h5", reads=LABELS)
def _(path: Path) -> None:
    good(path)
    with h5py.File(path, "a") as file:
        file.create_group("a/b/c")
        file["a/b/c/back"] = file["a"]
        file["a/b/root"] = file["/"]


@hostile("hdf5-link_user_defined.h5", any_answer=True)
def _(path: Path) -> None:
    with h5py.File(path, "w", libver="latest") as file:
        file["main"] = h5py.ExternalLink("x", "y")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"\x01\x08\x40", b"\x01\x08\x47"))


@hostile("hdf5-links_20000.h5", "too_many_objects")
def _(path: Path) -> None:
    with h5py.File(path, "w", libver="latest") as file:
        group = file.create_group("g")
        for i in range(20_000):
            h5py.h5o.link(group.id, file.id, b"%d" % i)


@hostile("hdf5-labels_under_9000_names.h5", "ambiguous_dataset", any_answer=True)
def _(path: Path) -> None:
    good(path)
    with h5py.File(path, "a", libver="latest") as file:
        file.move("main", "a")
        for i in range(9000):
            h5py.h5o.link(file["a"].id, file.id, b"%d" % i)


@hostile("hdf5-groups_3000_deep.h5", "no_dataset", "too_many_objects")
def _(path: Path) -> None:
    with h5py.File(path, "w", libver="latest") as file:
        here = file.id
        for _ in range(3000):
            here = h5py.h5g.create(here, b"g")


@hostile("hdf5-attributes_10000.h5", reads=LABELS)
def _(path: Path) -> None:
    good(path, libver="latest")
    with h5py.File(path, "a", libver="latest") as file:
        space = h5py.h5s.create(h5py.h5s.SCALAR)
        for i in range(10_000):
            h5py.h5a.create(file["main"].id, b"%d" % i, h5py.h5t.STD_U8LE, space)


ATTRIBUTES = {
    "text": "30x8x8",
    "nan": (np.nan, 1.0, 1.0),
    "infinite": (np.inf, 8.0, 8.0),
    "negative": (-30.0, 8.0, 8.0),
    "huge": np.zeros(8000),
    "empty": h5py.Empty("f8"),
    "reference": h5py.Reference(),
    "strings": ["30", "8", "8"],
    "compound": np.zeros(3, [("a", "f8"), ("b", "S4")]),
}
for kind, value in ATTRIBUTES.items():

    @hostile(f"hdf5-voxel_size_{kind}.h5", "wrong_voxel_size", "bad_voxel_size", any_answer=True)
    def _(path: Path, value=value) -> None:
        good(path)
        with h5py.File(path, "a") as file:
            file["main"].attrs["voxel_size_nm"] = value


@hostile("hdf5-voxel_size_of_a_type_nobody_has.h5", any_answer=True)
def _(path: Path) -> None:
    good(path)
    with h5py.File(path, "a") as file:
        for name, kind in ((b"voxel_size_nm", _odd_float()), (b"resolution", TYPES["128_bits"]())):
            h5py.h5a.create(file["main"].id, name, kind, h5py.h5s.create_simple((3,)))


@hostile("hdf5-user_block.h5", reads=LABELS)
def _(path: Path) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("main", data=LABELS, chunks=CHUNK, compression="gzip")
    with open(path, "r+b") as file:
        file.write(b"<html><script>alert(1)</script>")


@hostile("hdf5-left_open_by_its_writer.h5", "truncated", "left_open")
def _(path: Path) -> None:
    good(path, libver="latest")
    content = bytearray(path.read_bytes())
    content[11] |= 1
    content[44:48] = struct.pack("<I", int(imagecodecs.h5checksum_lookup3(bytes(content[:44]))))
    path.write_bytes(content)


def damaged(path: Path, change, **options) -> None:
    """A good file whose bytes ``change`` alters."""
    good(path, **options)
    alter(path, change)


SIGNATURE = b"\x89HDF\r\n\x1a\n"
DAMAGE = {
    "superblock_version": overwrite(SIGNATURE, 8, b"\x7f"),
    "superblock_sizes_of_offsets": overwrite(SIGNATURE, 13, b"\xff\xff"),
    "superblock_base_address": overwrite(SIGNATURE, 24, struct.pack("<Q", 2**50)),
    "superblock_end": overwrite(SIGNATURE, 40, struct.pack("<Q", 2**50)),
    "superblock_root": overwrite(SIGNATURE, 64, struct.pack("<Q", 8)),
    "btree_of_itself": None,
    "btree_level": overwrite(b"TREE\x01", 5, b"\xff"),
    "btree_used": overwrite(b"TREE\x01", 6, b"\xff\xff"),
    "group_btree": overwrite(b"TREE\0", 24, b"\xff" * 40),
    "heap_size": overwrite(b"HEAP", 8, struct.pack("<Q", 2**40)),
    "heap_address": overwrite(b"HEAP", 24, struct.pack("<Q", 2**40)),
    "heap_names": None,
    "symbol_count": overwrite(b"SNOD", 6, b"\xff\xff"),
    "symbol_address": overwrite(b"SNOD", 16, struct.pack("<Q", 2**60)),
    "symbol_is_the_root": overwrite(b"SNOD", 16, struct.pack("<Q", 96)),
}


def tree_of_itself(content: bytearray) -> None:
    """HDF5 2.0.0 recurses without end where a B-tree names itself, and takes its process with it."""
    at = content.find(b"TREE\x01")
    content[at + 5] = 1
    for entry in range(8):
        struct.pack_into("<Q", content, at + 24 + entry * 48 + 40, at)


def _names_gone(content: bytearray) -> None:
    at = content.find(b"main\0")
    content[at : at + 5] = b"\xff\xfe/.\xff"


DAMAGE["btree_of_itself"], DAMAGE["heap_names"] = tree_of_itself, _names_gone

for kind, change in DAMAGE.items():

    @hostile(
        f"hdf5-damage_{kind}.h5",
        *DAMAGED,
        "damaged_header",
        "no_dataset",
        "not_hdf5",
        any_answer=True,
        confined=kind == "btree_of_itself",
    )
    def _(path: Path, change=change) -> None:
        damaged(path, change)


for part in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):

    @hostile(f"hdf5-cut_at_{part:.0%}.h5".replace("%", "_percent"), *DAMAGED, "damaged_header", "no_dataset")
    def _(path: Path, part=part) -> None:
        damaged(path, lambda content: content[: int(len(content) * part)])


for seed in range(16):

    @hostile(f"hdf5-bits_{seed}.h5", any_answer=True)
    def _(path: Path, seed=seed) -> None:
        """A dozen bits flipped in what is neither superblock nor chunk data."""
        random = np.random.default_rng(seed)

        def flip(content: bytearray) -> None:
            with h5py.File(path) as file:
                stored = [file["main"].id.get_chunk_info(i) for i in range(8)]
            tables = np.ones(len(content), bool)
            for chunk in stored:
                tables[chunk.byte_offset : chunk.byte_offset + chunk.size] = False
            tables[:96] = False
            for at in random.choice(np.flatnonzero(tables), 12):
                content[at] ^= 1 << random.integers(8)

        damaged(path, flip, libver="earliest" if seed % 2 else "latest")


@hostile("hdf5-axonem_in_400_kb_of_zstd.h5", "one_label", "huge_chunk", shape_zyx=AXONEM)
def _(path: Path) -> None:
    """Chunks of 197 MB, each honestly stored in 6 kB."""
    data = imagecodecs.zstd_encode(np.ones(750 * 512 * 512, np.uint8), 1)
    with h5py.File(path, "w") as file:
        made = file.create_dataset("main", AXONEM, "u1", chunks=(750, 512, 512), **hdf5plugin.Zstd())
        for y in range(0, 4096, 512):
            for x in range(0, 4096, 512):
                made.id.write_direct_chunk((0, y, x), data)
