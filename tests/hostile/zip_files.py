"""Zip archives that lie about what is in them."""

import io
import json
import struct
import warnings
import zipfile
import zlib
from pathlib import Path

from tests.hostile.case import LABELS, alter, hostile, overwrite
from tests.hostile.zarr_files import V2, archive, chunks, v2

METADATA = json.dumps(V2)
BAD_ZIP = ("truncated", "damaged_chunk")
FILES = {".zarray": METADATA, **chunks(".")}

NAMES = {
    "absolute": "/etc/passwd",
    "parents": "../../.zattrs",
    "parents_inside": "a/../../b",
    "backslashes": "..\\..\\x",
    "drive": "C:\\x",
    "long": "a" * 60_000,
    "newline": "a\n0.0.0",
    "terminal": "\x1b[2J\x1b]0;x\x07",
    "right_to_left": "\u202egpj.yarraz.",
    "dots": ".../....",
}
for kind, name in NAMES.items():

    @hostile(
        f"zip-name_{kind}.zip",
        "outside_path",
        "long_name",
        any_answer=kind in ("dots", "long", "right_to_left", "newline", "terminal"),
    )
    def _(path: Path, name=name) -> None:
        archive(path, {**FILES, name: b"x"})


def patched(path: Path, change, files=FILES) -> None:
    """A good archive whose bytes ``change`` alters."""
    archive(path, files)
    alter(path, change)


