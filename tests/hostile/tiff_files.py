"""TIFF files whose directories, sizes and metadata lie."""

import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile

from tests.hostile.case import AXONEM, DAMAGED, LABELS, SHAPE, hostile

SECTIONS = LABELS.astype(np.uint16)
BAD = (*DAMAGED, "wrong_shape", "overlapping_chunks", "wrong_ndim", "no_dataset", "huge_chunk")
BYTE, ASCII, SHORT, LONG, RATIONAL, LONG8 = 1, 2, 3, 4, 5, 16
WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, OFFSETS, SAMPLES, ROWS, COUNTS = (
    256,
    257,
    258,
    259,
    262,
    273,
    277,
    278,
    279,
)
PLANAR, PREDICTOR, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_COUNTS, FORMAT = 284, 317, 322, 323, 324, 325, 339
CODES = {BYTE: "B", ASCII: "B", SHORT: "H", LONG: "I", LONG8: "Q"}
LZW, OLD_JPEG, JPEG, DEFLATE, PACKBITS, ZSTD, WEBP, LERC = 5, 6, 7, 8, 32773, 50000, 50001, 34887

Tags = dict[int, tuple[int, list[int]]]


def good(path: Path, labels: np.ndarray = SECTIONS, **options) -> None:
    """A stack as it should be."""
    tifffile.imwrite(path, labels, **{"photometric": "minisblack", **options})


def pages(path: Path, tags: list[Tags], data: bytes = b"", loop_to: int | None = None) -> None:
    """A file of these pages, little-endian; ``data`` begins at byte 8. The last page leads on to page ``loop_to``."""
    content = bytearray(b"II*\0\0\0\0\0" + data)
    content += bytes(len(content) % 2)
    starts: list[int] = []
    link = 4
    for page in tags:
        extra = bytearray()
        after = len(content) + 2 + 12 * len(page) + 4
        directory = bytearray(struct.pack("<H", len(page)))
        for tag, (kind, values) in sorted(page.items()):
            packed = struct.pack(f"<{len(values)}{CODES[kind]}", *values)
            if len(packed) > 4:
                packed, extra = struct.pack("<I", after + len(extra)), extra + packed + bytes(len(packed) % 2)
            directory += struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
        starts.append(len(content))
        struct.pack_into("<I", content, link, starts[-1])
        link = len(content) + len(directory)
        content += directory + bytes(4) + extra
    if loop_to is not None:
        struct.pack_into("<I", content, link, starts[loop_to])
    path.write_bytes(content)


def page(shape_yx=SHAPE[1:], bits=16, compression=1, offset=8, count=2048, **more) -> Tags:
    """The tags of one page in one strip; ``more`` names further tags as t123=(kind, [values])."""
    return {
        WIDTH: (LONG, [shape_yx[1]]),
        LENGTH: (LONG, [shape_yx[0]]),
        BITS: (SHORT, [bits]),
        COMPRESSION: (SHORT, [compression]),
        PHOTOMETRIC: (SHORT, [1]),
        OFFSETS: (LONG, [offset]),
        SAMPLES: (SHORT, [1]),
        ROWS: (LONG, [shape_yx[0]]),
        COUNTS: (LONG, [count]),
        FORMAT: (SHORT, [1]),
        **{int(name[1:]): value for name, value in more.items()},
    }


STRIP = SECTIONS[0].tobytes()


def stack(path: Path, data: bytes = STRIP, make=page, **options) -> None:
    """16 pages, each with a strip of its own that holds these bytes."""
    whole = [make(**{"offset": 8 + i * len(data), "count": len(data), **options}) for i in range(16)]
    pages(path, whole, data * 16)


@hostile("tiff-directory_loops_to_itself.tif", *BAD)
def _(path: Path) -> None:
    pages(path, [page()], STRIP, loop_to=0)


@hostile("tiff-directories_loop.tif", *BAD)
def _(path: Path) -> None:
    pages(path, [page()] * 16, STRIP, loop_to=3)


@hostile("tiff-many_directories_loop.tif", *BAD)
def _(path: Path) -> None:
    pages(path, [page()] * 120, STRIP, loop_to=0)


