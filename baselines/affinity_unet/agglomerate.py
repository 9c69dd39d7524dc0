"""Mean-affinity agglomeration (Lee et al. 2017): join the pair with the highest mean affinity, again and again.

The mean between two segments is over all links between them; it is never above the larger of the means it was made
from, so scores only fall and the list of merges is a hierarchy: every threshold is a prefix of it.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from baselines.affinity_unet.region_graph import RegionGraph


@dataclass(frozen=True)
class MergeTree:
    """Merges in order: segments that hold fragments a and b joined at that mean affinity (0..1, never rising)."""

    fragments: int
    a: NDArray[np.int64]
    b: NDArray[np.int64]
    score: NDArray[np.float64]

    def lookup(self, threshold: float) -> NDArray[np.uint32]:
        """(fragments + 1,) segment of each fragment when merging stops below ``threshold``; from 1, 0 stays 0."""
        end = int(np.searchsorted(-self.score, -threshold, side="right"))
        return _components(self.fragments, self.a[:end], self.b[:end])

    def save(self, path: Path) -> None:
        """Write as .npz."""
        with open(path, "wb") as file:
            np.savez_compressed(file, fragments=self.fragments, a=self.a, b=self.b, score=self.score)

    @classmethod
    def load(cls, path: Path) -> "MergeTree":
        """Read what ``save`` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(int(arrays["fragments"]), arrays["a"], arrays["b"], arrays["score"])


def agglomerate(graph: RegionGraph, fragments: int, *, least: float = 0.0) -> MergeTree:
    """Merge tree of a region graph over fragments 1..``fragments``, down to a mean affinity of ``least``.

    Equal means are taken in the order of the edges. Work is E log E: each edge has one place in the heap, and of two
    parallel edges the one with the higher place survives and is scored anew when it comes up.
    """
    a, b, score, used = _merge_all(graph.u, graph.v, graph.total, graph.count, fragments, least * 255.0)
    return MergeTree(fragments, a[:used], b[:used], score[:used] / 255.0)


@njit(cache=True, nogil=True)
def _components(fragments, a, b):  # type: ignore[no-untyped-def]
    parent = np.arange(fragments + 1)
    for i in range(len(a)):
        p, q = a[i], b[i]
        while parent[p] != p:
            parent[p] = parent[parent[p]]
            p = parent[p]
        while parent[q] != q:
            parent[q] = parent[parent[q]]
            q = parent[q]
        if p < q:
            parent[q] = p
        else:
            parent[p] = q
    out = np.zeros(fragments + 1, np.uint32)
    count = 0
    for i in range(1, fragments + 1):
        p = i
        while parent[p] != p:
            p = parent[p]
        if p == i:
            count += 1
            out[i] = count
        else:
            out[i] = out[p]
    return out


@njit(cache=True, nogil=True, inline="always")
def _before(key, edge_a, edge_b):  # type: ignore[no-untyped-def]
    return key[edge_a] > key[edge_b] or (key[edge_a] == key[edge_b] and edge_a < edge_b)


@njit(cache=True, nogil=True)
def _sift_down(heap, size, place, key):  # type: ignore[no-untyped-def]
    """Four children a node: fewer cache misses than two."""
    moving = heap[place]
    while True:
        child = 4 * place + 1
        if child >= size:
            break
        best = child
        for other in range(child + 1, min(child + 4, size)):
            if _before(key, heap[other], heap[best]):
                best = other
        if not _before(key, heap[best], moving):
            break
        heap[place] = heap[best]
        place = best
    heap[place] = moving


@njit(cache=True, nogil=True)
def _find(slot_edge, end_u, end_v, a, b):  # type: ignore[no-untyped-def]
    """Slot of the live edge (a, b), a < b, or the first one never used on its way."""
    mask = len(slot_edge) - 1
    slot = (a * np.int64(-7046029254386353131) + b * np.int64(-4417276706812531889)) >> 20 & mask
    while slot_edge[slot] != -1:
        edge = slot_edge[slot]
        if edge >= 0 and end_u[edge] == a and end_v[edge] == b:
            return slot
        slot = (slot + 1) & mask
    return slot


@njit(cache=True, nogil=True)
def _lists(u, v, fragments):  # type: ignore[no-untyped-def]
    """Edges at each segment as linked lists: first and last entry, number of live edges, next entry.

    Entry 2e stands for edge e at its first end, 2e + 1 at its second.
    """
    first = np.full(fragments + 1, -1, np.int64)
    last = np.full(fragments + 1, -1, np.int64)
    degree = np.zeros(fragments + 1, np.int64)
    after = np.full(2 * len(u), -1, np.int64)
    for edge in range(len(u)):
        for side in range(2):
            node = u[edge] if side == 0 else v[edge]
            _append(first, last, after, node, 2 * edge + side)
            degree[node] += 1
    return first, last, degree, after


