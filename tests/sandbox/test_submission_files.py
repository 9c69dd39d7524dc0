"""Files as benchmarks ask for them: axes in x,y,z, fixed names, an archive of one file, an offset, node tables.

At home and in a confined child the same labels come out.
"""

import shutil
import zipfile

import h5py
import numpy as np
import pytest
import zarr

from axonem_eval.errors import InputError
from axonem_eval.sampling import NodeTable
from axonem_eval.sandbox import diagnose_confined, node_table_confined, sample_confined
from axonem_eval.scoring import sample_file
from axonem_eval.skeletons import SkeletonGraph
from axonem_eval.spec import VolumeSpec
from axonem_eval.submission_rule import FileRule
from axonem_eval.volumes import ReadOptions, check_labels
from tests.label_files import write_h5

VOXEL_NM = (30.0, 10.0, 20.0)
SHAPE = (12, 20, 28)
SPEC = VolumeSpec(SHAPE, VOXEL_NM)
XYZ = FileRule(axes="xyz")
XPRESS = FileRule(dataset="submission", file_name="submission.h5", zipped=True, offset_nm_zyx=(90.0, 90.0, 90.0))


def labels() -> np.ndarray:
    return np.random.default_rng(3).integers(1, 2**40, SHAPE, np.uint64)


def graph(n: int = 200) -> SkeletonGraph:
    rng = np.random.default_rng(4)
    return SkeletonGraph(
        skeleton_id=np.array([7], np.uint64),
        node_skeleton=np.zeros(n, np.int32),
        node_voxel_zyx=np.column_stack([rng.integers(0, s, n) for s in SHAPE]).astype(np.int32),
        edge_u=np.arange(n - 1, dtype=np.int32),
        edge_v=np.arange(1, n, dtype=np.int32),
        edge_length_nm=np.ones(n - 1),
        shape_zyx=SHAPE,
        voxel_size_nm_zyx=VOXEL_NM,
    )


def zarr_file(path, stored):
    array = zarr.create_array(path, shape=stored.shape, chunks=(8, 8, 8), dtype=stored.dtype, zarr_format=2)
    array[:] = stored
    return path


def xyz_file(kind, tmp_path, stored):
    if kind == "zarr":
        return zarr_file(tmp_path / "a.zarr", stored)
    return write_h5(tmp_path / "a.h5", stored, resolution=VOXEL_NM[::-1])


@pytest.mark.parametrize("kind", ["hdf5", "zarr"])
def test_an_array_in_x_y_z_gives_the_labels_of_its_transpose(tmp_path, kind):
    path, nodes = xyz_file(kind, tmp_path, labels().transpose(2, 1, 0).copy()), graph()
    expected = labels()[tuple(nodes.node_voxel_zyx.T)]
    assert (sample_file(path, nodes, ReadOptions(XYZ)).node_segment == expected).all()
    assert (sample_confined(path, SPEC, nodes.node_voxel_zyx, rule=XYZ).node_segment == expected).all()


def test_a_mask_in_z_y_x_lies_over_an_array_in_x_y_z(tmp_path):
    path = write_h5(tmp_path / "a.h5", labels().transpose(2, 1, 0).copy() % 5)
    mask = write_h5(tmp_path / "mask.h5", (labels() % 3 == 0).astype(np.uint8))
    plain = write_h5(tmp_path / "plain.h5", labels() % 5)
    swapped = sample_confined(path, SPEC, graph().node_voxel_zyx, rule=XYZ, no_merge_mask=mask)
    straight = sample_confined(plain, SPEC, graph().node_voxel_zyx, no_merge_mask=mask)
    assert (swapped.mask_voxels == straight.mask_voxels).all()
    assert (swapped.mask_segment == straight.mask_segment).all()


def test_a_file_in_the_other_order_is_told_so_in_the_words_of_its_rule(tmp_path):
    with pytest.raises(InputError, match=r"28 x 20 x 12 in the order x, y, z\. Write labels.transpose\(2, 1, 0\)"):
        check_labels(write_h5(tmp_path / "a.h5", labels()), SPEC, rule=XYZ)


@pytest.mark.slow
def test_the_diagnosis_of_an_array_in_x_y_z_is_that_of_its_transpose(tmp_path):
    tube = np.zeros((12, 12, 60), np.uint32)
    tube[3:9, 3:9] = 1
    spec = VolumeSpec(tube.shape, (30.0, 30.0, 30.0))
    plain, swapped = write_h5(tmp_path / "a.h5", tube), write_h5(tmp_path / "b.h5", tube.transpose(2, 1, 0).copy())
    found = [diagnose_confined(plain, spec, tmp_path / "1"), diagnose_confined(swapped, spec, tmp_path / "2", rule=XYZ)]
    assert found[0]["segments"] == found[1]["segments"]


def xpress_file(folder, *, name="submission.h5", dataset="submission", offset=(90, 90, 90)):
    return write_h5(folder / name, labels(), dataset, resolution=VOXEL_NM, offset=offset)