@hostile("tiff-next_directory_outside.tif", *BAD, any_answer=True)
def _(path: Path) -> None:
    stack(path)
    content = path.read_bytes()
    path.write_bytes(content[:-4] + struct.pack("<I", 2**32 - 2))


@hostile("tiff-6000_pages_of_one_strip.tif", "overlapping_chunks", shape_zyx=(6000, 32, 32))
def _(path: Path) -> None:
    pages(path, [page()] * 6000, STRIP)


@hostile("tiff-pages_of_4096_squared_share_a_strip.tif", *BAD, "overlapping_chunks", shape_zyx=AXONEM)
def _(path: Path) -> None:
    """Each page inflates to 128 MiB from the same 130 kB."""
    data = zlib.compress(bytes(4096 * 4096 * 8), 9)
    pages(path, [page((4096, 4096), 64, DEFLATE, count=len(data))] * 750, data)


@hostile("tiff-page_of_2_32.tif", *BAD)
def _(path: Path) -> None:
    pages(path, [page((2**32 - 1, 2**32 - 1))], STRIP)


@hostile("tiff-page_of_60000_squared.tif", *BAD, shape_zyx=(1, 60000, 60000))
def _(path: Path) -> None:
    pages(path, [page((60000, 60000), 8)], STRIP)


@hostile("tiff-page_of_60000_squared_deflated.tif", *BAD, shape_zyx=(1, 60000, 60000))
def _(path: Path) -> None:
    pages(path, [page((60000, 60000), 8, DEFLATE)], STRIP)


@hostile("tiff-page_of_900_mb_of_nothing.tif", *BAD, shape_zyx=(1, 30000, 30000))
def _(path: Path) -> None:
    pages(path, [page((30000, 30000), 8, DEFLATE, 8, 100)], zlib.compress(bytes(60000)))


@hostile("tiff-page_of_0.tif", *BAD, "no_voxels")
def _(path: Path) -> None:
    pages(path, [page((0, 32))], STRIP)


@hostile("tiff-strip_outside.tif", *BAD)
def _(path: Path) -> None:
    stack(path, offset=2**32 - 1)


@hostile("tiff-strip_of_4_gib.tif", *BAD)
def _(path: Path) -> None:
    stack(path, zlib.compress(STRIP), count=2**32 - 1, compression=DEFLATE)


@hostile("tiff-strip_too_short.tif", any_answer=True)
def _(path: Path) -> None:
    stack(path, count=7, offset=8)


def tiled(side: int, count: int, offsets: list[int], counts: list[int], shape=SHAPE[1:], compression=1) -> Tags:
    tags = page(shape, compression=compression)
    del tags[OFFSETS], tags[COUNTS], tags[ROWS]
    tags |= {TILE_WIDTH: (LONG, [side]), TILE_LENGTH: (LONG, [side])}
    return tags | {TILE_OFFSETS: (LONG, offsets * count), TILE_COUNTS: (LONG, counts * count)}


@hostile("tiff-tiles_outside.tif", *BAD)
def _(path: Path) -> None:
    pages(path, [tiled(16, 4, [2**31], [512])] * 16, STRIP)


@hostile("tiff-tile_of_0.tif", *BAD)
def _(path: Path) -> None:
    pages(path, [tiled(0, 4, [8], [512])] * 16, STRIP)


@hostile("tiff-tile_of_2_30.tif", any_answer=True)
def _(path: Path) -> None:
    pages(path, [tiled(2**30, 1, [8], [2048])] * 16, STRIP)


@hostile("tiff-tile_of_1_gib_around_a_small_page.tif", *BAD)
def _(path: Path) -> None:
    data = zlib.compress(bytes(16384 * 16384 * 2), 1)[:600_000]
    pages(path, [tiled(16384, 1, [8], [len(data)], compression=DEFLATE)] * 16, data)


@hostile("tiff-60000_tiles_are_one.tif", *BAD, "overlapping_chunks", shape_zyx=(1, 16000, 16000))
def _(path: Path) -> None:
    data = zlib.compress(bytes(64 * 64 * 2), 9)
    pages(path, [tiled(64, 62500, [8], [len(data)], (16000, 16000), DEFLATE)], data)


