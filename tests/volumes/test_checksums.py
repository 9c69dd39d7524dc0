"""A byte that changes in an archive on its way is seen, or changes nothing."""

import os
import shutil
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axonem_eval import InputError, open_labels
from tests.volumes.written_labels import LABELS, precomputed, zarr_array

METHODS = {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED, "bzip2": zipfile.ZIP_BZIP2}
FOLDERS = {
    "zarr": lambda path: zarr_array(path, zarr_format=2, compressors=None),
    "sharded zarr": lambda path: zarr_array(path, chunks=(4, 8, 8), shards=(8, 16, 16), compressors=None),
    "precomputed": precomputed,
}


def archive(folder: Path, target: Path, method: int) -> Path:
    with zipfile.ZipFile(target, "w", method) as out:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            out.write(file, file.relative_to(folder))
    return target


@pytest.fixture(scope="module", params=[(f, m) for f in FOLDERS for m in METHODS], ids=" ".join)
def packed(request, tmp_path_factory) -> Path:
    made, method = request.param
    folder = tmp_path_factory.mktemp("v") / "a"
    return archive(FOLDERS[made](folder), folder.with_suffix(".zip"), METHODS[method])


def all_labels(path: Path) -> np.ndarray:
    with open_labels(path) as volume:
        return volume.read(tuple(slice(0, n) for n in volume.shape_zyx))


def flipped(path: Path, place: int, bit: int) -> Path:
    """A copy of which one bit is another."""
    copy = Path(shutil.copy(path, path.with_name("flipped.zip")))
    with copy.open("r+b") as file:
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ 1 << bit]))
    return copy


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_of_an_archive_is_another_label(packed, where, bit):
    copy = flipped(packed, int(where * packed.stat().st_size), bit)
    try:
        found = all_labels(copy)
    except InputError:
        return
    np.testing.assert_array_equal(found, LABELS)


def inside_of_largest(path: Path) -> tuple[str, int]:
    """The name of the largest file of an archive, and the place of its middle."""
    with zipfile.ZipFile(path) as whole:
        entry = max(whole.infolist(), key=lambda e: e.compress_size)
    return entry.filename, entry.header_offset + 30 + len(entry.filename) + entry.compress_size // 2


def test_an_archive_that_changes_after_it_was_found_whole_is_looked_at_again(packed):
    for hours, place in ((2, None), (1, inside_of_largest(packed)[1])):
        copy = Path(shutil.copy(packed, packed.with_name("old.zip"))) if place is None else flipped(packed, place, 3)
        copy = copy.rename(packed.with_name("same.zip"))
        os.utime(copy, times=(time.time() - 3600 * hours,) * 2)
        if place is None:
            np.testing.assert_array_equal(all_labels(copy), LABELS)
    with pytest.raises(InputError, match="is damaged"):
        all_labels(copy)


def test_a_damaged_file_of_an_archive_is_named(packed):
    name, place = inside_of_largest(packed)
    copy = flipped(packed, place, 3)
    for _ in range(2):  # a second read does not pass either
        with pytest.raises(InputError, match=name) as caught:
            all_labels(copy)
        assert [c.code for c in caught.value.complaints] == ["damaged_chunk"]
