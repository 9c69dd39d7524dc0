"""Courses of axons through their volume, as a page draws them."""

import numpy as np

from axonem_eval.report import skeleton_courses
from axonem_eval.skeletons import SkeletonGraph
from tests.factories import tiny_graph


def test_a_course_keeps_place_and_length_with_few_nodes():
    graph = tiny_graph()  # straight along x, 96 nodes 30 nm apart; the diagonal of the volume is 3.5 um
    found = skeleton_courses(graph, [2, 0])
    assert found["box_nm"] == [720, 1920, 2880]
    nodes, edges = (np.array(found["courses"][0][name]) for name in ("nodes", "edges"))
    assert (nodes[:, :2] == graph.centre_nm_zyx(2 * 96)[:2]).all()
    assert (nodes[:, 3] == 0).all()  # no radius was measured
    assert np.abs(nodes[edges[:, 1], 2] - nodes[edges[:, 0], 2]).sum() == 95 * 30


def test_long_courses_are_as_coarse_as_it_takes_and_stay_whole():
    first, *_ = skeleton_courses(tiny_graph(), [0], most_nodes=30)["courses"]
    assert len(first["nodes"]) <= 31
    assert len(first["edges"]) == len(first["nodes"]) - 1


def test_a_course_has_the_radii_of_its_axon():
    graph = tiny_graph()
    radius = np.where(graph.node_skeleton == 1, np.float32(95), np.float32(40))
    measured = SkeletonGraph(
        **{name: getattr(graph, name) for name in graph.__dataclass_fields__ if name != "node_radius_nm"},
        node_radius_nm=radius,
    )
    assert {row[3] for row in skeleton_courses(measured, [1])["courses"][0]["nodes"]} == {95}
