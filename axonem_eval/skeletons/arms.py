"""Neighbours of skeleton nodes, walks along unbranched stretches, and the cable that lies beyond an edge."""

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from axonem_eval.skeletons.graph import SkeletonGraph


@dataclass(frozen=True)
class Arms:
    """Both directions of each edge, sorted by the node that they leave: each is an arm of that node.

    start : (n_nodes + 1,) int64, the arms of node i are start[i] to start[i + 1].
    origin, to : (2 n_edges,) int32, the node left and the next.   length_nm : (2 n_edges,) float64.
    """

    start: NDArray[np.int64]
    origin: NDArray[np.int32]
    to: NDArray[np.int32]
    length_nm: NDArray[np.float64]

    @property
    def degree(self) -> NDArray[np.int64]:
        """(n_nodes,) number of arms of each node."""
        return np.diff(self.start)

    def walk(self, arm: NDArray[np.integer], limit_nm: float) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """The node where a walk along each arm ends, and how many nm it was.

        It goes on through nodes of two arms until it has gone ``limit_nm`` or stands on a node of any other number.
        """
        return _walk(self.start, self.origin, self.to, self.length_nm, arm, limit_nm)  # type: ignore[no-any-return]

    def cable_beyond(self) -> NDArray[np.float64]:
        """(2 n_edges,) nm of cable that is reached only through the arm, its own edge included.

        In a skeleton with a cycle, an edge that closes one counts for itself alone.
        """
        return _cable_beyond(self.start, self.origin, self.to, self.length_nm)  # type: ignore[no-any-return]


def arms_of(graph: SkeletonGraph) -> Arms:
    """The arms of all nodes of a graph."""
    origin = np.concatenate([graph.edge_u, graph.edge_v])
    to = np.concatenate([graph.edge_v, graph.edge_u])
    order = np.argsort(origin, kind="stable")
    start = np.zeros(graph.n_nodes + 1, np.int64)
    np.cumsum(np.bincount(origin, minlength=graph.n_nodes), out=start[1:])
    return Arms(start, origin[order], to[order], np.tile(graph.edge_length_nm, 2)[order])


def without_ticks(graph: SkeletonGraph, shorter_than_nm: float) -> tuple[SkeletonGraph, NDArray[np.intp]]:
    """The graph without terminal branches shorter than ``shorter_than_nm``, and (n,) the node of ``graph`` that each
    remaining node was. A skeleton without a branch point stays whole, however short."""
    arms = arms_of(graph)
    tip = np.flatnonzero(arms.degree == 1)
    foot, length = arms.walk(arms.start[tip], shorter_than_nm)
    twig = (arms.degree[foot] >= 3) & (length < shorter_than_nm)
    keep = ~_between(arms.start, arms.to, tip[twig], foot[twig])
    return graph.part(keep), np.flatnonzero(keep)


@numba.njit(nogil=True, cache=True)
def _between(start, to, tip, foot):  # type: ignore[no-untyped-def]
    """(n_nodes,) bool, the nodes from each tip to before its foot."""
    on = np.zeros(len(start) - 1, np.bool_)
    for k in range(len(tip)):
        before, here = -1, tip[k]
        while here != foot[k]:
            on[here] = True
            arm = start[here] + (1 if to[start[here]] == before else 0)
            before, here = here, to[arm]
    return on


@numba.njit(nogil=True, cache=True)
def _walk(start, origin, to, length, arms, limit):  # type: ignore[no-untyped-def]
    end, gone = np.empty(len(arms), np.int32), np.empty(len(arms), np.float64)
    for k in range(len(arms)):
        arm = arms[k]
        first, before, here, distance = origin[arm], origin[arm], to[arm], length[arm]
        while distance < limit and here != first and start[here + 1] - start[here] == 2:
            arm = start[here] + (1 if to[start[here]] == before else 0)
            before, here = here, to[arm]
            distance += length[arm]
        end[k], gone[k] = here, distance
    return end, gone


def parents(arms: Arms) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Nodes in an order in which each comes after its parent, and (n_nodes,) the parent of each; -1 for a root."""
    order, parent_arm, _ = _grow(arms.start, arms.to)
    return order, np.where(parent_arm < 0, np.int32(-1), arms.origin[parent_arm])


@numba.njit(nogil=True, cache=True)
def _grow(start, to):  # type: ignore[no-untyped-def]
    """Breadth first from the first node of each piece: nodes in that order; the arm that leads to each, -1 for a root;
    and each node's root."""
    n = len(start) - 1
    parent_arm = np.full(n, -1, np.int64)
    root = np.full(n, -1, np.int32)
    order = np.empty(n, np.int32)
    head, tail = 0, 0
    for seed in range(n):
        if root[seed] >= 0:
            continue
        root[seed] = seed
        order[tail] = seed
        tail += 1
        while head < tail:
            i = order[head]
            head += 1
            for arm in range(start[i], start[i + 1]):
                j = to[arm]
                if root[j] < 0:
                    root[j], parent_arm[j] = seed, arm
                    order[tail] = j
                    tail += 1
    return order, parent_arm, root


@numba.njit(nogil=True, cache=True)
def _cable_beyond(start, origin, to, length):  # type: ignore[no-untyped-def]
    order, parent_arm, root = _grow(start, to)
    n = len(order)
    below = np.zeros(n, np.float64)
    for k in range(n - 1, -1, -1):
        i = order[k]
        if parent_arm[i] >= 0:
            below[origin[parent_arm[i]]] += below[i] + length[parent_arm[i]]
    beyond = np.empty(len(to), np.float64)
    for arm in range(len(to)):
        i, j = origin[arm], to[arm]
        if parent_arm[j] == arm:
            beyond[arm] = below[j] + length[arm]
        elif parent_arm[i] >= 0 and origin[parent_arm[i]] == j:
            beyond[arm] = below[root[i]] - below[i]
        else:
            beyond[arm] = length[arm]
    return beyond