@njit(cache=True, nogil=True)
def _append(first, last, after, node, entry):  # type: ignore[no-untyped-def]
    if last[node] < 0:
        first[node] = entry
    else:
        after[last[node]] = entry
    last[node] = entry


@njit(cache=True, nogil=True)
def _fill(slot_edge, end_u, end_v, dead):  # type: ignore[no-untyped-def]
    """Hash table of the live edges by their ends; returns how many."""
    slot_edge[:] = -1
    live = 0
    for edge in range(len(end_u)):
        if not dead[edge]:
            slot_edge[_find(slot_edge, end_u, end_v, end_u[edge], end_v[edge])] = edge
            live += 1
    return live


@njit(cache=True, nogil=True)
def _move_edges(gone, keep, end_u, end_v, total, count, key, stale, dead, first, last, degree, after, slot_edge):  # type: ignore[no-untyped-def]
    """Hand all live edges of ``gone`` to ``keep``; parallel ones become one. Returns new names in the hash table."""
    renamed = 0
    entry = first[gone]
    first[gone] = last[gone] = -1
    while entry >= 0:
        following = after[entry]
        edge = entry // 2
        if not dead[edge]:
            neighbour = end_v[edge] if end_u[edge] == gone else end_u[edge]
            slot_edge[_find(slot_edge, end_u, end_v, end_u[edge], end_v[edge])] = -2
            a, b = min(keep, neighbour), max(keep, neighbour)
            slot = _find(slot_edge, end_u, end_v, a, b)
            rival = slot_edge[slot]
            if rival < 0:
                renamed += 1
                degree[keep] += 1
                end_u[edge], end_v[edge] = a, b
                slot_edge[slot] = edge
            else:
                # The survivor needs a place in the heap at least as high as the true mean: the higher of the two.
                degree[neighbour] -= 1
                lower, higher = (rival, edge) if _before(key, edge, rival) else (edge, rival)
                total[higher] += total[lower]
                count[higher] += count[lower]
                stale[higher], dead[lower] = True, True
                end_u[higher], end_v[higher] = a, b
                slot_edge[slot] = higher
        if not dead[edge]:  # dead entries are dropped, so that each is walked over once
            after[entry] = -1
            _append(first, last, after, keep, entry)
        entry = following
    return renamed


@njit(cache=True, nogil=True)
def _merge_all(u, v, total, count, fragments, least):  # type: ignore[no-untyped-def]
    """(a, b, score, number) of the merges; scores in 0..255."""
    n_edges = len(u)
    end_u, end_v = u.copy(), v.copy()
    total, count = total.copy(), count.copy()
    key = total / np.maximum(count, 1)
    stale, dead = np.zeros(n_edges, np.bool_), np.zeros(n_edges, np.bool_)
    first, last, degree, after = _lists(u, v, fragments)
    slots = 16
    while slots < 4 * n_edges:
        slots *= 2
    slot_edge = np.empty(slots, np.int64)
    names = _fill(slot_edge, end_u, end_v, dead)
    heap, size = np.arange(n_edges), n_edges
    for place in range((size - 2) // 4, -1, -1):
        _sift_down(heap, size, place, key)
    merge_a, merge_b = np.empty(fragments, np.int64), np.empty(fragments, np.int64)
    score, used = np.empty(fragments, np.float64), 0
    while size > 0:
        edge = heap[0]
        if not dead[edge] and stale[edge]:
            key[edge], stale[edge] = total[edge] / count[edge], False
            _sift_down(heap, size, 0, key)
            continue
        if not dead[edge] and key[edge] < least:
            break
        size -= 1
        heap[0] = heap[size]
        if size > 0:
            _sift_down(heap, size, 0, key)
        if dead[edge]:
            continue
        merge_a[used], merge_b[used], score[used] = end_u[edge], end_v[edge], key[edge]
        used += 1
        keep, gone = end_u[edge], end_v[edge]
        if degree[keep] < degree[gone]:
            keep, gone = gone, keep
        slot_edge[_find(slot_edge, end_u, end_v, end_u[edge], end_v[edge])] = -2
        dead[edge] = True
        degree[keep] -= 1
        if 2 * names > slots:  # names that moved leave spent slots behind; start the table afresh
            names = _fill(slot_edge, end_u, end_v, dead)
        names += _move_edges(
            gone, keep, end_u, end_v, total, count, key, stale, dead, first, last, degree, after, slot_edge
        )
    return merge_a, merge_b, score, used
