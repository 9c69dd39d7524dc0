"""A file of ours is written whole or not at all, and read as far as memory goes."""

import io
import os
import stat
import zipfile

import numpy as np
import pytest

from axonem_eval import InputError
from axonem_eval.files import parse_again, read_npz, require_target, write_atomically


def write_half(file) -> None:
    file.write(b"half")
    raise RuntimeError("the disk is full")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="full"):
        write_atomically(path, write_half)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_link_stays_and_the_file_it_points_at_is_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    link, there = tmp_path / "a.txt", tmp_path / "there" / "b.txt"
    link.symlink_to(there)
    write_atomically(link, lambda file: file.write(b"new"))
    assert link.is_symlink()
    assert there.read_bytes() == b"new"


def test_a_library_may_write_the_draft_by_its_name(tmp_path):
    def write(draft) -> None:
        with open(draft.name, "wb") as file:
            file.write(b"by name")

    write_atomically(tmp_path / "a.txt", write)
    assert (tmp_path / "a.txt").read_bytes() == b"by name"


def test_a_file_that_is_read_is_not_the_one_to_write(tmp_path):
    file, link = tmp_path / "seg.h5", tmp_path / "link.h5"
    file.write_bytes(b"labels")
    link.symlink_to(file)
    for target, read in ((file, file), (link, file), (file, f"{file}:main")):
        with pytest.raises(InputError, match="this file is read"):
            require_target(target, read)
    assert require_target(tmp_path / "other.h5", file) == tmp_path / "other.h5"


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_what_is_no_regular_file_is_refused_and_stays(tmp_path, kind):
    path = tmp_path / "a"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/null")
    before = path.stat().st_mode
    with pytest.raises(InputError, match="not a file"):
        write_atomically(path, lambda file: file.write(b"new"))
    assert path.stat().st_mode == before


def test_permissions_follow_the_umask_unless_fewer_are_asked_for(tmp_path):
    old = os.umask(0o027)
    try:
        write_atomically(tmp_path / "shared", lambda file: None)
        write_atomically(tmp_path / "private", lambda file: None, mode=0o600)
    finally:
        os.umask(old)
    assert [stat.S_IMODE((tmp_path / n).stat().st_mode) for n in ("shared", "private")] == [0o640, 0o600]


def test_a_missing_folder_is_the_callers_fault(tmp_path):
    with pytest.raises(InputError, match="its folder does not exist"):
        write_atomically(tmp_path / "none" / "a", lambda file: None)


def test_arrays_of_another_byte_order_become_native(tmp_path):
    written = {
        "whole": np.arange(5, dtype=">i4"),
        "real": np.linspace(0, 1, 5, dtype=">f8"),
        "text": np.array(["a"], ">U1"),
    }
    np.savez(tmp_path / "a.npz", **written)
    for name, array in read_npz(tmp_path / "a.npz").items():
        assert array.dtype.isnative
        np.testing.assert_array_equal(array, written[name])


@pytest.mark.parametrize("kept", [10, 0.5, -5])
def test_an_npz_cut_short_is_called_so(tmp_path, kept):
    np.savez(tmp_path / "a.npz", a=np.arange(1000))
    data = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(data[: kept if isinstance(kept, int) else int(kept * len(data))])
    with pytest.raises(InputError, match="cut short") as caught:
        read_npz(tmp_path / "a.npz")
    assert "unpickling" not in str(caught.value)


def test_a_parser_that_another_thread_disturbed_is_asked_again():
    answers = [SystemError("AST constructor recursion depth mismatch (before=48, after=45)"), {"descr": "<i8"}]

    def read() -> dict:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert parse_again(read) == {"descr": "<i8"}
    answers.append(SystemError("another fault"))
    with pytest.raises(SystemError, match="another fault"):
        parse_again(read)


def test_an_npz_that_unpacks_to_more_than_memory_holds_is_refused_before_it_is_unpacked(tmp_path):
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", array.getvalue())
        archive.getinfo("a.npy").file_size = 2**40
    with pytest.raises(InputError, match=r"a\.npz: its arrays take 1\.1 TB unpacked; at most 8\.59 GB"):
        read_npz(tmp_path / "a.npz")
