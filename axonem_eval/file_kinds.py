"""Recognize a file that was given by mistake, by its first bytes, and say what to do with it."""

import re
import zlib
from dataclasses import dataclass
from pathlib import Path

_HEAD_BYTES = 2000
# An archive with files, and one without; both also begin an .npz.
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
# h5py refuses chunks of 64 x 64 x 64 for a volume that is thinner.
CREATE_DATASET = "f.create_dataset('main', data=labels, chunks=True, compression='gzip')"
_WRITE_H5 = f"write the labels to HDF5 with h5py, e.g. {CREATE_DATASET}"
_PICTURE = "one picture, no volume; " + _WRITE_H5

# (first bytes, at which place, what it is, what to do)
_MAGIC: tuple[tuple[bytes, int, str, str], ...] = (
    (
        b"version https://git-lfs.github.com",
        0,
        "a Git LFS pointer, not the file itself",
        "fetch the file with `git lfs pull`",
    ),
    (b"/annex/objects/", 0, "a git-annex pointer, not the file itself", "fetch the file with `git annex get FILE`"),
    (b"\x93NUMPY", 0, "a NumPy array (.npy)", _WRITE_H5),
    (b"\x1f\x8b", 0, "packed with gzip", "unpack it with `gunzip FILE`"),
    (b"BZh", 0, "packed with bzip2", "unpack it with `bunzip2 FILE`"),
    (b"\xfd7zXZ\0", 0, "packed with xz", "unpack it with `unxz FILE`"),
    (b"\x28\xb5\x2f\xfd", 0, "packed with Zstandard", "unpack it with `unzstd FILE`"),
    (b"7z\xbc\xaf\x27\x1c", 0, "a 7z archive", "unpack it, and zip what is in it with `zip -0 -r`"),
    (b"Rar!", 0, "a RAR archive", "unpack it, and zip what is in it with `zip -0 -r`"),
    (b"ustar", 257, "a tar archive", "unpack it, and zip what is in it with `zip -0 -r`"),
    (b"\x89PNG", 0, "a PNG image", _PICTURE),
    (b"\xff\xd8\xff", 0, "a JPEG image", _PICTURE),
    (b"GIF8", 0, "a GIF image", _PICTURE),
    (b"BM", 0, "a BMP image", _PICTURE),
    (b"n+1\0", 344, "a NIfTI volume (.nii)", "its axes are x,y,z: " + _WRITE_H5 + " in the order z,y,x"),
    (b"\x5c\x01\0\0", 0, "a NIfTI or Analyze header", "its axes are x,y,z: " + _WRITE_H5 + " in the order z,y,x"),
    (b"NRRD", 0, "an NRRD volume", "its axes are x,y,z: " + _WRITE_H5 + " in the order z,y,x"),
    (b"MAP ", 208, "an MRC volume", _WRITE_H5),
    (b"# AmiraMesh", 0, "an Amira mesh", "its axes are x,y,z: " + _WRITE_H5 + " in the order z,y,x"),
    (b"# Avizo", 0, "an Avizo file", "its axes are x,y,z: " + _WRITE_H5 + " in the order z,y,x"),
    (b"MATLAB 5.0", 0, "a MATLAB file older than version 7.3", "write it as HDF5 with `save(..., '-v7.3')`"),
    (b"ply\n", 0, "a mesh (.ply)", _WRITE_H5),
    (b"\x0e\x03\x13\x01", 0, "an HDF4 file", "convert it to HDF5 with `h4toh5`"),
    (b"CDF\x01", 0, "a NetCDF 3 file", "convert it to HDF5 with `nccopy -k nc4 IN OUT`"),
    (b"CDF\x02", 0, "a NetCDF 3 file", "convert it to HDF5 with `nccopy -k nc4 IN OUT`"),
    (b"PAR1", 0, "a Parquet table", _WRITE_H5),
    (b"%PDF", 0, "a PDF document", _WRITE_H5),
    (b"\xd0\xcf\x11\xe0", 0, "a document of Microsoft Office", _WRITE_H5),
)
# Label volumes: named only where a skeleton is expected.
_VOLUMES = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    *((magic, "a zip archive") for magic in _ZIP),
)
_PAGE = "a web page, such as an error or a login in place of the file"
_AS_SWC = "save what it holds as SWC, a file for each, for `axonem-eval import`"
_MARKS = (
    (b"<!doctype html", _PAGE, "download the file again, signed in if need be"),
    (b"<html", _PAGE, "download the file again, signed in if need be"),
    (b"<error>", "the error message of a web store, not the file itself", "download the file again"),
    (b"<things", "an NML file of skeletons (KNOSSOS, webKnossos), which is not read", _AS_SWC),
    (b"<traces", "a .traces file of SNT, which is not read", _AS_SWC),
)
_PICKLE = re.compile(rb"\x80[\x02-\x05]")


