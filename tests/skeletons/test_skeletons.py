import numpy as np
import pytest

from axonem_eval import InputError, SkeletonGraph
from tests.label_files import straight_graph


def changed(**fields):
    graph = straight_graph()
    names = ("skeleton_id", "node_skeleton", "node_voxel_zyx", "edge_u", "edge_v", "edge_length_nm")
    arrays = {name: getattr(graph, name).copy() for name in names} | fields
    return SkeletonGraph(**arrays, shape_zyx=graph.shape_zyx, voxel_size_nm_zyx=graph.voxel_size_nm_zyx)


def test_a_bundle_survives_saving_and_loading(tmp_path):
    graph = straight_graph()
    graph.save(tmp_path / "gt")
    loaded = SkeletonGraph.load(tmp_path / "gt")
    assert loaded.checksum() == graph.checksum()
    assert loaded.shape_zyx == graph.shape_zyx


def test_the_checksum_sees_a_moved_node():
    graph = straight_graph()
    moved = graph.node_voxel_zyx.copy()
    moved[0, 2] += 1
    assert changed(node_voxel_zyx=moved).checksum() != graph.checksum()


def test_lengths_and_ceiling_follow_from_the_edges():
    graph = straight_graph()  # two skeletons of 19 edges of 8 nm
    assert graph.skeleton_length_nm.tolist() == [152.0, 152.0]
    assert graph.gt_erl_nm == 152.0
    assert graph.mean_node_spacing_nm == 8.0


def test_short_skeletons_are_left_out_and_the_rest_renumbered():
    graph = straight_graph()
    lengths = graph.edge_length_nm.copy()
    lengths[:19] = 1.0  # the first skeleton shrinks to 19 nm
    kept = changed(edge_length_nm=lengths).longer_than(0.1)
    assert kept.skeleton_id.tolist() == [2]
    assert kept.n_nodes == 20
    assert kept.edge_u.min() == 0
    assert set(kept.node_skeleton) == {0}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"edge_v": np.full(38, 39, np.int32)}, "joins two skeletons"),
        ({"edge_v": np.full(38, 99, np.int32)}, "outside 0..39"),
        ({"node_voxel_zyx": np.full((40, 3), 24, np.int32)}, "outside the volume"),
        ({"edge_length_nm": np.full(38, np.nan)}, "not finite"),
        ({"edge_length_nm": np.full(37, 1.0)}, "differ in length"),
        ({"edge_length_nm": np.full(38, "1")}, "edge_length_nm has dtype <U1, expected numbers"),
        ({"edge_u": np.zeros(38)}, "edge_u has dtype float64, expected integers"),
        ({"node_voxel_zyx": np.full((40, 3), 2.5)}, "node_voxel_zyx has dtype float64, expected integers"),
        ({"skeleton_id": np.array([1.0, 2.0])}, "skeleton_id has dtype float64, expected integers"),
    ],
)
def test_contradictions_are_refused(fields, words):
    with pytest.raises(InputError, match=words):
        changed(**fields)


def test_a_pickle_is_never_loaded(tmp_path):
    path = tmp_path / "evil.npz"
    np.savez(path, skeleton_id=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match="unpickling runs code"):
        SkeletonGraph.load(path)


def test_another_npz_says_how_to_make_a_bundle(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.arange(3))
    with pytest.raises(InputError, match="axonem-eval skeletonize"):
        SkeletonGraph.load(tmp_path / "x.npz")
