"""Breaks along skeletons: edges where the label changes, and stretches where there is none."""

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from axonem_eval.skeletons import SkeletonGraph


def split_edges(graph: SkeletonGraph, segment: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Edges whose ends lie in two segments, neither of them background."""
    at_u, at_v = segment[graph.edge_u], segment[graph.edge_v]
    return np.flatnonzero((at_u != at_v) & (at_u != 0) & (at_v != 0))


@dataclass(frozen=True)
class Gaps:
    """Connected stretches of background. ``of_node`` (n_nodes,) int32 is -1 on a segment; ``skeleton`` (n_gaps,)."""

    of_node: NDArray[np.int32]
    skeleton: NDArray[np.int32]


def find_gaps(graph: SkeletonGraph, segment: NDArray[np.uint64]) -> Gaps:
    """Stretches of background nodes joined by edges, in skeletons that have length."""
    background = (segment == 0) & (graph.skeleton_length_nm > 0)[graph.node_skeleton]
    of_node = _components(background, graph.edge_u, graph.edge_v)
    n_gaps = int(of_node.max(initial=-1)) + 1
    skeleton = np.empty(n_gaps, np.int32)
    skeleton[of_node[background]] = graph.node_skeleton[background]
    return Gaps(of_node, skeleton)


@numba.njit(nogil=True, cache=True)
def _components(wanted, edge_u, edge_v):  # type: ignore[no-untyped-def]
    """Number the connected components of the wanted nodes; -1 on the others. Union-find with path halving."""
    n = len(wanted)
    parent = np.arange(n, dtype=np.int32)
    for e in range(len(edge_u)):
        a, b = edge_u[e], edge_v[e]
        if wanted[a] and wanted[b]:
            while parent[a] != a:
                parent[a] = parent[parent[a]]
                a = parent[a]
            while parent[b] != b:
                parent[b] = parent[parent[b]]
                b = parent[b]
            if a < b:
                parent[b] = a
            else:
                parent[a] = b
    number = np.full(n, -1, np.int32)
    found = 0
    for i in range(n):
        if wanted[i]:
            root = i
            while parent[root] != root:
                root = parent[root]
            if number[root] < 0:  # the root is the lowest node of its component, so it comes first
                number[root] = found
                found += 1
            number[i] = number[root]
    return number
