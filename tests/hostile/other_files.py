"""Files that are no label volume, or two things at once."""

import gzip
import io
import json
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np

from tests.hostile.case import LABELS, hostile
from tests.hostile.hdf5_layouts import good
from tests.hostile.zarr_files import V2, chunks

NOT_LABELS = ("not_hdf5", "unknown_format", "wrong_format", "not_labels")


class _Runs:
    """Unpickling it would start a program."""

    def __reduce__(self):
        import os

        return os.system, ("touch /tmp/a_pickle_ran",)


CONTENTS = {
    "one_byte.h5": b"\x89",
    "four_bytes.zip": b"PK\3\4",
    "page.h5": b"<!doctype html><html><title>Sign in</title></html>" * 20,
    "lfs_pointer.h5": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n",
    "pickle.npy": pickle.dumps(_Runs()),
    "program.h5": b"\x7fELF\2\1\1" + bytes(57),
    "nul.h5": bytes(100_000),
    "terminal_codes.h5": b"\x1b[2J\x1b]0;evil\x07" * 10,
    "gzip.h5": gzip.compress(b"\x89HDF\r\n\x1a\n" + bytes(1000), mtime=0),
    "bzip2.h5": b"BZh91AY&SY",
    "seven_zip.zip": b"7z\xbc\xaf\x27\x1c" + bytes(100),
    "rar.zip": b"Rar!\x1a\7\1\0" + bytes(100),
    "png.tif": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "tiff_of_4_bytes.tif": b"II*\0",
    "tiff_of_8_bytes.tif": b"II*\0\x08\0\0\0",
    "matlab.h5": b"MATLAB 5.0 MAT-file" + bytes(500),
    "swc.h5": b"1 1 0 0 0 1 -1\n",
    "signature_only.h5": b"\x89HDF\r\n\x1a\n",
}
for kind, content in CONTENTS.items():

    @hostile(f"other-{kind}", *NOT_LABELS, "truncated", "damaged_chunk", "damaged_header", "no_dataset")
    def _(path: Path, content=content) -> None:
        path.write_bytes(content)


@hostile("other-empty.h5", "empty_file")
def _(path: Path) -> None:
    path.write_bytes(b"")


@hostile("other-gzip_bomb.h5", *NOT_LABELS)
def _(path: Path) -> None:
    path.write_bytes(gzip.compress(bytes(500 << 20), 9, mtime=0))


@hostile("other-tar_with_links.h5", *NOT_LABELS)
def _(path: Path) -> None:
    with tarfile.open(path, "w") as out:
        for name, target in (("main", "/etc/passwd"), ("../../x", "..")):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            out.addfile(entry)


@hostile("other-npz_with_a_pickle.npz", *NOT_LABELS, "no_dataset")
def _(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as out:
        data = io.BytesIO()
        np.lib.format.write_array(data, np.array([_Runs()], object), allow_pickle=True)
        out.writestr(zipfile.ZipInfo("labels.npy"), data.getvalue())


@hostile("other-npz_that_claims_a_terabyte.npz", *NOT_LABELS)
def _(path: Path) -> None:
    header = b"{'descr': '<u8', 'fortran_order': False, 'shape': (8192, 4096, 4096), }".ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr(zipfile.ZipInfo("labels.npy"), b"\x93NUMPY\1\0\x76\0" + header)


@hostile("other-hdf5_and_zip.h5", reads=LABELS)
def _(path: Path) -> None:
    """HDF5 by its beginning, a zip archive by its end."""
    good(path)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo(".zarray"), json.dumps(V2))
    path.write_bytes(path.read_bytes() + out.getvalue())


@hostile("other-zip_and_hdf5.zip", "truncated", any_answer=True)
def _(path: Path) -> None:
    """A zip archive by its first bytes, HDF5 after a user block."""
    good(path)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in {".zarray": json.dumps(V2), **chunks(".")}.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    start = out.getvalue()
    path.write_bytes(start + bytes(-len(start) % 512) + path.read_bytes())


@hostile("other-tiff_and_zip.tif", "damaged_chunk", "no_dataset")
def _(path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo(".zarray"), json.dumps(V2))
    path.write_bytes(b"II*\0\0\0\0\0" + out.getvalue())
