"""The voxel graph against scipy on dense arrays."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from axonem_eval.voxels import boundary_distance, coarsen, components, fill_holes, find_voxels, voxel_graph

VOXEL_NM = (40.0, 32.0, 16.0)


@pytest.fixture(params=range(6))
def mask(request):
    """A random blob with several pieces, holes and contact with the volume's faces."""
    rng = np.random.default_rng(request.param)
    shape = tuple(rng.integers(5, 24, 3))
    return ndimage.gaussian_filter(rng.standard_normal(shape), rng.uniform(0.5, 1.5)) > -0.1


def voxels_of(mask):
    return np.argwhere(mask).astype(np.int32)


def test_distance_is_that_to_the_nearest_voxel_outside_and_faces_do_not_count(mask):
    graph = voxel_graph(voxels_of(mask), mask.shape)
    expected = ndimage.distance_transform_edt(mask, sampling=VOXEL_NM)[mask]
    assert np.allclose(boundary_distance(graph, VOXEL_NM), expected, rtol=1e-6)


def test_distance_in_a_label_that_fills_the_volume_is_infinite():
    graph = voxel_graph(voxels_of(np.ones((2, 3, 4), bool)), (2, 3, 4))
    assert np.isinf(boundary_distance(graph, VOXEL_NM)).all()


def test_components_are_those_of_26_neighbours(mask):
    zyx = voxels_of(mask)
    graph = voxel_graph(zyx, mask.shape)
    order, start = components(graph.row, graph.mask)
    expected, n = ndimage.label(mask, np.ones((3, 3, 3)))
    found = [set(expected[tuple(zyx[order[a:b]].T)]) for a, b in pairwise(start)]
    assert sorted(found, key=min) == [{i} for i in range(1, n + 1)]


def test_holes_are_filled_as_scipy_fills_them(mask):
    filled = np.zeros_like(mask)
    filled[tuple(fill_holes(voxels_of(mask)).T)] = True
    assert np.array_equal(filled, ndimage.binary_fill_holes(mask))


def test_coarser_voxels_hold_any_of_the_finer_and_name_one():
    zyx = np.array([[0, 0, 0], [0, 0, 1], [0, 0, 5], [1, 1, 1]], np.int32)
    coarse, member = coarsen(zyx, 2)
    assert coarse.tolist() == [[0, 0, 0], [0, 0, 2]]
    assert member.tolist() == [[0, 0, 0], [0, 0, 5]]


def test_voxels_are_found_again():
    zyx = voxels_of(np.ones((3, 4, 5), bool))
    assert find_voxels(zyx, zyx[[7, 59, 0]]).tolist() == [7, 59, 0]
