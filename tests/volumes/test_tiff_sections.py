"""TIFF sections: their order by the number that counts them, in a folder or an archive, and what is refused."""

import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile

from axonem_eval.volumes import open_labels
from tests.volumes.written_labels import assert_refused, tiff, zipped

N = 12
# Section z holds z + 1 everywhere.
SECTIONS = np.arange(1, N + 1, dtype=np.uint16)[:, None, None] * np.ones((1, 9, 11), np.uint16)


def sections(folder: Path, name, **options) -> Path:
    folder.mkdir()
    for z, section in enumerate(SECTIONS):
        tifffile.imwrite(folder / name(z), options.pop("section", section), **options)
    return folder


def order(path: Path) -> list[int]:
    with open_labels(path) as volume:
        return [int(volume.read((slice(z, z + 1), slice(0, 1), slice(0, 1)))[0, 0, 0]) - 1 for z in range(N)]


@pytest.mark.parametrize(
    "name",
    [
        lambda z: f"{z}.tif",
        lambda z: f"{z + 1}.tiff",
        lambda z: f"seg_{z:04d}.TIF",
        lambda z: f"file{z:03d}_chan0.tif",
        lambda z: f"z{z}_c0_t1.ome.tif",
        lambda z: f"run7_{z}.tif",
        lambda z: f"2024-01-{5 + z // 10:02d}_{z}.tif",
        lambda z: f"z{z}_{30 * z}nm.tif",
        lambda z: f"{'9' * 150}_{z}.tif",
    ],
)
def test_the_number_that_counts_gives_the_order(tmp_path, name):
    assert order(sections(tmp_path / "a", name)) == list(range(N))


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        (lambda z: f"s{z or ''}.tif", "no_number", "s.tif has no number, s1.tif has"),
        (lambda z: f"{chr(97 + z)}.tif", "no_number", "none of the names has a number"),
        (lambda z: f"w{z // 5}_s{z % 5}.tif", "several_numbers", "differ in 2 numbers"),
        (lambda z: f"z{z}_{90 - z}.tif", "several_numbers", "differ in 2 numbers"),
        (lambda z: f"s{z}.tif" if z else "s0_1.tif", "several_numbers", "s0_1.tif has 2 numbers"),
        (lambda z: f"{'ab'[z % 2]}{z // 2}.tif", "same_number", "a0.tif and b0.tif"),
        (lambda z: f"s{z if z < 5 else z + 1}.tif", "missing_section", "expected the number 5"),
    ],
)
def test_an_order_that_is_not_certain_is_refused(tmp_path, name, code, words):
    assert words in assert_refused(sections(tmp_path / "a", name), code)


def test_sections_are_read_from_an_archive(tmp_path):
    folder = sections(tmp_path / "a", lambda z: f"s{z}.tif", compression="zlib")
    assert order(zipped(folder)) == list(range(N))
    with_folder = Path(shutil.make_archive(str(tmp_path / "b"), "zip", tmp_path, "a"))
    assert order(with_folder) == list(range(N))


def test_what_macos_adds_to_an_archive_is_no_section(tmp_path):
    folder = sections(tmp_path / "a", lambda z: f"s{z}.tif")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"a/{path.name}")
            archive.writestr(f"__MACOSX/a/._{path.name}", b"\0\5\26\7")
        archive.writestr("a/.DS_Store", b"\0")
    assert order(tmp_path / "b.zip") == list(range(N))


def test_sections_in_several_folders_are_refused(tmp_path):
    sections(tmp_path / "a", lambda z: f"s{z}.tif")
    sections(tmp_path / "b", lambda z: f"s{z}.tif")
    assert "2 folders (a, b)" in assert_refused(tmp_path, "ambiguous_dataset")


def test_a_damaged_section_of_an_archive_is_named(tmp_path):
    path = zipped(sections(tmp_path / "a", lambda z: f"s{z}.tif"))
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo("s4.tif").header_offset
    data[place + 60 : place + 90] = bytes(30)
    path.write_bytes(data)
    assert "s4.tif" in assert_refused(path, "damaged_chunk")


def test_a_file_of_several_pages_among_sections_is_refused(tmp_path):
    path = sections(tmp_path / "a", lambda z: f"s{z}.tif")
    tiff(path / "s3.tif", SECTIONS[:3])
    assert "s3.tif has 3 pages" in assert_refused(path, "several_pages")


@pytest.mark.parametrize("codec", ["jpeg", "jpeg2000", "jpegxr"])
def test_compression_for_pictures_is_refused(tmp_path, codec):
    stack = SECTIONS.astype(np.uint8).repeat(4, 1).repeat(4, 2)
    assert codec in assert_refused(tiff(tmp_path / "a.tif", stack, compression=codec), "lossy")
    folder = tmp_path / "a"
    folder.mkdir()
    tiff(folder / "s0.tif", stack[0], compression=codec)
    assert codec in assert_refused(folder, "lossy")


def test_colours_that_are_ids_come_with_the_formula_that_gives_them_back(tmp_path):
    ids = np.array([7, 300, 70_000, 16_000_000]).reshape(1, 2, 2)
    colours = np.stack([ids >> 16, ids >> 8 & 255, ids & 255], axis=-1).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", colours, photometric="rgb")
    message = assert_refused(tmp_path / "a.tif", "wrong_ndim")
    formula = re.search(r"id = ([RGB*+ \d]+)", message).group(1)
    r, g, b = np.moveaxis(colours.astype(np.int64), -1, 0)
    np.testing.assert_array_equal(eval(formula, {"R": r, "G": g, "B": b}), ids)
    (tmp_path / "b").mkdir()
    tifffile.imwrite(tmp_path / "b" / "s1.tif", colours[0], photometric="rgb")
    assert "R*65536" in assert_refused(tmp_path / "b", "wrong_ndim")


def test_pages_written_one_by_one_are_one_stack(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for section in SECTIONS:
            file.write(section, contiguous=False, compression="zlib")
    assert order(tmp_path / "a.tif") == list(range(N))


def test_a_stack_that_was_cut_off_says_so(tmp_path):
    path = tiff(tmp_path / "a.tif", SECTIONS)
    path.write_bytes(path.read_bytes()[:1500])
    assert "sha256sum" in assert_refused(path, "truncated")
