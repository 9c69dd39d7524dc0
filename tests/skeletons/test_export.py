"""Skeletons written for other programs and read back by the importers."""

import json
from dataclasses import replace

import numpy as np
import pytest

from axonem_eval import SkeletonGraph
from axonem_eval.errors import InputError
from axonem_eval.skeletons import export_precomputed, export_swc, import_skeletons

VOXEL_NM = (30.0, 8.0, 8.0)
SHAPE = (100, 4000, 4000)


@pytest.fixture
def skeletons():
    """A Y and a skeleton in two pieces; the nodes of both are interleaved, the second id is near 2**64."""
    node = [
        (5, 10, 10),
        (50, 7, 7),
        (6, 11, 11),
        (51, 7, 8),
        (7, 12, 11),
        (6, 12, 12),
        (99, 3999, 3999),
        (99, 3998, 3999),
    ]
    owner = [0, 1, 0, 1, 0, 0, 1, 1]
    edges = [(0, 2), (1, 3), (2, 4), (5, 2), (7, 6)]
    node, edges = np.array(node, np.int32), np.array(edges, np.int32)
    length = np.linalg.norm((node[edges[:, 0]] - node[edges[:, 1]]) * np.array(VOXEL_NM), axis=1)
    ids = np.array([17, 2**64 - 3], np.uint64)
    return SkeletonGraph(
        ids,
        np.array(owner, np.int32),
        node,
        edges[:, 0],
        edges[:, 1],
        length,
        SHAPE,
        VOXEL_NM,
        node_radius_nm=np.arange(8, dtype=np.float32) * 10,
        volume_um3=np.array([1.0, 2.0]),
    )


def content(graph):
    """{id: (its voxels, its edges as pairs of voxels with their length)}, whatever the order."""
    voxel = [tuple(v) for v in graph.node_voxel_zyx.tolist()]
    found = {int(i): (set(), set()) for i in graph.skeleton_id}
    for place, k in zip(voxel, graph.node_skeleton, strict=True):
        found[int(graph.skeleton_id[k])][0].add(place)
    for u, v, k, nm in zip(graph.edge_u, graph.edge_v, graph.edge_skeleton, graph.edge_length_nm, strict=True):
        found[int(graph.skeleton_id[k])][1].add((frozenset((voxel[u], voxel[v])), round(float(nm), 1)))
    return found


@pytest.mark.parametrize("unit", ["nm", "um"])
def test_swc_comes_back_as_it_went(skeletons, tmp_path, unit):
    assert export_swc(skeletons, tmp_path / "swc", unit=unit) == 2
    again = import_skeletons(tmp_path / "swc", skeletons.spec, unit=unit)
    assert content(again) == content(skeletons)


def test_precomputed_comes_back_as_it_went(skeletons, tmp_path):
    assert export_precomputed(skeletons, tmp_path / "pre") == 2
    assert content(import_skeletons(tmp_path / "pre", skeletons.spec)) == content(skeletons)


def test_precomputed_without_measures_comes_back_too(skeletons, tmp_path):
    export_precomputed(skeletons, tmp_path / "pre")
    assert content(import_skeletons(tmp_path / "pre", skeletons.spec)) == content(skeletons)


def test_swc_lines_hold_place_radius_and_parent(skeletons, tmp_path):
    export_swc(skeletons, tmp_path)
    lines = (tmp_path / "17.swc").read_text().splitlines()
    assert lines[1:3] == ["1 0 84.0 84.0 165.0 0.0 -1", "2 0 92.0 92.0 195.0 20.0 1"]


def test_pieces_of_a_skeleton_are_roots_of_their_own(skeletons, tmp_path):
    export_swc(skeletons, tmp_path)
    rows = np.loadtxt(tmp_path / f"{2**64 - 3}.swc")
    assert (rows[:, 6] == -1).sum() == 2


def test_swc_cannot_hold_a_cycle(tmp_path):
    node = np.array([(0, 0, 0), (0, 0, 1), (0, 1, 0)], np.int32)
    u, v = np.array([0, 1, 2], np.int32), np.array([1, 2, 0], np.int32)
    ring = SkeletonGraph(np.ones(1, np.uint64), np.zeros(3, np.int32), node, u, v, np.ones(3), SHAPE, VOXEL_NM)
    with pytest.raises(InputError, match="1 edges close a cycle"):
        export_swc(ring, tmp_path)
    assert export_precomputed(ring, tmp_path) == 1


def test_a_folder_with_other_files_is_left_alone(skeletons, tmp_path):
    (tmp_path / "5.swc").write_text("")
    with pytest.raises(InputError, match="empty folder"):
        export_swc(skeletons, tmp_path)


def test_neuroglancer_finds_radius_and_lengths(skeletons, tmp_path):
    export_precomputed(skeletons, tmp_path)
    info = json.loads((tmp_path / "info").read_text())
    assert info["@type"] == "neuroglancer_skeletons"
    assert info["vertex_attributes"] == [{"id": "radius", "data_type": "float32", "num_components": 1}]
    inline = json.loads((tmp_path / info["segment_properties"] / "info").read_text())["inline"]
    assert inline["ids"] == ["17", str(2**64 - 3)]
    assert inline["properties"][0]["values"] == pytest.approx(skeletons.skeleton_length_nm / 1000, abs=1e-3)


@pytest.mark.parametrize("write", [export_swc, export_precomputed])
def test_two_skeletons_with_one_id_are_refused_before_anything_is_written(skeletons, tmp_path, write):
    same = replace(skeletons, skeleton_id=np.array([3, 3], np.uint64))
    with pytest.raises(InputError, match="1 ids stand for several skeletons, the first is 3"):
        write(same, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("write", [export_swc, export_precomputed])
def test_an_export_leaves_what_is_there(skeletons, tmp_path, write):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match="empty folder"):
        write(skeletons, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"
    write(skeletons, tmp_path / "again")
    with pytest.raises(InputError, match="empty folder"):
        write(skeletons, tmp_path / "again")


def test_the_unit_of_an_export_is_known_to_the_import(skeletons, tmp_path):
    export_swc(skeletons, tmp_path / "swc", unit="um")
    with pytest.raises(
        InputError, match="a comment states the unit um, but coordinates are read as nm; give --unit um"
    ):
        import_skeletons(tmp_path / "swc", skeletons.spec)
