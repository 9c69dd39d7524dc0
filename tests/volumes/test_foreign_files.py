"""Files that are no label volume, or none that is read, are called by their name."""

import gzip
import re
from contextlib import suppress

import h5py
import numpy as np
import pytest

from axonem_eval import InputError, SkeletonGraph
from axonem_eval.cli import main
from axonem_eval.volumes import open_labels
from tests.label_files import SHAPE, straight_graph, two_axons, write_h5
from tests.volumes.written_labels import assert_refused, tiff

FOREIGN = {
    "a web page": b"\n<!DOCTYPE html>\n<html><body>Sign in</body></html>",
    "git lfs pull": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    "git annex get": b"/annex/objects/SHA256E-s1--00.h5\n",
    "gunzip": b"\x1f\x8b\x08\0\0\0\0\0",
    "a NumPy array": b"\x93NUMPY\1\0v\0",
    "a JSON file": b'{"scales": []}',
    "a PNG image": b"\x89PNG\r\n\x1a\n",
    "an NML file": b'<?xml version="1.0"?>\n<things><thing id="1"/></things>',
    "a web store": b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>',
    "a NIfTI": b"\x5c\x01\0\0" + bytes(340) + b"n+1\0",
    "a NIfTI or Analyze header, packed with gzip": gzip.compress(b"\x5c\x01\0\0" + bytes(400)),
    "a pickle": b"\x80\x04\x95\0",
    "-v7.3": b"MATLAB 5.0 MAT-file, Platform: GLNXA64",
    "an MRC volume": bytes(208) + b"MAP ",
    "an NRRD volume": b"NRRD0004\n",
    "a tar archive": bytes(257) + b"ustar\0",
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_foreign_file_is_named_in_place_of_labels_and_of_a_bundle(tmp_path, what):
    path = tmp_path / "seg.h5"
    path.write_bytes(FOREIGN[what])
    assert what in assert_refused(path, "not_hdf5")
    with pytest.raises(InputError) as caught:
        SkeletonGraph.load(path)
    assert what.replace("-v7.3", "a MATLAB file") in str(caught.value)
    assert "allow_pickle" not in str(caught.value)


def test_labels_in_place_of_a_bundle_are_named(tmp_path):
    for path, what in ((write_h5(tmp_path / "a.h5", two_axons()), "HDF5"), (tiff(tmp_path / "a.tif"), "TIFF")):
        with pytest.raises(InputError, match=f"{what}.* bundle"):
            SkeletonGraph.load(path)


def test_a_file_that_is_nothing_known_is_no_pickle_either(tmp_path):
    (tmp_path / "gt.npz").write_bytes(b"hello")
    with pytest.raises(InputError, match="unknown kind"):
        SkeletonGraph.load(tmp_path / "gt.npz")


def test_a_bundle_in_place_of_the_segmentation_is_named(tmp_path, capsys):
    gt = tmp_path / "gt.npz"
    straight_graph().save(gt)
    assert main(["score", str(gt), "--ground-truth", str(gt)]) == 1
    assert "it is a skeleton bundle" in capsys.readouterr().err


def assert_its_call_writes_labels(message: str, path) -> None:
    """Run the call of h5py that a message names."""
    call = re.search(r"f\.create_dataset\(.*?\)(?=$| in the order)", message)
    assert call, message
    with h5py.File(path, "w") as f:
        eval(call[0], {"f": f, "labels": two_axons()})
    with open_labels(path) as volume:
        np.testing.assert_array_equal(volume.read(tuple(slice(0, n) for n in SHAPE)), two_axons())


@pytest.mark.parametrize("what", ["a NumPy array", "a NIfTI", "a pickle", "an MRC volume", "nothing known"])
def test_the_call_in_a_refusal_works_for_a_thin_volume(tmp_path, what):
    (tmp_path / "seg.h5").write_bytes(FOREIGN.get(what, b"hello"))
    assert_its_call_writes_labels(assert_refused(tmp_path / "seg.h5", "not_hdf5"), tmp_path / "a.h5")


def test_an_npz_of_labels_is_named_and_the_remedy_works(tmp_path):
    np.savez(tmp_path / "a.npz", seg=two_axons())
    message = assert_refused(tmp_path / "a.npz", "unknown_format")
    assert "NumPy archive (.npz) of seg" in message
    assert_its_call_writes_labels(message, tmp_path / "a.h5")


def test_an_n5_container_is_named(tmp_path):
    (tmp_path / "attributes.json").write_text('{"n5": "2.0.0"}')
    assert "N5" in assert_refused(tmp_path, "unknown_format")


def created(path, kind: h5py.h5t.TypeID):
    with h5py.File(path, "w") as file:
        h5py.h5d.create(file.id, b"main", kind, h5py.h5s.create_simple(SHAPE))
    return path


def integer(bits: int) -> h5py.h5t.TypeID:
    kind = h5py.h5t.STD_I64LE.copy()
    kind.set_size(bits // 8)
    kind.set_precision(bits)
    return kind


ODD_TYPES = {
    "compound": h5py.h5t.py_create(np.dtype([("a", "i4"), ("b", "f4")])),
    "text": h5py.h5t.py_create(np.dtype("S5")),
    "text of any length": h5py.h5t.py_create(h5py.string_dtype()),
    "lists": h5py.h5t.py_create(h5py.vlen_dtype("i4"), logical=True),
    "references": h5py.h5t.py_create(h5py.ref_dtype, logical=True),
    "half floats": h5py.h5t.py_create(np.dtype("f2")),
    "complex": h5py.h5t.py_create(np.dtype("c8")),
    "opaque": h5py.h5t.py_create(np.dtype("V3")),
    "integers of 128 bits": integer(128),
    "time": h5py.h5t.UNIX_D32LE,
    "bool": h5py.h5t.py_create(np.dtype(bool), logical=True),
}


@pytest.mark.parametrize("name", ODD_TYPES)
def test_a_type_that_is_no_integer_is_the_files_fault(tmp_path, name):
    assert "uint64" in assert_refused(created(tmp_path / "a.h5", ODD_TYPES[name]), "wrong_dtype")


@pytest.mark.parametrize("seed", range(40))
def test_damage_anywhere_in_a_header_raises_nothing_but_input_errors(tmp_path, seed):
    path = write_h5(tmp_path / "a.h5", two_axons(), resolution=(30, 8, 8))
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    for place in rng.integers(8, min(len(data), 3000), 6):
        data[place] = rng.integers(256)
    path.write_bytes(data)
    with suppress(InputError), open_labels(path) as volume:
        volume.read(tuple(slice(0, n) for n in volume.shape_zyx))
