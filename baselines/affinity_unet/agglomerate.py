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
def _merge_all(u, v, total, count, fragments, least):  # type: ignore[no-untyped-def]
    """(a, b, score, number) of the merges; scores in 0..255."""
    n_edges = len(u)
    end_u, end_v = u.copy(), v.copy()
    total, count = total.copy(), count.copy()
    key = total / np.maximum(count, 1)
    stale = np.zeros(n_edges, np.bool_)
    dead = np.zeros(n_edges, np.bool_)
    # Edges at a segment: a list through ``after``, entry 2e for edge e at its first end, 2e + 1 at its second.
    first = np.full(fragments + 1, -1, np.int64)
    last = np.full(fragments + 1, -1, np.int64)
    degree = np.zeros(fragments + 1, np.int64)
    after = np.full(2 * n_edges, -1, np.int64)
    slots = 16
    while slots < 4 * n_edges:
        slots *= 2
    slot_edge = np.full(slots, -1, np.int64)
    for edge in range(n_edges):
        for side in range(2):
            node = u[edge] if side == 0 else v[edge]
            entry = 2 * edge + side
            if last[node] < 0:
                first[node] = entry
            else:
                after[last[node]] = entry
            last[node] = entry
            degree[node] += 1
        slot_edge[_find(slot_edge, end_u, end_v, u[edge], v[edge])] = edge
    heap = np.arange(n_edges)
    size = n_edges
    for place in range((size - 2) // 4, -1, -1):
        _sift_down(heap, size, place, key)
    merge_a, merge_b = np.empty(fragments, np.int64), np.empty(fragments, np.int64)
    score = np.empty(fragments, np.float64)
    used = 0
    inserted = n_edges
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
        keep, gone = end_u[edge], end_v[edge]
        if degree[keep] < degree[gone]:
            keep, gone = gone, keep
        merge_a[used], merge_b[used], score[used] = end_u[edge], end_v[edge], key[edge]
        used += 1
        slot_edge[_find(slot_edge, end_u, end_v, end_u[edge], end_v[edge])] = -2
        dead[edge] = True
        degree[keep] -= 1
        if 2 * inserted > slots:  # names that moved leave spent slots behind; start the table afresh
            inserted = 0
            slot_edge[:] = -1
            for other in range(n_edges):
                if not dead[other]:
                    slot_edge[_find(slot_edge, end_u, end_v, end_u[other], end_v[other])] = other
                    inserted += 1
        entry = first[gone]
        first[gone] = last[gone] = -1  # rebuilt without dead edges, so that each is walked over once
        while entry >= 0:
            following = after[entry]
            other = entry // 2
            if not dead[other]:
                neighbour = end_v[other] if end_u[other] == gone else end_u[other]
                slot_edge[_find(slot_edge, end_u, end_v, end_u[other], end_v[other])] = -2
                a, b = min(keep, neighbour), max(keep, neighbour)
                slot = _find(slot_edge, end_u, end_v, a, b)
                if slot_edge[slot] >= 0:
                    rival = slot_edge[slot]
                    total[rival] += total[other]
                    count[rival] += count[other]
                    stale[rival] = True
                    dead[other] = True
                    degree[neighbour] -= 1
                    # The survivor needs a place at least as high as the true mean: take the higher of the two.
                    if _before(key, other, rival):
                        dead[other], dead[rival] = False, True
                        total[other], count[other], stale[other] = total[rival], count[rival], True
                        end_u[other], end_v[other] = a, b
                        slot_edge[slot] = other
                        # ``other`` is in gone's list, which is appended to keep's below, and in neighbour's.
                else:
                    end_u[other], end_v[other] = a, b
                    slot_edge[slot] = other
                    inserted += 1
                    degree[keep] += 1
                if not dead[other]:
                    after[entry] = -1
                    if last[gone] < 0:
                        first[gone] = entry
                    else:
                        after[last[gone]] = entry
                    last[gone] = entry
            entry = following
        if first[gone] >= 0:
            if last[keep] < 0:
                first[keep] = first[gone]
            else:
                after[last[keep]] = first[gone]
            last[keep] = last[gone]
    return merge_a, merge_b, score, used
