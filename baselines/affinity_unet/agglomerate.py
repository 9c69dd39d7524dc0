"""Mean-affinity agglomeration (Lee et al. 2017): join the pair with the highest mean affinity until none is left.

The mean between two segments is over all links between them; it is never above the larger of the means it was made
from, so scores only fall and the list of merges is a hierarchy: every threshold is a prefix of it.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from axonem_eval.union_find import join_pairs, numbered
from baselines.affinity_unet.region_graph import RegionGraph, edge_slot

# State of an edge: its score is up to date; it is scored again when its turn comes; it was merged into another.
_LIVE, _STALE, _DEAD = 0, 1, 2


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
        parent = np.arange(self.fragments + 1)
        join_pairs(parent, self.a[:end], self.b[:end])
        found: NDArray[np.uint32] = numbered(parent)[0]
        return found


def agglomerate(
    graph: RegionGraph,
    fragments: int,
    voxels: NDArray[np.integer] | None = None,
    *,
    least: float = 0.0,
    large: int = 0,
    large_least: float = 0.0,
) -> MergeTree:
    """Merge tree of a region graph over fragments 1..``fragments``, down to a mean affinity of ``least``.

    voxels : (fragments + 1,) sizes; needed where ``large`` is not 0.
    large, large_least : two segments of at least ``large`` voxels each join only at a mean of ``large_least`` or above.
    Segments grow and means fall, so a pair that is refused once stays apart.

    Equal means are taken in the order of the edges. Work is E log E: each edge waits in one place, and of two parallel
    edges the one with the earlier turn survives and is scored again at its turn.
    """
    # 32 bits where they hold the numbers: most of the time goes into fetching edges from memory.
    number = np.int32 if max(2 * len(graph), fragments) < 2**31 else np.int64
    ends = np.stack([graph.u, graph.v], 1).astype(number)
    sums = np.stack([graph.total, graph.count], 1)
    key = graph.total / np.maximum(graph.count, 1)
    order = np.argsort(-key, kind="stable").astype(number)
    if large > 0 and voxels is None:
        raise ValueError("large needs the sizes of the fragments (voxels)")
    size = np.zeros(fragments + 1, np.int64) if voxels is None else voxels.astype(np.int64)
    large_least = large_least * 255.0 if large > 0 else 0.0
    a, b, score, used = _merge_all(ends, sums, key, order, fragments, least * 255.0, size, large, large_least)
    return MergeTree(fragments, a[:used].astype(np.int64), b[:used].astype(np.int64), score[:used] / 255.0)


@njit(cache=True, nogil=True, inline="always")
def _before(key_a, edge_a, key_b, edge_b):  # type: ignore[no-untyped-def]
    return key_a > key_b or (key_a == key_b and edge_a < edge_b)


@njit(cache=True, nogil=True)
def _push(heap_key, heap_edge, size, key, edge):  # type: ignore[no-untyped-def]
    """Four children a node, keys side by side: a level costs one cache line. Returns the arrays, grown if full."""
    if size == len(heap_edge):
        wider_key, wider_edge = np.empty(2 * size, heap_key.dtype), np.empty(2 * size, heap_edge.dtype)
        wider_key[:size], wider_edge[:size] = heap_key, heap_edge
        heap_key, heap_edge = wider_key, wider_edge
    place = size
    while place > 0:
        above = (place - 1) // 4
        if not _before(key, edge, heap_key[above], heap_edge[above]):
            break
        heap_key[place], heap_edge[place] = heap_key[above], heap_edge[above]
        place = above
    heap_key[place], heap_edge[place] = key, edge
    return heap_key, heap_edge


@njit(cache=True, nogil=True)
def _sift_down(heap_key, heap_edge, size, key, edge):  # type: ignore[no-untyped-def]
    """Put an entry where the first one was."""
    place = 0
    while True:
        child = 4 * place + 1
        if child >= size:
            break
        best = child
        for other in range(child + 1, min(child + 4, size)):
            if _before(heap_key[other], heap_edge[other], heap_key[best], heap_edge[best]):
                best = other
        if not _before(heap_key[best], heap_edge[best], key, edge):
            break
        heap_key[place], heap_edge[place] = heap_key[best], heap_edge[best]
        place = best
    heap_key[place], heap_edge[place] = key, edge


@njit(cache=True, nogil=True)
def _lists(ends, fragments):  # type: ignore[no-untyped-def]
    """Edges at each segment as linked lists: first and last entry, number of live edges, next entry.

    Entry 2e stands for edge e at its first end, 2e + 1 at its second.
    """
    first = np.full(fragments + 1, -1, ends.dtype)
    last = np.full(fragments + 1, -1, ends.dtype)
    degree = np.zeros(fragments + 1, ends.dtype)
    after = np.full(2 * len(ends), -1, ends.dtype)
    for edge in range(len(ends)):
        for side in range(2):
            node = ends[edge, side]
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
def _fill(slot_edge, ends, state):  # type: ignore[no-untyped-def]
    """Hash table of the live edges by their ends; returns how many."""
    slot_edge[:] = -1
    live = 0
    for edge in range(len(ends)):
        if state[edge] != _DEAD:
            slot_edge[edge_slot(slot_edge, ends, ends[edge, 0], ends[edge, 1])] = edge
            live += 1
    return live


@njit(cache=True, nogil=True)
def _move_edges(gone, keep, ends, sums, key, state, first, last, degree, after, slot_edge):  # type: ignore[no-untyped-def]
    """Hand all live edges of ``gone`` to ``keep``; parallel ones become one. Returns new names in the hash table."""
    renamed = 0
    entry = first[gone]
    first[gone] = last[gone] = -1
    while entry >= 0:
        following = after[entry]
        edge = entry // 2
        if state[edge] != _DEAD:
            neighbour = ends[edge, 1] if ends[edge, 0] == gone else ends[edge, 0]
            slot_edge[edge_slot(slot_edge, ends, ends[edge, 0], ends[edge, 1])] = -2
            a, b = min(keep, neighbour), max(keep, neighbour)
            slot = edge_slot(slot_edge, ends, a, b)
            rival = slot_edge[slot]
            if rival < 0:
                renamed += 1
                degree[keep] += 1
                ends[edge, 0], ends[edge, 1] = a, b
                slot_edge[slot] = edge
            else:
                # The survivor needs a turn at least as early as the true mean's: the earlier of the two.
                degree[neighbour] -= 1
                earlier = _before(key[edge], edge, key[rival], rival)
                lower, higher = (rival, edge) if earlier else (edge, rival)
                sums[higher, 0] += sums[lower, 0]
                sums[higher, 1] += sums[lower, 1]
                state[higher], state[lower] = _STALE, _DEAD
                ends[higher, 0], ends[higher, 1] = a, b
                slot_edge[slot] = higher
        if state[edge] != _DEAD:  # dead entries are dropped, so that each is walked over once
            after[entry] = -1
            _append(first, last, after, keep, entry)
        entry = following
    return renamed


@njit(cache=True, nogil=True)
def _merge_all(ends, sums, key, order, fragments, least, voxels, large, large_least):  # type: ignore[no-untyped-def]
    """(a, b, score, number) of the merges; scores in 0..255. Changes ``ends``, ``sums``, ``key`` and ``voxels``.

    Each edge waits in ``order``, which is walked along once, or, after it was scored again, in a heap. Most edges die
    before their turn, and cost nothing in ``order``.
    """
    n_edges = len(ends)
    state = np.zeros(n_edges, np.uint8)
    first, last, degree, after = _lists(ends, fragments)
    slots = 16
    while slots < 2 * n_edges:
        slots *= 2
    slot_edge = np.empty(slots, ends.dtype)
    names = _fill(slot_edge, ends, state)
    heap_key, heap_edge = np.empty(1024, np.float64), np.empty(1024, ends.dtype)
    size, turn = 0, 0
    merge_a, merge_b = np.empty(fragments, ends.dtype), np.empty(fragments, ends.dtype)
    score, used = np.empty(fragments, np.float64), 0
    while size > 0 or turn < n_edges:
        in_order = turn < n_edges
        if in_order and size > 0:
            in_order = _before(key[order[turn]], order[turn], heap_key[0], heap_edge[0])
        if in_order:
            edge = order[turn]
            turn += 1
            if state[edge] == _STALE:
                key[edge], state[edge] = sums[edge, 0] / sums[edge, 1], _LIVE
                heap_key, heap_edge = _push(heap_key, heap_edge, size, key[edge], edge)
                size += 1
                continue
        else:
            edge = heap_edge[0]
            if state[edge] == _STALE:
                key[edge], state[edge] = sums[edge, 0] / sums[edge, 1], _LIVE
                _sift_down(heap_key, heap_edge, size, key[edge], edge)
                continue
            size -= 1
            _sift_down(heap_key, heap_edge, size, heap_key[size], heap_edge[size])
        if state[edge] == _DEAD:
            continue
        if key[edge] < least:
            break
        keep, gone = ends[edge, 0], ends[edge, 1]
        if key[edge] < large_least and voxels[keep] >= large and voxels[gone] >= large:
            # Without a turn from now on. Whatever it is pooled with is a pair of large segments of no higher mean.
            continue
        merge_a[used], merge_b[used], score[used] = keep, gone, key[edge]
        used += 1
        if degree[keep] < degree[gone]:
            keep, gone = gone, keep
        voxels[keep] += voxels[gone]
        slot_edge[edge_slot(slot_edge, ends, ends[edge, 0], ends[edge, 1])] = -2
        state[edge] = _DEAD
        degree[keep] -= 1
        # Edges that moved leave spent slots behind; rebuild the table before it is three quarters full.
        if 4 * (names + degree[gone]) > 3 * slots:
            names = _fill(slot_edge, ends, state)
        names += _move_edges(gone, keep, ends, sums, key, state, first, last, degree, after, slot_edge)
    return merge_a, merge_b, score, used
