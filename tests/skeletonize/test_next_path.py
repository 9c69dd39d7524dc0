"""The search for the next path of a skeleton, beside dijkstra3d's, which kimimaro asks by itself."""

import numpy as np
import pytest

from axonem_eval.skeletonize.next_path import path_to_rail

dijkstra3d = pytest.importorskip("dijkstra3d", reason="the extra [groundtruth] is not installed")


def field(shape, values, seed):
    """Random weights with walls and two pieces of a rail."""
    rng = np.random.default_rng(seed)
    weight = np.asfortranarray(rng.choice(values, shape).astype(np.float32))
    weight[rng.random(shape) < 0.3] = np.inf
    weight[0, 0, :2] = weight[-1, -1, -1] = 0
    return weight


@pytest.mark.parametrize("values", [[1.0, 2.0], np.linspace(1, 9e4, 1000)], ids=["many ties", "few ties"])
def test_the_path_is_the_one_that_dijkstra3d_finds(values):
    for shape in ((9, 12, 16), (16, 20, 15)):
        weight = field(shape, values, seed=len(values))
        for start in np.argwhere(np.isfinite(weight))[::71].tolist():
            assert path_to_rail(weight, start).tolist() == dijkstra3d.railroad(weight, start).tolist()


def test_where_no_way_leads_to_the_rail_there_is_no_path():
    weight = np.full((5, 5, 5), np.inf, np.float32, order="F")
    weight[0, 0, 0], weight[3, 3, 3] = 0, 1
    assert path_to_rail(weight, (3, 3, 3)).shape == (0, 3)
