"""Centre lines of shapes that can be checked by hand, and label by label against the whole volume at once."""

import gzip

import numpy as np
import pytest

from axonem_eval.synthetic import make_tissue
from axonem_eval.trace import Teasar, coarsen, find_voxels, trace

pytest.importorskip("kimimaro", reason="the extra [groundtruth] is not installed")

VOXEL_NM = (30.0, 30.0, 30.0)


def skeleton_of(mask, voxel_nm=VOXEL_NM, parameters=None):
    zyx = np.argwhere(mask).astype(np.int32)
    return trace(zyx, mask.shape, voxel_nm, parameters or Teasar())


def cable_nm(tree, voxel_nm=VOXEL_NM):
    nm = tree.node_zyx * np.asarray(voxel_nm)
    return np.linalg.norm(nm[tree.edges[:, 0]] - nm[tree.edges[:, 1]], axis=1).sum()


def degrees(tree):
    return np.bincount(tree.edges.ravel(), minlength=len(tree.node_zyx))


def test_a_tube_through_the_volume_is_a_line_in_its_middle_from_face_to_face():
    mask = np.zeros((60, 15, 15), bool)
    mask[:, 4:11, 4:11] = True
    tree = skeleton_of(mask)
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
    tree = skeleton_of(mask)
    assert len(tree.node_zyx) - len(tree.edges) == 2
    assert cable_nm(tree) == pytest.approx(2 * 59 * 30)


def test_components_of_dust_get_none():
    mask = np.zeros((60, 15, 40), bool)
    mask[:, 4:11, 4:11] = True
    mask[:4, :5, 30:35] = True
    assert skeleton_of(mask).node_zyx[:, 2].max() < 11
    assert skeleton_of(mask, parameters=Teasar(dust_voxels=99)).node_zyx[:, 2].max() > 11


def test_a_soma_gets_a_star_from_its_centre():
    z, y, x = np.ogrid[:100, :100, :100]
    mask = (z - 50) ** 2 + (y - 50) ** 2 + (x - 50) ** 2 < 42**2
    mask[48:53, 48:53, :] = True
    mask[50:58, 50:58, 50:58] = False  # a nucleus with a label of its own
    tree = skeleton_of(mask, (100.0, 100.0, 100.0))
    centre = np.flatnonzero((np.abs(tree.node_zyx - 50) <= 1).all(axis=1))
    assert len(centre) == 1
    assert degrees(tree)[centre[0]] == 2


def theirs(labels, voxel_nm):
    import kimimaro

    found = kimimaro.skeletonize(
        labels.T,
        teasar_params=Teasar().kimimaro(),
        anisotropy=voxel_nm[::-1],
        dust_threshold=100,
        progress=False,
        parallel=1,
    )
    size = np.asarray(voxel_nm)
    return {int(i): (np.rint(s.vertices[:, ::-1] / size).astype(int), s.cable_length()) for i, s in found.items()}


def assert_as_on_the_whole_volume(labels, voxel_nm):
    """Labels within the volume: the very same nodes. Those at its faces: another exit at most; the cable in all."""
    expected = theirs(labels, voxel_nm)
    ours = {int(i): skeleton_of(labels == i, voxel_nm) for i in np.unique(labels) if i}
    ours = {i: tree for i, tree in ours.items() if len(tree.edges)}
    assert set(ours) == {i for i, (_, cable) in expected.items() if cable > 0}
    inside = [i for i in ours if not touches_a_face(labels == i)]
    for i in inside:
        assert {*map(tuple, ours[i].node_zyx.tolist())} == {*map(tuple, expected[i][0].tolist())}
    assert inside or labels.shape[0] < 50
    total = sum(cable_nm(tree, voxel_nm) for tree in ours.values())
    assert total == pytest.approx(sum(cable for _, cable in expected.values()), rel=0.03)


def touches_a_face(mask):
    return any(np.moveaxis(mask, axis, 0)[[0, -1]].any() for axis in range(3))


def test_synthetic_tissue_is_traced_as_on_the_whole_volume():
    labels = make_tissue((40, 90, 90), (40.0, 32.0, 32.0), seed=4).labels
    assert_as_on_the_whole_volume(labels, (40.0, 32.0, 32.0))


def test_cortex_is_traced_as_on_the_whole_volume(shared_data):
    crackle = pytest.importorskip("crackle")
    packed = (shared_data / "cortex" / "connectomics.npy.ckl.gz").read_bytes()
    sections = crackle.CrackleArray(gzip.decompress(packed))[:, :, :60].T
    labels = np.ascontiguousarray(sections[:, 200:360:2, 200:360:2])
    assert_as_on_the_whole_volume(labels, (40.0, 32.0, 32.0))


def test_coarser_voxels_hold_any_of_the_finer_and_name_one():
    zyx = np.array([[0, 0, 0], [0, 0, 1], [0, 0, 5], [1, 1, 1]], np.int32)
    coarse, member = coarsen(zyx, 2)
    assert coarse.tolist() == [[0, 0, 0], [0, 0, 2]]
    assert member.tolist() == [[0, 0, 0], [0, 0, 5]]


def test_voxels_are_found_again():
    zyx = np.argwhere(np.ones((3, 4, 5), bool)).astype(np.int32)
    assert find_voxels(zyx, zyx[[7, 59, 0]]).tolist() == [7, 59, 0]
