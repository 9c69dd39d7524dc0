"""HDF5 files whose layout lies: chunks that are not there, that are one and the same, that are huge."""

import struct
import zlib
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np

from tests.hostile.case import AXONEM, DAMAGED, LABELS, SHAPE, hostile

CHUNK = (8, 16, 16)


def good(path: Path, **options) -> None:
    """A file as it should be, in 8 chunks."""
    libver = options.pop("libver", "earliest")
    with h5py.File(path, "w", libver=libver) as file:
        file.create_dataset("main", data=LABELS, **{"chunks": CHUNK, "compression": "gzip", **options})


def claims(path: Path, shape: tuple[int, ...], dtype: str = "u8", **options) -> None:
    """A dataset of which nothing is stored."""
    with h5py.File(path, "w") as file:
        file.create_dataset("main", shape, dtype, **options)


def one_chunk_for_all(path: Path, shape: tuple[int, ...], chunk: tuple[int, ...], data: bytes, dtype="u8", **options):
    """Every entry of the chunk index leads to the same stored bytes."""
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("main", shape, dtype, chunks=chunk, **options)
        origins = [
            (z, y, x)
            for z in range(0, shape[0], chunk[0])
            for y in range(0, shape[1], chunk[1])
            for x in range(0, shape[2], chunk[2])
        ]
        dataset.id.write_direct_chunk(origins[0], data)
        for origin in origins[1:]:
            dataset.id.write_direct_chunk(origin, b"\0")
        addresses = [dataset.id.get_chunk_info_by_coord(origin).byte_offset for origin in origins]
    patch_index(path, {address: (addresses[0], len(data)) for address in addresses[1:]})
    # What the other chunks held is at the end, and no longer belongs to anything.


def patch_index(path: Path, moved: dict[int, tuple[int, int]]) -> None:
    """Change addresses and sizes in the B-tree (version 1) of the only chunked dataset.

    moved : address -> new address and stored size.
    """
    content = bytearray(path.read_bytes())
    at = content.find(b"TREE\x01")
    while at >= 0:
        level, used = content[at + 5], struct.unpack_from("<H", content, at + 6)[0]
        for entry in range(used if level == 0 else 0):
            key = at + 24 + entry * 48
            address = struct.unpack_from("<Q", content, key + 40)[0]
            if address in moved:
                new, size = moved[address]
                struct.pack_into("<I", content, key, size)
                struct.pack_into("<Q", content, key + 40, new)
        at = content.find(b"TREE\x01", at + 1)
    path.write_bytes(content)


@hostile("hdf5-smallest_chunks_of_axonem.h5", "tiny_chunks", shape_zyx=AXONEM)
def _(path: Path) -> None:
    claims(path, AXONEM, chunks=(1, 1, 1))


MANY = (310, 310, 310)  # just under 30 million voxels


@hostile("hdf5-smallest_chunks_none_stored.h5", "tiny_chunks", "all_background", "no_chunks", shape_zyx=MANY)
def _(path: Path) -> None:
    claims(path, MANY, chunks=(1, 1, 1))


@hostile("hdf5-smallest_chunks_filled_with_7.h5", "tiny_chunks", "one_label", "no_chunks", shape_zyx=MANY)
def _(path: Path) -> None:
    claims(path, MANY, chunks=(1, 1, 1), fillvalue=7)