@dataclass(frozen=True)
class FileKind:
    """what : e.g. ``a web page``.   remedy : what to do to have a label volume."""

    what: str
    remedy: str

    @property
    def fetches(self) -> bool:
        """Whether the remedy leads to the right file, whatever that holds."""
        return self.remedy.startswith(("fetch", "unpack", "download", "save"))

    def __str__(self) -> str:
        return f"it is {self.what}; {self.remedy}"


def begins_zip(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a zip archive."""
    return head.startswith(_ZIP)


def is_zip(path: Path) -> bool:
    """Whether a file begins as a zip archive does; False for a folder."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return begins_zip(file.read(4))


def kind_of_file(path: Path) -> FileKind | None:
    """What a file is, by its first bytes; None if they match nothing known."""
    with open(path, "rb") as file:
        return _kind_of(file.read(_HEAD_BYTES))


def foreign_content(data: bytes) -> str | None:
    """What a file is that should be a skeleton, with what to do; None for what may well be one."""
    for magic, what in _VOLUMES:
        if data.startswith(magic):
            return what
    kind = _kind_of(data[:_HEAD_BYTES])
    if kind is None:
        return None
    return f"{kind.what}; {kind.remedy}" if kind.fetches else kind.what


def _kind_of(head: bytes) -> FileKind | None:
    if head.startswith(b"\x1f\x8b"):
        inside = _kind_of(_unpacked(head))
        if inside and not inside.fetches:
            return FileKind(f"{inside.what}, packed with gzip", inside.remedy)
    for magic, place, what, remedy in _MAGIC:
        if head[place : place + len(magic)] == magic and (magic != b"BM" or b"\0" in head[:32]):
            return FileKind(what, remedy)
    if _PICKLE.match(head):
        return FileKind("a pickle, which is never loaded because unpickling runs code", _WRITE_H5)
    return _kind_of_text(head)


def _unpacked(head: bytes) -> bytes:
    """The first bytes of what gzip packed, without another packing of gzip; empty where they cannot be had."""
    try:
        data = zlib.decompressobj(31).decompress(head, _HEAD_BYTES)
    except zlib.error:
        return b""
    return b"" if data.startswith(b"\x1f\x8b") else data


def _kind_of_text(head: bytes) -> FileKind | None:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"<"):
        for mark, what, remedy in _MARKS:
            if mark in text:
                return FileKind(what, remedy)
        return FileKind("a file in a markup language (XML)", _WRITE_H5)
    if text.startswith((b"{", b"[")) and b'"' in text:
        return FileKind("a JSON file", "of a Zarr or precomputed volume give the folder that holds it")
    return None


def kind_of_npz(names: list[str]) -> FileKind | None:
    """What a zip archive of such names is if they are those of NumPy's arrays; None where they are not."""
    if not names or not all(name.endswith(".npy") for name in names):
        return None
    if {"skeleton_id.npy", "node_skeleton.npy", "edge_u.npy"} <= set(names):
        return FileKind(
            "a skeleton bundle, not a label volume", "the segmentation comes first, the bundle is for --ground-truth"
        )
    if {"node_skeleton_index.npy", "edge_u.npy"} <= set(names) or "nodes.npy" in names:
        return FileKind(
            "a skeleton graph of em_erl, not a label volume", "turn it into a bundle with `axonem-eval import`"
        )
    if "node_segment.npy" in names:
        return FileKind("a sample of node labels, not a label volume", "give the segmentation it was made of")
    if {"label.npy", "nodes_sha256.npy"} <= set(names):
        return FileKind(
            "a table of labels at nodes, not a label volume",
            "submit it as it is where the benchmark takes node tables; here give the label file that it was made from",
        )
    shown = ", ".join(name.removesuffix(".npy") for name in names[:4])
    return FileKind(f"a NumPy archive (.npz) of {shown}, which is not read as labels", _WRITE_H5)
