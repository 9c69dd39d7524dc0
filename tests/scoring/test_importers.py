import json
import pickle

import numpy as np
import pytest

from axonem_eval import InputError, VolumeSpec
from axonem_eval.importers import from_osteoid, import_skeletons, to_voxels
from tests.scoring.volumes import straight_graph

osteoid = pytest.importorskip("osteoid", reason="the extra [groundtruth] is not installed")

GRAPH = straight_graph()
SPEC = GRAPH.spec


def position_nm(dtype=np.float32):
    return (GRAPH.node_voxel_zyx * np.asarray(GRAPH.voxel_size_nm_zyx)).astype(dtype)


def assert_same(imported):
    assert imported.node_voxel_zyx.tolist() == GRAPH.node_voxel_zyx.tolist()
    assert imported.skeleton_length_nm == pytest.approx(GRAPH.skeleton_length_nm)
    assert imported.n_edges == GRAPH.n_edges


def test_em_erl_flat_layout(tmp_path):
    np.savez(
        tmp_path / "g.npz",
        skeleton_id=GRAPH.skeleton_id.astype(np.int64),
        skeleton_len=GRAPH.skeleton_length_nm,
        node_skeleton_index=GRAPH.node_skeleton.astype(np.uint32),
        node_coords_zyx=position_nm(),
        edge_u=GRAPH.edge_u.astype(np.uint32),
        edge_v=GRAPH.edge_v.astype(np.uint32),
        edge_len=GRAPH.edge_length_nm.astype(np.float32),
        edge_ptr=np.array([0, 19, 38], np.uint64),
        erl_graph_schema_version=np.array(2, np.uint16),
    )
    assert_same(import_skeletons(tmp_path / "g.npz", SPEC))


def test_em_erl_older_layout(tmp_path):
    edges = np.stack([GRAPH.edge_u, GRAPH.edge_v, GRAPH.edge_length_nm], axis=1)
    np.savez(
        tmp_path / "g.npz",
        skeleton_id=np.array([1, 2]),
        skeleton_len=GRAPH.skeleton_length_nm,
        nodes=np.column_stack([GRAPH.node_skeleton, position_nm(np.uint32)]).astype(np.uint32),
        edges_0=edges[:19],
        edges_1=edges[19:],
    )
    assert_same(import_skeletons(tmp_path / "g.npz", SPEC))


def as_osteoid():
    skeletons = {}
    for index, label in enumerate((1, 2)):
        mine = GRAPH.node_skeleton == index
        first = int(np.flatnonzero(mine)[0])
        edges = np.stack([GRAPH.edge_u, GRAPH.edge_v], axis=1)[GRAPH.edge_skeleton == index] - first
        skeletons[label] = osteoid.Skeleton(
            position_nm()[mine][:, ::-1].copy(), edges.astype(np.uint32), radii=np.ones(20, np.float32), segid=label
        )
    return skeletons


def test_swc_folder(tmp_path):
    for label, skeleton in as_osteoid().items():
        (tmp_path / f"{label}.swc").write_text(skeleton.to_swc())
    imported = import_skeletons(tmp_path, SPEC)
    assert_same(imported)
    assert imported.skeleton_id.tolist() == [1, 2]


def test_swc_in_um(tmp_path):
    for label, skeleton in as_osteoid().items():
        skeleton.vertices = skeleton.vertices / 1000
        (tmp_path / f"{label}.swc").write_text(skeleton.to_swc())
    assert import_skeletons(tmp_path, SPEC, unit="um").node_voxel_zyx.tolist() == GRAPH.node_voxel_zyx.tolist()


def test_folder_of_osteoid_files(tmp_path):
    for label, skeleton in as_osteoid().items():
        osteoid.save(str(tmp_path / f"{label}"), skeleton)
    assert_same(import_skeletons(tmp_path, SPEC))


def test_precomputed_folder_with_its_info(tmp_path):
    skeletons = as_osteoid()
    attributes = skeletons[1].extra_attributes
    (tmp_path / "info").write_text(json.dumps({"@type": "neuroglancer_skeletons", "vertex_attributes": attributes}))
    for label, skeleton in skeletons.items():
        (tmp_path / str(label)).write_bytes(skeleton.to_precomputed())
    assert_same(import_skeletons(tmp_path, SPEC))


def test_sharded_precomputed_says_what_to_do(tmp_path):
    (tmp_path / "info").write_text(json.dumps({"sharding": {"@type": "neuroglancer_uint64_sharded_v1"}}))
    with pytest.raises(InputError, match="unsharded"):
        import_skeletons(tmp_path, SPEC)


def test_kimimaro_set_in_array_order():
    skeletons = as_osteoid()
    for skeleton in skeletons.values():
        skeleton.vertices = skeleton.vertices[:, ::-1].copy()
    assert_same(from_osteoid(skeletons, SPEC, axes="zyx"))


def test_float32_nm_just_short_of_a_voxel_corner_stays_in_its_voxel():
    index = np.arange(1000)  # beyond about 8 um one float32 step is more than 1e-4 of a 7 nm voxel
    nm = np.nextafter((index * 7).astype(np.float32), np.float32(0))
    assert (to_voxels(np.stack([nm, nm, nm], axis=1), (7.0, 7.0, 7.0))[:, 0] == index).all()


def test_a_pickle_is_refused_unread(tmp_path):
    (tmp_path / "g.p").write_bytes(pickle.dumps({"skeletons": 1}))
    with pytest.raises(InputError, match="unpickling runs code"):
        import_skeletons(tmp_path / "g.p", SPEC)


def test_a_voxel_size_in_the_wrong_order_is_noticed_by_nodes_outside(tmp_path):
    for label, skeleton in as_osteoid().items():
        (tmp_path / f"{label}.swc").write_text(skeleton.to_swc())
    with pytest.raises(InputError, match="axis order"):
        import_skeletons(tmp_path, VolumeSpec(SPEC.shape_zyx, (8.0, 8.0, 30.0)))
