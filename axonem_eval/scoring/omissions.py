"""Breaks along skeletons: edges where the segment changes (splits), and stretches without one (omissions)."""

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from axonem_eval.skeletons import SkeletonGraph
from axonem_eval.union_find import join, root


def split_edges(graph: SkeletonGraph, segment: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Edges whose ends lie in two segments, neither of them background."""
    at_u, at_v = segment[graph.edge_u], segment[graph.edge_v]
    return np.flatnonzero((at_u != at_v) & (at_u != 0) & (at_v != 0))


@dataclass(frozen=True)
class Omissions:
    """Connected stretches of background nodes.

    node_omission : (n_nodes,) int32, the omission of each node, -1 on a segment.   skeleton : (n_omissions,) int32.
    """

    node_omission: NDArray[np.int32]
    skeleton: NDArray[np.int32]


def find_omissions(graph: SkeletonGraph, segment: NDArray[np.uint64]) -> Omissions:
    """Stretches of background nodes joined by edges, in skeletons that have length."""
    background = (segment == 0) & (graph.skeleton_length_nm > 0)[graph.node_skeleton]
    node_omission = _components(background, graph.edge_u, graph.edge_v)
    n_omissions = int(node_omission.max(initial=-1)) + 1
    skeleton = np.empty(n_omissions, np.int32)
    skeleton[node_omission[background]] = graph.node_skeleton[background]
    return Omissions(node_omission, skeleton)


@numba.njit(nogil=True, cache=True)
def _components(wanted, edge_u, edge_v):  # type: ignore[no-untyped-def]
    """Number the connected components of the wanted nodes; -1 on the others."""
    n = len(wanted)
    parent = np.arange(n, dtype=np.int32)
    for e in range(len(edge_u)):
        a, b = edge_u[e], edge_v[e]
        if wanted[a] and wanted[b]:
            join(parent, root(parent, a), root(parent, b))
    number = np.full(n, -1, np.int32)
    found = 0
    for i in range(n):
        if wanted[i]:
            first = root(parent, i)
            if number[first] < 0:  # the root is the lowest node of its component, so it comes first
                number[first] = found
                found += 1
            number[i] = number[first]
    return number
