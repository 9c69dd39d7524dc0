"""Centre lines of shapes that can be checked by hand, and of volumes as kimimaro gives them whole."""

import gzip

import h5py
import numpy as np
import pytest

from axonem_eval.skeletonize import SkeletonOptions, Teasar, skeletonize_labels
from axonem_eval.skeletonize.teasar import face_targets, find_voxels, trace
from axonem_eval.synthetic import make_tissue

pytest.importorskip("kimimaro", reason="the extra [groundtruth] is not installed")

VOXEL_NM = (30.0, 30.0, 30.0)


def skeleton_of(mask, voxel_nm=VOXEL_NM, parameters=None, targets=()):
    zyx = np.argwhere(mask).astype(np.int32)
    return trace(zyx, mask.shape, voxel_nm, parameters or Teasar(), targets)


def cable_nm(tree, voxel_nm=VOXEL_NM):
    nm = tree.node_zyx * np.asarray(voxel_nm)
    return np.linalg.norm(nm[tree.edges[:, 0]] - nm[tree.edges[:, 1]], axis=1).sum()


def degrees(tree):
    return np.bincount(tree.edges.ravel(), minlength=len(tree.node_zyx))


def test_a_tube_through_the_volume_is_a_line_in_its_middle_from_face_to_face():
    mask = np.zeros((60, 15, 15), bool)
    mask[:, 4:11, 4:11] = True
    tree = skeleton_of(mask, targets=[(0, 7, 7), (59, 7, 7)])
    assert sorted(tree.node_zyx[:, 0]) == list(range(60))
    assert (tree.node_zyx[:, 1:] == 7).all()
    assert cable_nm(tree) == pytest.approx(59 * 30)
    assert (tree.radius_nm == 4 * 30).all()


def test_a_tube_inside_the_volume_ends_within_it():
    mask = np.zeros((80, 15, 15), bool)
    mask[10:70, 5:10, 5:10] = True
    tree = skeleton_of(mask)
    assert tree.node_zyx[:, 0].min() in (10, 11)
    assert tree.node_zyx[:, 0].max() in (68, 69)
    assert sorted(degrees(tree))[:2] == [1, 1]


def test_a_branch_makes_one_junction():
    mask = np.zeros((81, 60, 15), bool)
    mask[:, 5:12, 4:11] = True
    mask[37:44, 5:60, 4:11] = True
    assert sorted(degrees(skeleton_of(mask)))[-1] == 3
    assert sorted(degrees(skeleton_of(mask)))[:4] == [1, 1, 1, 2]


def test_pieces_of_one_label_are_all_there_and_unconnected():
    mask = np.zeros((60, 15, 40), bool)
    mask[:, 4:11, 4:11] = True
    mask[:, 4:11, 24:31] = True
    tree = skeleton_of(mask, targets=[(z, 7, x) for z in (0, 59) for x in (7, 27)])
    assert len(tree.node_zyx) - len(tree.edges) == 2
    assert cable_nm(tree) == pytest.approx(2 * 59 * 30)


def test_components_of_dust_get_none():
    mask = np.zeros((60, 15, 40), bool)
    mask[:, 4:11, 4:11] = True
    mask[:4, :5, 30:35] = True
    assert skeleton_of(mask).node_zyx[:, 2].max() < 11
    assert skeleton_of(mask, parameters=Teasar(dust_voxels=99)).node_zyx[:, 2].max() > 11


@pytest.mark.slow
def test_a_soma_gets_a_star_from_its_centre():
    z, y, x = np.ogrid[:100, :100, :100]
    mask = (z - 50) ** 2 + (y - 50) ** 2 + (x - 50) ** 2 < 42**2
    mask[48:53, 48:53, :] = True
    mask[50:58, 50:58, 50:58] = False  # a nucleus with a label of its own
    tree = skeleton_of(mask, (100.0, 100.0, 100.0))
    centre = np.flatnonzero((np.abs(tree.node_zyx - 50) <= 1).all(axis=1))
    assert len(centre) == 1
    assert degrees(tree)[centre[0]] == 2


def test_where_a_label_leaves_through_a_face_is_the_deepest_pixel_of_each_of_its_sections():
    plane = np.zeros((9, 20), np.uint16)
    plane[2:7, 2:7] = plane[2:5, 12:15] = 5
    assert face_targets(plane, VOXEL_NM[:2]).tolist() == [[4, 4], [3, 13]]


def assert_as_on_the_whole_volume(folder, labels, voxel_nm):
    """The same length of each label as kimimaro gives on the array, whatever the blocks."""
    import kimimaro

    found = kimimaro.skeletonize(
        labels.T,
        teasar_params=Teasar().kimimaro(),
        anisotropy=voxel_nm[::-1],
        dust_threshold=100,
        progress=False,
        parallel=1,
    )
    expected = {int(i): s.cable_length() for i, s in found.items() if len(s.edges)}
    with h5py.File(folder / "labels.h5", "w") as file:
        file.create_dataset("main", data=labels, chunks=(8, 16, 16))
    graph = skeletonize_labels(folder / "labels.h5", voxel_nm, SkeletonOptions(target_voxel_nm=max(voxel_nm)))
    assert dict(zip(graph.skeleton_id.tolist(), graph.skeleton_length_nm, strict=True)) == pytest.approx(expected)


@pytest.mark.slow
def test_synthetic_tissue_is_traced_as_on_the_whole_volume(tmp_path):
    labels = make_tissue((40, 90, 90), (40.0, 32.0, 32.0), seed=4, grey=False).labels
    assert_as_on_the_whole_volume(tmp_path, labels, (40.0, 32.0, 32.0))


@pytest.mark.slow
def test_cortex_is_traced_as_on_the_whole_volume(tmp_path, shared_data):
    crackle = pytest.importorskip("crackle")
    packed = (shared_data / "cortex" / "connectomics.npy.ckl.gz").read_bytes()
    sections = crackle.CrackleArray(gzip.decompress(packed))[:, :, :60].T
    labels = np.ascontiguousarray(sections[:, 200:360:2, 200:360:2])
    assert_as_on_the_whole_volume(tmp_path, labels, (40.0, 32.0, 32.0))


def test_a_box_too_large_is_traced_in_parts_that_meet(monkeypatch):
    mask = np.zeros((20, 200, 200), bool)
    for i in range(190):
        mask[7:13, i : i + 9, i : i + 9] = True
    whole = skeleton_of(mask)
    monkeypatch.setattr("axonem_eval.skeletonize.teasar.MAX_BOX_VOXELS", mask.size // 20)
    parts = skeleton_of(mask)
    assert len(parts.node_zyx) - len(parts.edges) == 1
    assert cable_nm(parts) == pytest.approx(cable_nm(whole), rel=0.02)


def test_voxels_are_found_again():
    zyx = np.argwhere(np.ones((3, 4, 5), bool)).astype(np.int32)
    assert find_voxels(zyx, zyx[[7, 59, 0]]).tolist() == [7, 59, 0]