@hostile("hdf5-smallest_chunks_one_stored.h5", "tiny_chunks", shape_zyx=MANY, confined=True)
def _(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("main", MANY, "u8", chunks=(1, 1, 1), fillvalue=3)[300, 300, 300] = 5


@hostile("hdf5-a_million_chunks_one_stored.h5", any_answer=True, shape_zyx=(100, 100, 100))
def _(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("main", (100, 100, 100), "u8", chunks=(1, 1, 1), fillvalue=3)[90, 90, 90] = 5


@hostile("hdf5-smallest_chunks_signed.h5", "tiny_chunks", "all_background", "no_chunks", shape_zyx=MANY)
def _(path: Path) -> None:
    claims(path, MANY, "i8", chunks=(1, 1, 1))


@hostile("hdf5-axonem_none_stored.h5", "all_background", "no_chunks", shape_zyx=AXONEM)
def _(path: Path) -> None:
    claims(path, AXONEM, chunks=(64, 64, 64), compression="gzip")


@hostile("hdf5-axonem_signed_none_stored.h5", "all_background", "no_chunks", shape_zyx=AXONEM)
def _(path: Path) -> None:
    claims(path, AXONEM, "i8", chunks=(64, 64, 64), compression="gzip")


@hostile("hdf5-contiguous_never_written.h5", "all_background", "no_chunks", shape_zyx=AXONEM)
def _(path: Path) -> None:
    claims(path, AXONEM)


@hostile("hdf5-contiguous_beyond_the_file.h5", "truncated", "damaged_header")
def _(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("main", data=LABELS)
        address = file["main"].id.get_offset()
    content, size = path.read_bytes(), struct.pack("<Q", LABELS.nbytes)
    path.write_bytes(content.replace(struct.pack("<Q", address) + size, struct.pack("<Q", 2**40) + size))


@hostile("hdf5-one_gzip_chunk_for_all.h5", "overlapping_chunks", shape_zyx=AXONEM)
def _(path: Path) -> None:
    chunk = (50, 256, 256)
    data = zlib.compress(np.arange(50 * 256 * 256, dtype="u8").tobytes()[:64] + bytes(50 * 65536 * 8 - 64), 9)
    one_chunk_for_all(path, AXONEM, chunk, data, compression="gzip")


@hostile("hdf5-one_raw_chunk_for_all.h5", "overlapping_chunks", shape_zyx=(64, 512, 512))
def _(path: Path) -> None:
    one_chunk_for_all(path, (64, 512, 512), (8, 32, 32), np.arange(8 * 32 * 32, dtype="u8").tobytes())


@hostile("hdf5-one_zstd_chunk_for_all.h5", "overlapping_chunks", shape_zyx=AXONEM, confined=True)
def _(path: Path) -> None:
    import imagecodecs

    data = imagecodecs.zstd_encode(b"\1" + bytes(750 * 256 * 256 - 1), 1)
    one_chunk_for_all(path, AXONEM, (750, 256, 256), data, "u1", **hdf5plugin.Zstd())


@hostile("hdf5-chunks_overlap_by_halves.h5", "overlapping_chunks")
def _(path: Path) -> None:
    good(path, compression=None)
    with h5py.File(path) as file:
        chunks = [file["main"].id.get_chunk_info(i) for i in range(8)]
    first = min(c.byte_offset for c in chunks)
    patch_index(path, {c.byte_offset: (first + i * c.size // 2, c.size) for i, c in enumerate(chunks)})


@hostile("hdf5-chunk_is_the_header.h5", *DAMAGED, "overlapping_chunks")
def _(path: Path) -> None:
    good(path)
    with h5py.File(path) as file:
        chunks = [file["main"].id.get_chunk_info(i) for i in range(8)]
    patch_index(path, {c.byte_offset: (0, c.size) for c in chunks})


@hostile("hdf5-chunk_address_of_2_62.h5", "truncated")
def _(path: Path) -> None:
    good(path)
    with h5py.File(path) as file:
        chunk = file["main"].id.get_chunk_info(3)
    patch_index(path, {chunk.byte_offset: (2**62, chunk.size)})


@hostile("hdf5-chunk_size_of_4_gib.h5", "truncated")
def _(path: Path) -> None:
    good(path)
    with h5py.File(path) as file:
        chunk = file["main"].id.get_chunk_info(3)
    patch_index(path, {chunk.byte_offset: (chunk.byte_offset, 2**32 - 1)})


@hostile("hdf5-chunk_size_of_0.h5", *DAMAGED)
def _(path: Path) -> None:
    good(path)
    with h5py.File(path) as file:
        chunk = file["main"].id.get_chunk_info(3)
    patch_index(path, {chunk.byte_offset: (chunk.byte_offset, 0)})


@hostile("hdf5-huge_chunk_none_stored.h5", "all_background", "huge_chunk", "no_chunks", shape_zyx=AXONEM)
def _(path: Path) -> None:
    claims(path, AXONEM, "u8", chunks=(30, 4096, 4096), compression="gzip")


@hostile("hdf5-huge_chunk_with_shuffle.h5", "huge_chunk", shape_zyx=AXONEM)
def _(path: Path) -> None:
    claims(path, AXONEM, "u8", chunks=(30, 4096, 4096), compression="gzip", shuffle=True)


@hostile("hdf5-huge_chunk_of_zeros.h5", "huge_chunk", *DAMAGED, shape_zyx=(60, 1024, 4096))
def _(path: Path) -> None:
    with h5py.File(path, "w") as file:
        data = file.create_dataset("main", (60, 1024, 4096), "u8", chunks=(30, 1024, 4096), compression="gzip")
        data.id.write_direct_chunk((0, 0, 0), zlib.compress(bytes(100 << 20), 9))


@hostile("hdf5-blosc_chunk_of_1_gib.h5", "huge_chunk", *DAMAGED, shape_zyx=(32, 2048, 2048))
def _(path: Path) -> None:
    shape = (32, 2048, 2048)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("main", shape, "u8", chunks=shape, **hdf5plugin.Blosc("zstd"))
        header = struct.pack("<BBBBIII", 2, 1, 0x31, 8, 2**30, 2**30, 200)
        data.id.write_direct_chunk((0, 0, 0), header + bytes(184))


@hostile("hdf5-shape_of_2_62.h5", "wrong_shape", "tiny_chunks", "no_voxels", "all_background", "too_many_voxels")
def _(path: Path) -> None:
    claims(path, (2**62, 1, 1), "u1", chunks=(64, 1, 1))


@hostile("hdf5-shape_of_2_20_cubed.h5", "wrong_shape", "tiny_chunks", "too_many_voxels")
def _(path: Path) -> None:
    claims(path, (2**20, 2**20, 2**20), "u8", chunks=(64, 64, 64))


@hostile("hdf5-shape_of_2_20_cubed_contiguous.h5", "wrong_shape", "too_many_voxels")
def _(path: Path) -> None:
    claims(path, (2**20, 2**20, 2**20), "u1")


@hostile("hdf5-shape_with_zero.h5", "no_voxels", "wrong_shape")
def _(path: Path) -> None:
    claims(path, (16, 0, 32))


@hostile("hdf5-shape_with_zero_in_chunks.h5", "no_voxels", "wrong_shape")
def _(path: Path) -> None:
    claims(path, (0, 2**40, 32), chunks=(1, 64, 32), maxshape=(None, 2**40, 32))


@hostile("hdf5-no_dataspace.h5", "wrong_ndim", "no_dataset", "no_voxels")
def _(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["main"] = h5py.Empty("u8")


@hostile("hdf5-scalar.h5", "wrong_ndim")
def _(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["main"] = np.uint64(3)


@hostile("hdf5-32_dimensions.h5", "wrong_ndim")
def _(path: Path) -> None:
    claims(path, (2,) * 32)


@hostile("hdf5-negative_fill.h5", "negative_label", shape_zyx=AXONEM)
def _(path: Path) -> None:
    claims(path, AXONEM, "i8", chunks=(64, 64, 64), fillvalue=-1)


@hostile("hdf5-fill_of_reserved_ids.h5", "one_label", "no_chunks", "reserved_label", "all_background")
def _(path: Path) -> None:
    claims(path, SHAPE, "u8", chunks=CHUNK, fillvalue=2**64 - 1)


@hostile("hdf5-compact_shorter_than_its_shape.h5", *DAMAGED, "damaged_header")
def _(path: Path) -> None:
    labels = LABELS[:2, :16, :16]
    with h5py.File(path, "w") as file:
        create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        create.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple(labels.shape)
        made = h5py.h5d.create(file.id, b"main", h5py.h5t.NATIVE_UINT64, space, dcpl=create)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ascontiguousarray(labels))
    old, new = (struct.pack("<3Q", *shape) for shape in (labels.shape, SHAPE))
    path.write_bytes(path.read_bytes().replace(old, new))


for kind, options in (
    ("fixed_array", {"libver": "latest"}),
    ("extensible_array", {"libver": "latest", "maxshape": (None, 32, 32)}),
    ("btree_2", {"libver": "latest", "maxshape": (None, None, 32)}),
    ("one_chunk", {"libver": "latest", "chunks": SHAPE}),
    ("implicit", {"libver": "latest", "compression": None}),
):

    @hostile(f"hdf5-index_{kind}_torn.h5", *DAMAGED, "damaged_header", any_answer=kind in ("implicit", "one_chunk"))
    def _(path: Path, options=options) -> None:
        """The structure that lists the chunks is overwritten where the file's own tables lie."""
        good(path, **options)
        content = bytearray(path.read_bytes())
        for signature in (b"FAHD", b"FADB", b"EAHD", b"EAIB", b"EADB", b"BTHD", b"BTLF"):
            at = content.rfind(signature)
            if at >= 0:
                content[at + 4 : at + 20] = b"\xff" * 16
        path.write_bytes(content)
