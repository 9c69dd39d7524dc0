"""Zip archives as other programs write them: read, or refused with a remedy that works."""

import shutil
import zipfile

import pytest
import zarr

from axonem_eval.volumes import open_labels
from tests.volumes.written_labels import LABELS, SHAPE, assert_refused, zarr_array, zipped


def reads_the_labels(path) -> bool:
    with open_labels(path) as volume:
        return bool((volume.read(tuple(slice(0, n) for n in SHAPE)) == LABELS).all())


def packed_anew(path, target, method=zipfile.ZIP_STORED, rename=lambda name: name):
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w", method) as new:
        for name in old.namelist():
            entry = zipfile.ZipInfo("x")
            entry.filename, entry.compress_type = rename(name), method
            new.writestr(entry, old.read(name))
    return target


@pytest.fixture
def archive(tmp_path):
    return zipped(zarr_array(tmp_path / "a.zarr"))


def test_zips_of_bzip2_are_read(archive, tmp_path):
    assert reads_the_labels(packed_anew(archive, tmp_path / "b.zip", zipfile.ZIP_BZIP2))


def test_lzma_is_named_and_the_remedy_works(archive, tmp_path):
    message = assert_refused(packed_anew(archive, tmp_path / "b.zip", zipfile.ZIP_LZMA), "zip_method")
    assert "LZMA" in message
    assert "deflate" in message
    assert reads_the_labels(packed_anew(tmp_path / "b.zip", tmp_path / "c.zip", zipfile.ZIP_DEFLATED))


@pytest.mark.parametrize(("method", "name"), [(9, "Deflate64"), (93, "Zstandard"), (77, "method 77")])
def test_a_method_that_is_not_read_is_named(archive, method, name):
    data = bytearray(archive.read_bytes())
    place = data.find(b"PK\1\2")
    while place >= 0:
        data[place + 10 : place + 12] = method.to_bytes(2, "little")
        place = data.find(b"PK\1\2", place + 1)
    archive.write_bytes(data)
    assert name in assert_refused(archive, "zip_method")


def test_backslashes_of_net_are_named(archive, tmp_path):
    path = packed_anew(archive, tmp_path / "b.zip", rename=lambda name: name.replace("/", "\\"))
    message = assert_refused(path, "backslash")
    assert ".NET" in message
    assert reads_the_labels(packed_anew(path, tmp_path / "c.zip", rename=lambda name: name.replace("\\", "/")))


def test_a_file_without_a_name_is_refused(archive, tmp_path):
    path = packed_anew(archive, tmp_path / "b.zip", rename=lambda name: "nameless" if name.endswith("1/1/1") else name)
    path.write_bytes(path.read_bytes().replace(b"nameless", b"\0ameless"))  # a NUL ends a name
    assert "without a name" in assert_refused(path, "no_name")


def test_a_name_twice_comes_with_a_remedy_that_works(tmp_path):
    with zarr.storage.ZipStore(tmp_path / "a.zip", mode="w") as store:
        array = zarr.create_array(store=store, shape=SHAPE, dtype="u8", chunks=(8, 16, 16))
        array[:] = LABELS
        with pytest.warns(UserWarning, match="Duplicate"):
            array.attrs["resolution"] = [30, 8, 8]
    assert "LocalStore" in assert_refused(tmp_path / "a.zip", "twice")
    array = zarr.create_array(zarr.storage.LocalStore(tmp_path / "b"), shape=SHAPE, dtype="u8", chunks=(8, 16, 16))
    array[:] = LABELS
    array.attrs["resolution"] = [30, 8, 8]
    assert reads_the_labels(zipped(tmp_path / "b"))


def test_an_archive_is_opened_once_however_many_arrays_it_holds(tmp_path, monkeypatch):
    for i in range(20):
        zarr_array(tmp_path / "a.zarr", name=f"part{i}")
    zarr_array(tmp_path / "a.zarr", name="main")
    path = zipped(tmp_path / "a.zarr")
    opened = []
    before = zipfile.ZipFile.__init__

    def counted(self, *arguments, **options):
        opened.append(arguments)
        before(self, *arguments, **options)

    monkeypatch.setattr(zipfile.ZipFile, "__init__", counted)
    assert reads_the_labels(path)
    assert len(opened) == 1


def test_an_hdf5_file_in_an_archive_is_to_be_given_as_it_is(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("seg.h5", b"\x89HDF")
    assert "seg.h5, an HDF5 file" in assert_refused(tmp_path / "a.zip", "unknown_format")


def test_what_an_archive_of_something_else_holds_is_said(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for i in range(3):
            archive.writestr(f"s{i}.png", b"x")
    assert "3 .png" in assert_refused(tmp_path / "a.zip", "unknown_format")


def test_names_that_desktops_leave_are_not_looked_at(tmp_path):
    path = zarr_array(tmp_path / "a.zarr")
    (path / ".DS_Store").write_bytes(b"\0")
    (path / "._zarr.json").write_bytes(b"\0")
    assert reads_the_labels(shutil.make_archive(str(tmp_path / "b"), "zip", path))