LOCAL, CENTRAL, END = b"PK\3\4", b"PK\1\2", b"PK\5\6"
CHANGES = {
    "encrypted": (overwrite(CENTRAL, 8, b"\1\0"), ("encrypted",)),
    "method_unknown": (overwrite(CENTRAL, 10, b"\x63\0"), (*BAD_ZIP, "zip_method", "bad_metadata", "unreadable")),
    "method_lies": (overwrite(CENTRAL, 10, b"\x08\0"), (*BAD_ZIP, "bad_metadata", "unreadable", "damaged_chunk")),
    "size_4_gib": (overwrite(CENTRAL, 24, b"\xfe\xff\xff\xff"), (*BAD_ZIP, "huge_metadata", "huge_chunk")),
    "stored_size_4_gib": (overwrite(CENTRAL, 20, b"\xfe\xff\xff\xff"), (*BAD_ZIP, "overlapping_chunks")),
    "sizes_0": (overwrite(CENTRAL, 20, bytes(8)), (*BAD_ZIP, "bad_metadata", "unreadable")),
    "checksum": (overwrite(CENTRAL, 16, b"abcd"), (*BAD_ZIP, "bad_metadata", "unreadable")),
    "offset_outside": (overwrite(CENTRAL, 42, b"\xf0\xff\xff\x7f"), (*BAD_ZIP, "bad_metadata", "unreadable")),
    "offsets_all_0": (overwrite(CENTRAL, 42, bytes(4)), (*BAD_ZIP, "bad_metadata", "unreadable", "overlapping_chunks")),
    "local_names_differ": (overwrite(LOCAL, 30, b"x"), (*BAD_ZIP, "bad_metadata", "unreadable", "damaged_chunk")),
    "local_gone": (overwrite(LOCAL, 0, b"XXXX"), (*BAD_ZIP, "bad_metadata", "unreadable", "not_hdf5")),
    "disk_7": (overwrite(END, 4, b"\7\0\7\0"), BAD_ZIP),
    "directory_offset": (overwrite(END, 16, b"\xf0\xff\xff\x7f"), (*BAD_ZIP, "bad_metadata")),
    "directory_size": (overwrite(END, 12, b"\xf0\xff\xff\x7f"), BAD_ZIP),
    "entries_65534": (overwrite(END, 8, b"\xfe\xff\xfe\xff"), BAD_ZIP),
    "extra_lies": (overwrite(CENTRAL, 30, b"\xff\xff"), BAD_ZIP),
    "directory_cut": (lambda content: content[: content.find(CENTRAL) + 60], BAD_ZIP),
    "end_cut": (lambda content: content[:-10], BAD_ZIP),
    "half": (lambda content: content[: len(content) // 2], BAD_ZIP),
    "comment_length": (overwrite(END, 20, b"\xff\xff"), BAD_ZIP),
}
for kind, (change, codes) in CHANGES.items():

    @hostile(
        f"zip-{kind}.zip",
        *codes,
        any_answer=kind in ("disk_7", "checksum", "entries_65534", "local_names_differ", "comment_length"),
    )
    def _(path: Path, change=change) -> None:
        patched(path, change)


@hostile("zip-nul_in_a_name.zip", any_answer=True)
def _(path: Path) -> None:
    patched(path, lambda content: content.replace(b"zxNULxz", b"0\x00./../"), {**FILES, "zxNULxz": b"x"})


@hostile("zip-name_twice.zip", "twice", "duplicate_name", reads=LABELS)
def _(path: Path) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as out:
        warnings.simplefilter("ignore")
        for name, content in (*FILES.items(), *FILES.items()):
            out.writestr(zipfile.ZipInfo(name), content)


@hostile("zip-name_twice_with_other_content.zip", "twice", "duplicate_name", any_answer=True)
def _(path: Path) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as out:
        warnings.simplefilter("ignore")
        for name, content in (*FILES.items(), (".zarray", "{}")):
            out.writestr(zipfile.ZipInfo(name), content)


@hostile("zip-names_alike_in_unicode.zip", any_answer=True)
def _(path: Path) -> None:
    archive(path, {**FILES, "\uff0ezarray": "{}", "é": b"", "e\u0301": b""})


@hostile("zip-link.zip", "link")
def _(path: Path) -> None:
    archive(path, {name: content for name, content in FILES.items() if name != "0.0.0"})
    with zipfile.ZipFile(path, "a") as out:
        link = zipfile.ZipInfo("0.0.0")
        link.external_attr = 0o120777 << 16
        out.writestr(link, "/etc/passwd")


@hostile("zip-file_and_folder_of_one_name.zip", any_answer=True)
def _(path: Path) -> None:
    archive(path, {**FILES, "0.0.0/": b"", "0.0.0/0": b"x"})


@hostile("zip-overlapping_entries.zip", "overlapping_chunks", "huge_chunk", "damaged_chunk", "all_background", *BAD_ZIP)
def _(path: Path) -> None:
    """Fifield's: one kernel of 100 MB that all entries share."""
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
    kernel = squeezed.compress(bytes(100 << 20)) + squeezed.flush()
    crc = zlib.crc32(bytes(100 << 20))
    body, directory = bytearray(), bytearray()
    shared = None
    entries = [(".zarray", json.dumps({**V2, "compressor": None}).encode()), *[(f"{i}", b"") for i in range(3000)]]
    for name in (name for name, _ in entries):
        text = dict(entries)[name] if name == ".zarray" else b""
        if text:
            fields = (20, 0, 0, 0, 0, zlib.crc32(text), len(text), len(text), len(name), 0)
        else:
            fields = (20, 0, 8, 0, 0, crc, len(kernel), 100 << 20, len(name), 0)
        at = len(body)
        if text or shared is None:
            body += LOCAL + struct.pack("<HHHHHIIIHH", *fields) + name.encode() + (text or kernel)
            shared = None if text else at
        place = at if text else shared
        directory += CENTRAL + struct.pack("<HHHHHHIIIHHHHHII", 20, *fields, 0, 0, 0, 0, place) + name.encode()
    end = END + struct.pack("<HHHHIIH", 0, 0, len(entries), len(entries), len(directory), len(body), 0)
    path.write_bytes(body + directory + end)


@hostile("zip-of_itself_in_itself.zip", "unknown_format")
def _(path: Path) -> None:
    inner = b""
    for _ in range(200):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as file:
            file.writestr(zipfile.ZipInfo("a.zip"), inner)
        inner = out.getvalue()
    path.write_bytes(inner)


@hostile("zip-zip64_lies.zip", *BAD_ZIP, "huge_chunk", "huge_metadata", "bad_metadata", "unreadable")
def _(path: Path) -> None:
    archive(path, FILES)
    content = bytearray(path.read_bytes())
    at = content.find(END)
    end = content[at:]
    end[8:20] = b"\xff" * 12
    record = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 2**62, 2**62, 2**62, 2**62)
    locator = b"PK\6\7" + struct.pack("<IQI", 0, at, 1)
    path.write_bytes(content[:at] + record + locator + end)


@hostile("zip-second_directory_in_the_comment.zip", any_answer=True)
def _(path: Path) -> None:
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as out:
        out.writestr(zipfile.ZipInfo("zarr.json"), "{}")
    archive(path, FILES)
    with zipfile.ZipFile(path, "a") as out:
        out.comment = other.getvalue()


@hostile("zip-9000_empty_entries.zip", "unknown_format")
def _(path: Path) -> None:
    archive(path, {f"{i}": b"" for i in range(9000)})


@hostile("zip-deflated_chunk_of_800_mib.zip", "huge_chunk", "damaged_chunk")
def _(path: Path) -> None:
    archive(path, {name: content for name, content in FILES.items() if name != "0.0.0"})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as out, out.open("0.0.0", "w") as file:
        for _ in range(800):
            file.write(bytes(1 << 20))


@hostile("zip-before_it_other_bytes.zip", any_answer=True)
def _(path: Path) -> None:
    v2(path)
    path.write_bytes(b"PK\3\4" + bytes(1000) + path.read_bytes())


@hostile("zip-empty.zip", "unknown_format")
def _(path: Path) -> None:
    path.write_bytes(END + bytes(18))