def packed(compression: int, data: bytes, **more):
    """16 pages whose strips hold these bytes, or one where they are many."""

    def make(path: Path) -> None:
        if len(data) < 50_000:
            stack(path, data, compression=compression, **more)
        else:
            pages(path, [page(compression=compression, count=len(data), **more)], data)

    return make


ONE_PAGE = ("deflate_bomb", "lzw_bomb", "packbits_bomb")
NOISE = np.random.default_rng(0).bytes(3000)
for kind, make in {
    "deflate_bomb": lambda path: packed(DEFLATE, zlib.compress(bytes(400 << 20), 9))(path),
    "deflate_noise": packed(DEFLATE, NOISE),
    "deflate_torn": packed(DEFLATE, zlib.compress(NOISE)[:200]),
    "lzw_bomb": lambda path: packed(LZW, imagecodecs.lzw_encode(bytes(100 << 20)))(path),
    "lzw_noise": packed(LZW, NOISE),
    "packbits_bomb": packed(PACKBITS, b"\x81\0" * 400_000),
    "packbits_noise": packed(PACKBITS, NOISE),
    "zstd_bomb": lambda path: packed(ZSTD, imagecodecs.zstd_encode(bytes(1 << 30), 1))(path),
    "webp": packed(WEBP, NOISE),
    "lerc": packed(LERC, NOISE),
    "unknown": packed(12345, NOISE),
    "old_jpeg": packed(OLD_JPEG, NOISE),
    "predictor_unknown": packed(DEFLATE, zlib.compress(STRIP), t317=(SHORT, [77])),
    "fill_order": packed(1, STRIP, t266=(SHORT, [9])),
}.items():

    @hostile(
        f"tiff-strip_{kind}.tif",
        *BAD,
        "lossy",
        "unknown_compression",
        any_answer=kind in ("fill_order", "lzw_bomb"),
        shape_zyx=(1, 32, 32) if kind in ONE_PAGE else SHAPE,
    )
    def _(path: Path, make=make) -> None:
        make(path)


@hostile("tiff-jpeg.tif", "lossy")
def _(path: Path) -> None:
    good(path, SECTIONS.astype(np.uint8), compression="jpeg")


@hostile("tiff-jpeg_2000.tif", "lossy", any_answer=True)
def _(path: Path) -> None:
    good(path, SECTIONS.astype(np.uint8), compression="jpeg2000")


@hostile("tiff-colour.tif", "wrong_ndim", "colour")
def _(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((16, 32, 32, 3), np.uint8), photometric="rgb")


@hostile("tiff-colour_in_planes.tif", "wrong_ndim", "colour")
def _(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((3, 32, 32), np.uint8), photometric="rgb", planarconfig="separate")


@hostile("tiff-palette.tif", any_answer=True)
def _(path: Path) -> None:
    tifffile.imwrite(path, SECTIONS.astype(np.uint8), photometric="palette", colormap=np.zeros((3, 256), np.uint16))


@hostile("tiff-60000_samples.tif", *BAD)
def _(path: Path) -> None:
    stack(path, t277=(SHORT, [60000]))


for bits in (0, 1, 4, 12, 24, 65535):

    @hostile(f"tiff-{bits}_bits.tif", *BAD, "wrong_dtype", any_answer=bits in (1, 4, 12, 24))
    def _(path: Path, bits=bits) -> None:
        stack(path, bits=bits)


for kind, dtype in {"float16": "f2", "complex": "c8", "signed": "i2"}.items():

    @hostile(f"tiff-type_{kind}.tif", "wrong_dtype", "negative_label")
    def _(path: Path, dtype=dtype) -> None:
        good(path, (SECTIONS.astype(int) - 1).astype(dtype))


@hostile("tiff-imagej_says_100000_images.tif", *BAD, reads=SECTIONS)
def _(path: Path) -> None:
    good(path, imagej=True, metadata={"axes": "ZYX"})
    content = path.read_bytes()
    old = b"images=16\nslices=16\n"
    assert old in content
    path.write_bytes(content.replace(old, b"images=99999999999\n\0"))


