"""Ground truth on the grid of submissions: coarser voxels and a part of the image."""

import numpy as np
import pytest

from axonem_eval.errors import InputError
from axonem_eval.skeletons import SkeletonGraph, place_on_grid
from axonem_eval.spec import VolumeSpec
from axonem_eval.submission_rule import SubmissionRule

IMAGE = VolumeSpec((60, 60, 60), (33.0, 33.0, 33.0))
RULE = SubmissionRule.parse(IMAGE, {"factor_zyx": [3, 3, 3], "region_nm_zyx": [[396] * 3, [1386] * 3]})


def line(first: int, last: int) -> SkeletonGraph:
    """One skeleton along x, a node in each voxel of the image from first to last."""
    n = last - first + 1
    return SkeletonGraph(
        skeleton_id=np.array([5], np.uint64),
        node_skeleton=np.zeros(n, np.int32),
        node_voxel_zyx=np.column_stack([np.full(n, 20), np.full(n, 21), np.arange(first, last + 1)]).astype(np.int32),
        edge_u=np.arange(n - 1, dtype=np.int32),
        edge_v=np.arange(1, n, dtype=np.int32),
        edge_length_nm=np.full(n - 1, 33.0),
        shape_zyx=IMAGE.shape_zyx,
        voxel_size_nm_zyx=IMAGE.voxel_size_nm_zyx,
    )


def test_nodes_move_to_the_coarser_voxel_that_holds_them_and_keep_their_lengths():
    placed = place_on_grid(line(12, 20), RULE)
    assert placed.spec == VolumeSpec((10, 10, 10), (99.0, 99.0, 99.0))
    assert placed.node_voxel_zyx.tolist() == [[2, 3, x // 3] for x in range(9)]
    assert placed.skeleton_length_nm.tolist() == [8 * 33.0]


def test_nodes_outside_the_region_go_with_their_edges_only_if_the_rule_cuts():
    with pytest.raises(InputError, match="2 of 9 nodes lie outside the region"):
        place_on_grid(line(10, 18), RULE)
    placed = place_on_grid(line(10, 18), RULE, drop_outside=True)
    assert (placed.n_nodes, placed.n_edges) == (7, 6)
    assert "2 of 9 nodes lie outside" in placed.notes[0]


def test_skeletons_that_lie_on_the_grid_already_stay():
    placed = place_on_grid(line(12, 20), RULE)
    assert place_on_grid(placed, RULE) is placed


def test_skeletons_of_another_volume_are_refused():
    other = SubmissionRule.parse(VolumeSpec((50, 60, 60), (33.0, 33.0, 33.0)), {})
    with pytest.raises(InputError, match="are of a volume of 60 x 60 x 60 voxels"):
        place_on_grid(line(12, 20), other)
