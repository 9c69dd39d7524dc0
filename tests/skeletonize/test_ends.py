"""Ends of branches: how many lie at a surface, and moved inside."""

import numpy as np

from axonem_eval.skeletonize import SkeletonOptions, skeletonize_labels
from axonem_eval.skeletonize.ends import move_ends_inside, share_at_surface
from axonem_eval.skeletons import SkeletonGraph
from tests.label_files import write_h5

NM = (30.0, 30.0, 30.0)


def bar(tmp_path):
    """Two axons of 10 x 10 voxels; the first ends inside of the volume."""
    labels = np.zeros((32, 40, 90), np.uint32)
    labels[10:20, 5:15, 12:78] = 4
    labels[10:20, 25:35] = 9
    return write_h5(tmp_path / "a.h5", labels)


def chain(radius) -> SkeletonGraph:
    n = len(radius)
    return SkeletonGraph(
        skeleton_id=np.array([1], np.uint64),
        node_skeleton=np.zeros(n, np.int32),
        node_voxel_zyx=np.column_stack([np.zeros(n), np.zeros(n), np.arange(n)]).astype(np.int32),
        edge_u=np.arange(n - 1, dtype=np.int32),
        edge_v=np.arange(1, n, dtype=np.int32),
        edge_length_nm=np.full(n - 1, 30.0),
        shape_zyx=(1, 1, n),
        voxel_size_nm_zyx=NM,
        node_radius_nm=np.array(radius, np.float32),
    )


def test_an_end_moves_to_the_asked_depth_and_no_further():
    moved = move_ends_inside(chain([30, 60, 90, 120, 120, 120, 120]), 90.0)
    assert moved.node_radius_nm.tolist() == [90, 120, 120, 120, 120]


def test_a_thin_axon_keeps_all_but_the_rise_at_its_ends():
    moved = move_ends_inside(chain([15, 30, 30, 30, 30, 15]), 90.0)
    assert moved.node_radius_nm.tolist() == [30, 30, 30, 30]


def test_a_skeleton_keeps_an_edge():
    assert move_ends_inside(chain([15, 30, 15]), 90.0).n_edges == 2


def test_skeletons_of_chosen_labels_end_inside_and_say_how_many_end_at_a_surface(tmp_path):
    plain = skeletonize_labels(bar(tmp_path), NM, SkeletonOptions(label_ids=[4, 77]))
    inside = skeletonize_labels(bar(tmp_path), NM, SkeletonOptions(label_ids=[4], ends_inside_voxels=2))
    assert plain.skeleton_id.tolist() == inside.skeleton_id.tolist() == [4]
    assert share_at_surface(plain, NM) == 1.0
    assert "100.0% of the ends of branches lie within one voxel" in plain.notes[0]
    assert "1 of 2 ids have no skeleton, such as 77" in plain.notes[1]
    assert share_at_surface(inside, NM) == 0.0
    assert inside.notes == []
