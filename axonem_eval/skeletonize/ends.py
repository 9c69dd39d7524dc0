"""Ends of branches: TEASAR puts them on the surface of a label, where a boundary that is off by a voxel misses them.

By a strict rule an end that lies in a neighbour's segment makes a merger. Moved inside, ends measure the axon, not its
membrane.
"""

import numpy as np
from numpy.typing import NDArray

from axonem_eval.skeletons import SkeletonGraph
from axonem_eval.spec import FloatTriple


def move_ends_inside(graph: SkeletonGraph, depth_nm: float) -> SkeletonGraph:
    """Take nodes off each end until it lies ``depth_nm`` from the surface, or the label gets no deeper.

    A skeleton keeps at least one edge. The graph must have radii: distances to the nearest voxel outside the label.
    """
    radius = graph.node_radius_nm
    if radius is None or not graph.n_edges:
        return graph
    keep_edge = np.ones(graph.n_edges, bool)
    while True:
        u, v = graph.edge_u[keep_edge], graph.edge_v[keep_edge]
        degree = np.bincount(u, minlength=graph.n_nodes) + np.bincount(v, minlength=graph.n_nodes)
        # An edge goes where one end is shallow and free, and the other is deeper and leads on.
        off = np.zeros(len(u), bool)
        for end, inner in ((u, v), (v, u)):
            off |= (degree[end] == 1) & (degree[inner] > 1) & (radius[end] < depth_nm) & (radius[inner] > radius[end])
        off &= _leaves_one(graph, u, v, off)
        if not off.any():
            break
        keep_edge[np.flatnonzero(keep_edge)[off]] = False
    return _with_edges(graph, keep_edge)


def _leaves_one(
    graph: SkeletonGraph, u: NDArray[np.int32], v: NDArray[np.int32], off: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """(m,) whether an edge belongs to a skeleton of which some edge stays."""
    stays = np.bincount(graph.node_skeleton[u[~off]], minlength=graph.n_skeletons) > 0
    return np.asarray(stays[graph.node_skeleton[u]])


def _with_edges(graph: SkeletonGraph, keep_edge: NDArray[np.bool_]) -> SkeletonGraph:
    """Only some edges, and the nodes that they join; nodes that had no edge before stay."""
    had = np.zeros(graph.n_nodes, bool)
    had[graph.edge_u], had[graph.edge_v] = True, True
    has = np.zeros(graph.n_nodes, bool)
    has[graph.edge_u[keep_edge]], has[graph.edge_v[keep_edge]] = True, True
    return graph.part(has | ~had, keep_edge=keep_edge)


def share_at_surface(graph: SkeletonGraph, voxel_nm: FloatTriple) -> float:
    """Share of ends that lie within one voxel of the label's surface; 0 without radii or ends."""
    degree = np.bincount(graph.edge_u, minlength=graph.n_nodes) + np.bincount(graph.edge_v, minlength=graph.n_nodes)
    ends = np.flatnonzero(degree == 1)
    if graph.node_radius_nm is None or not len(ends):
        return 0.0
    return float(np.mean(graph.node_radius_nm[ends] <= max(voxel_nm) * (1 + 1e-6)))


def end_notes(graph: SkeletonGraph, voxel_nm: FloatTriple) -> list[str]:
    """A note where ends lie at the surface."""
    share = share_at_surface(graph, voxel_nm)
    if not share:
        return []
    return [
        f"{100 * share:.1f}% of the ends of branches lie within one voxel of the surface, where a segmentation that is "
        "right but for its boundary may miss them; --ends-inside 2 moves them inside"
    ]
