"""Ground truth in HDF5 groups, as the zebra finch j0126 comes."""

import h5py
import numpy as np
import pytest

from axonem_eval import InputError, SkeletonGraph
from axonem_eval.cli import main
from axonem_eval.skeletons import read_hdf5_groups


def j0126(path, n: int = 12):
    """Skeleton k is a chain of two nodes at z = k, y = 0 and x = 0, 1; voxels z,y,x."""
    with h5py.File(path, "w") as file:
        for k in range(n):
            group = file.create_group(str(k))
            group["vertices"] = np.array([[k, 0, 0], [k, 0, 1]], np.uint32)
            group["edges"] = np.array([[0, 1]], np.uint32)
    return path


def test_groups_come_in_the_order_of_their_numbers(tmp_path):
    # HDF5 lists 0, 1, 10, 11, 2, ...: node tables by number would meet other nodes
    foreign = read_hdf5_groups(j0126(tmp_path / "s.h5"))
    assert foreign.skeleton.tolist() == np.repeat(np.arange(12), 2).tolist()
    assert foreign.position[:, 0].tolist() == np.repeat(np.arange(12), 2).tolist()
    assert foreign.edges[-1].tolist() == [22, 23]


def test_import_makes_a_bundle_of_them(tmp_path):
    path, out = j0126(tmp_path / "s.h5"), tmp_path / "gt.npz"
    options = ["--shape", "12,2,2", "--voxel-size", "20,10,10", "--unit", "voxel", "--axes", "zyx"]
    assert main(["import", str(path), "-o", str(out), *options]) == 0
    graph = SkeletonGraph.load(out)
    assert graph.skeleton_id.tolist() == list(range(12))
    assert graph.skeleton_length_nm.tolist() == [10] * 12
    assert graph.node_voxel_zyx[-1].tolist() == [11, 0, 1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: [f.pop(k) for k in list(f)], "no group named by a number"),
        (lambda f: f["3"].pop("edges"), "s.h5/3: expected the datasets vertices"),
        (lambda f: f["3"]["edges"].write_direct(np.array([[0, 7]], np.uint32)), "s.h5/3: an edge names node 7 of 2"),
        (
            lambda f: (f["3"].pop("edges"), f["3"].create_dataset("edges", data=np.array([[-2, -1]]))),
            "s.h5/3: an edge names node -2 of 2",
        ),
        (lambda f: f.copy("3", "03"), "s.h5: a group named '03'; expected whole numbers"),
        (lambda f: f.copy("3", "9" * 30), "s.h5: a group named '9999"),
        (
            lambda f: (f["3"].pop("vertices"), f["3"].create_dataset("vertices", data=np.zeros((2, 2)))),
            r"s.h5/3: vertices of shape \(2, 2\)",
        ),
        (
            lambda f: (f["3"].pop("vertices"), f["3"].create_dataset("vertices", (2**31, 3), "f4", chunks=(2**20, 3))),
            "take 25,769,",
        ),
    ],
)
def test_a_file_without_such_groups_is_refused(tmp_path, change, words):
    path = j0126(tmp_path / "s.h5")
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(InputError, match=words):
        read_hdf5_groups(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f, other: f.update({"12": h5py.ExternalLink(other, "/3")}), "'12' is a link into another file"),
        (
            lambda f, other: (f["3"].pop("edges"), f["3"].update(edges=h5py.ExternalLink(other, "/3/edges"))),
            "'3/edges' is a link into another file",
        ),
        (
            lambda f, other: (f["3"].pop("vertices"), f["3"].create_dataset(
                "vertices", (2, 3), np.uint8, external=[(other, 0, 6)]
            )),
            "'/3/vertices' keeps its data in other files",
        ),
        (
            lambda f, other: (f["3"].pop("vertices"), f.update(
                {"elsewhere": h5py.ExternalLink(other, "/"), "3/vertices": h5py.SoftLink("/elsewhere/3/vertices")}
            )),
            "s.h5/3: expected the datasets vertices",
        ),
    ],
)  # fmt: skip
def test_other_files_are_never_read(tmp_path, change, words):
    other, path = j0126(tmp_path / "other.h5"), j0126(tmp_path / "s.h5")
    with h5py.File(path, "r+") as file:
        change(file, str(other))
    with pytest.raises(InputError, match=words):
        read_hdf5_groups(path)


def test_a_damaged_file_is_refused(tmp_path):
    path = j0126(tmp_path / "s.h5")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="cannot be read as HDF5"):
        read_hdf5_groups(path)


def test_an_offset_is_for_the_files_of_benchmarks_alone(tmp_path, capsys):
    (tmp_path / "a.swc").write_text("1 0 0 0 0 1 -1\n2 0 10 0 0 1 1\n")
    options = ["--shape", "2,2,2", "--voxel-size", "20,10,10", "--offset", "0,0,0", "-o", str(tmp_path / "gt.npz")]
    assert main(["import", str(tmp_path / "a.swc"), *options]) == 1
    assert "are for pickles and HDF5 files" in capsys.readouterr().err