def zipped(tmp_path, *names, inner=None):
    with zipfile.ZipFile(tmp_path / "entry.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.write(inner or tmp_path / "submission.h5", name)
    return tmp_path / "entry.zip"


@pytest.mark.parametrize("is_zipped", [False, True])
def test_a_file_of_the_asked_name_is_taken_as_it_is_and_in_an_archive(tmp_path, is_zipped):
    path = xpress_file(tmp_path)
    path = zipped(tmp_path, "folder/submission.h5") if is_zipped else path
    nodes = graph()
    expected = labels()[tuple(nodes.node_voxel_zyx.T)]
    assert (sample_file(path, nodes, ReadOptions(XPRESS)).node_segment == expected).all()
    assert (sample_confined(path, SPEC, nodes.node_voxel_zyx, rule=XPRESS).node_segment == expected).all()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda t: xpress_file(t, name="seg.h5"), "wants submission.h5, or a .zip that holds it"),
        (lambda t: xpress_file(t, dataset="main"), "no dataset 'submission'; the file has 'main'"),
        (lambda t: xpress_file(t, offset=(0, 0, 0)), "begins at 0 x 0 x 0 nm, expected 90 x 90 x 90"),
        (lambda t: zipped(t, "a.h5", inner=xpress_file(t)), "the archive holds a.h5; expected submission.h5 alone"),
        (
            lambda t: zipped(t, "submission.h5", "read.me", inner=xpress_file(t)),
            "holds submission.h5, read.me; expected submission.h5 alone",
        ),
        (
            lambda t: write_h5(t / "submission.h5", np.repeat(labels(), 3, axis=1), "submission"),
            r"finer than the submission's grid by 1 x 3 x 1: write labels\[::1, ::3, ::1\]",
        ),
    ],
)
def test_a_file_by_another_rule_is_refused_with_what_the_benchmark_asks_for(tmp_path, make, words):
    with pytest.raises(InputError, match=words):
        check_labels(make(tmp_path), SPEC, rule=XPRESS)


def test_a_damaged_archive_is_refused_by_the_confined_child(tmp_path):
    xpress_file(tmp_path)
    path = zipped(tmp_path, "submission.h5")
    data = bytearray(path.read_bytes())
    data[200:260] = bytes(60)
    path.write_bytes(data)
    with pytest.raises(InputError, match="the archive cannot be read"):
        sample_confined(path, SPEC, graph().node_voxel_zyx, rule=XPRESS)


def test_a_node_table_holds_what_the_volume_has_at_the_nodes(tmp_path):
    nodes = graph()
    sample = sample_file(write_h5(tmp_path / "a.h5", labels()), nodes)
    NodeTable(sample.node_segment, nodes.nodes_sha256()).save(tmp_path / "t.npz")
    table = node_table_confined(tmp_path / "t.npz")
    read = table.sample(nodes.n_nodes, nodes.nodes_sha256(), "t.npz")
    assert (read.node_segment == sample.node_segment).all()


def test_a_table_of_the_same_nodes_in_another_order_is_refused():
    nodes = graph()
    order = np.arange(nodes.n_nodes)[::-1]
    other = SkeletonGraph(
        **{**vars(nodes), "node_voxel_zyx": nodes.node_voxel_zyx[order].copy(), "node_skeleton": nodes.node_skeleton}
    )
    table = NodeTable(np.ones(nodes.n_nodes, np.uint64), other.nodes_sha256())
    with pytest.raises(InputError, match="in the order of another set"):
        table.sample(nodes.n_nodes, nodes.nodes_sha256(), "t.npz")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"labels": np.ones(3)}, "it holds labels; expected label and nodes_sha256"),
        ({"label": np.ones((3, 3), np.uint8), "nodes_sha256": np.array("a" * 64)}, r"label has shape \(3, 3\)"),
        ({"label": np.ones(3), "nodes_sha256": np.array("a" * 64)}, "dtype float64, expected integers"),
        ({"label": np.array([{}]), "nodes_sha256": np.array("a" * 64)}, "t.npz"),
    ],
)
def test_a_file_that_is_no_node_table_is_refused(tmp_path, arrays, words):
    np.savez(tmp_path / "t.npz", allow_pickle=True, **arrays)
    with pytest.raises(InputError, match=words):
        node_table_confined(tmp_path / "t.npz")


def test_a_label_file_given_as_a_node_table_is_refused(tmp_path):
    shutil.copy(write_h5(tmp_path / "a.h5", labels()), tmp_path / "t.npz")
    with pytest.raises(InputError, match=r"t\.npz"):
        node_table_confined(tmp_path / "t.npz")


def test_offsets_are_read_in_the_order_of_the_file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("main", data=labels().transpose(2, 1, 0).copy(), chunks=(8, 8, 8))
        data.attrs["offset"] = (3.0, 2.0, 1.0)
    info = check_labels(tmp_path / "a.h5", SPEC, rule=FileRule(axes="xyz", offset_nm_zyx=(1.0, 2.0, 3.0)))
    assert info.offset_nm_zyx == (1.0, 2.0, 3.0)
