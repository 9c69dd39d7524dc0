"""Centre lines of shapes that can be checked by hand, and node for node against kimimaro."""

import gzip

import numpy as np
import pytest

from axonem_eval.synthetic import make_tissue
from axonem_eval.teasar import Teasar, trace
from axonem_eval.voxels import voxel_graph

VOXEL_NM = (30.0, 30.0, 30.0)
KIMIMARO = {
    "scale": 1.5,
    "const": 500,
    "pdrf_scale": 100_000,
    "pdrf_exponent": 4,
    "soma_detection_threshold": 1100,
    "soma_acceptance_threshold": 3500,
    "soma_invalidation_scale": 1.0,
    "soma_invalidation_const": 300,
}


def skeleton_of(mask, voxel_nm=VOXEL_NM, parameters=None):
    zyx = np.argwhere(mask).astype(np.int32)
    return trace(voxel_graph(zyx, mask.shape), voxel_nm, parameters or Teasar())


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
        labels.T, teasar_params=KIMIMARO, anisotropy=voxel_nm[::-1], dust_threshold=100, progress=False, parallel=1
    )
    size = np.asarray(voxel_nm)
    return {int(i): (np.rint(s.vertices[:, ::-1] / size).astype(int), s.cable_length()) for i, s in found.items()}


def assert_equals_kimimaro(labels, voxel_nm, *, same_nodes):
    """The same labels have skeletons; all cables within 1%; and so many have the very same nodes."""
    expected = theirs(labels, voxel_nm)
    ours = {int(i): skeleton_of(labels == i, voxel_nm) for i in np.unique(labels) if i}
    ours = {i: tree for i, tree in ours.items() if len(tree.edges)}
    assert set(ours) == {i for i, (_, cable) in expected.items() if cable > 0}
    for i, tree in ours.items():
        assert cable_nm(tree, voxel_nm) == pytest.approx(expected[i][1], rel=0.01)
    same = sum({*map(tuple, t.node_zyx.tolist())} == {*map(tuple, expected[i][0].tolist())} for i, t in ours.items())
    assert same >= same_nodes * len(ours)


def test_synthetic_tissue_equals_kimimaro_on_the_whole_volume():
    labels = make_tissue((40, 90, 90), (40.0, 32.0, 32.0), seed=4).labels
    assert_equals_kimimaro(labels, (40.0, 32.0, 32.0), same_nodes=0.97)


def test_cortex_equals_kimimaro_on_the_whole_volume(shared_data):
    crackle = pytest.importorskip("crackle")
    packed = (shared_data / "cortex" / "connectomics.npy.ckl.gz").read_bytes()
    sections = crackle.CrackleArray(gzip.decompress(packed))[:, :, :60].T
    labels = np.ascontiguousarray(sections[:, 200:360:2, 200:360:2])
    assert_equals_kimimaro(labels, (40.0, 32.0, 32.0), same_nodes=0.97)