@hostile("tiff-imagej_says_axonem.tif", *BAD, shape_zyx=AXONEM)
def _(path: Path) -> None:
    text = b"ImageJ=1.53\nimages=750\nslices=750\nunit=nm\nspacing=30\n\0"
    pages(path, [page((4096, 4096), count=2**25, t270=(ASCII, []))], STRIP)
    content = path.read_bytes()
    at = len(content)
    entry = struct.pack("<HHI", 270, ASCII, 0)
    assert entry in content
    path.write_bytes(content.replace(entry + bytes(4), struct.pack("<HHII", 270, ASCII, len(text), at)) + text)


@hostile("tiff-ome_names_other_files.tif", *BAD, reads=SECTIONS)
def _(path: Path) -> None:
    files = "".join(
        f'<TiffData FirstZ="{z}" IFD="0"><UUID FileName="../../../etc/passwd">urn:uuid:{z}</UUID></TiffData>'
        for z in range(16)
    )
    text = (
        '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" '
        f'DimensionOrder="XYZCT" Type="uint16" SizeX="32" SizeY="32" SizeZ="16" SizeC="1" SizeT="1">{files}</Pixels>'
        "</Image></OME>"
    )
    good(path, description=text, metadata=None)


@hostile("tiff-ome_of_entities.tif", *BAD, reads=SECTIONS)
def _(path: Path) -> None:
    entities = "".join(f'<!ENTITY l{i + 1} "{f"&l{i};" * 10}">' for i in range(12))
    text = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY l0 "lol">{entities}]><OME>&l12;</OME>'
    good(path, description=text, metadata=None)


@hostile("tiff-shaped_metadata_lie.tif", *BAD, any_answer=True)
def _(path: Path) -> None:
    good(path, description='{"shape": [750, 4096, 4096], "axes": "ZYX"}', metadata=None)


@hostile("tiff-shaped_metadata_depth_bomb.tif", any_answer=True)
def _(path: Path) -> None:
    good(path, description='{"shape": ' + "[" * 100_000, metadata=None)


@hostile("tiff-tag_of_4_gib.tif", *BAD, any_answer=True)
def _(path: Path) -> None:
    stack(path, t270=(ASCII, []))
    content = path.read_bytes()
    lie = struct.pack("<HHII", 270, ASCII, 2**32 - 1, 8)
    path.write_bytes(content.replace(struct.pack("<HHI", 270, ASCII, 0) + bytes(4), lie))


@hostile("tiff-65535_tags.tif", *BAD, any_answer=True)
def _(path: Path) -> None:
    pages(path, [{**page(), **{1000 + i: (SHORT, [0]) for i in range(60000)}}], STRIP)


@hostile("tiff-big_offsets_of_2_60.tif", *BAD)
def _(path: Path) -> None:
    good(path, bigtiff=True)
    content = bytearray(path.read_bytes())
    struct.pack_into("<Q", content, 8, 2**60)
    path.write_bytes(content)


@hostile("tiff-big_with_2_50_tags.tif", *BAD)
def _(path: Path) -> None:
    good(path, bigtiff=True)
    content = bytearray(path.read_bytes())
    at = struct.unpack_from("<Q", content, 8)[0]
    struct.pack_into("<Q", content, at, 2**50)
    path.write_bytes(content)


for part in (0.02, 0.3, 0.6, 0.95):

    @hostile(f"tiff-cut_at_{part:.0%}.tif".replace("%", "_percent"), *BAD)
    def _(path: Path, part=part) -> None:
        good(path, compression="zlib")
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])


for seed in range(8):

    @hostile(f"tiff-bits_{seed}.tif", any_answer=True)
    def _(path: Path, seed=seed) -> None:
        good(path, compression="zlib", bigtiff=bool(seed % 2))
        content = bytearray(path.read_bytes())
        random = np.random.default_rng(seed)
        for at in random.integers(4, len(content), 60):
            content[at] ^= 1 << random.integers(8)
        path.write_bytes(content)
