"""Region graph of fragments: for each pair in contact, the sum, number and maximum of the affinities between them.

Affinities are uint8 and sums integers, so the table is the same however a volume is cut into blocks: each link is
counted in the block that owns its destination voxel, and tables of blocks are added.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

COLUMNS = ("u", "v", "total", "count", "strongest")
_START = 1 << 12


@dataclass(frozen=True)
class RegionGraph:
    """Edges between fragments, u < v, sorted by (u, v).

    u, v (edges,) int64. total (edges,) int64, summed affinity in 1/255. count (edges,) int64 links.
    strongest (edges,) uint8.
    """

    u: NDArray[np.int64]
    v: NDArray[np.int64]
    total: NDArray[np.int64]
    count: NDArray[np.int64]
    strongest: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.u)


def region_graph(
    affinity: NDArray[np.uint8], fragments: NDArray[np.integer], first: tuple[int, int, int] = (0, 0, 0)
) -> RegionGraph:
    """Graph of a box of fragments (z,y,x), 0 is background, and affinities (3,z,y,x) stored at the destination.

    first : links count only where their destination is at or behind this voxel of the box; a block passes its core's
    corner and one voxel of context before it.
    """
    edges, strongest, used = _count_links(
        np.ascontiguousarray(affinity), np.ascontiguousarray(fragments), np.array(first, np.int64)
    )
    order = _by_pair(edges[:used, 0], edges[:used, 1])
    u, v, total, count = edges[order].T
    return RegionGraph(u, v, total, count, strongest[order])


def add_graphs(graphs: list[RegionGraph]) -> RegionGraph:
    """One graph from those of blocks; pairs that several saw are added."""
    if not graphs:
        none = np.zeros(0, np.int64)
        return RegionGraph(none, none, none, none, np.zeros(0, np.uint8))
    u, v, total, count, strongest = (np.concatenate([getattr(g, name) for g in graphs]) for name in COLUMNS)
    order = _by_pair(u, v)
    u, v = u[order], v[order]
    new = np.ones(len(u), bool)
    new[1:] = (u[1:] != u[:-1]) | (v[1:] != v[:-1])
    start = np.flatnonzero(new)
    if len(start) == 0:
        return RegionGraph(u, v, total, count, strongest)
    return RegionGraph(
        u[start],
        v[start],
        np.add.reduceat(total[order], start),
        np.add.reduceat(count[order], start),
        np.maximum.reduceat(strongest[order], start),
    )


def rename(graph: RegionGraph, lookup: NDArray[np.integer]) -> RegionGraph:
    """The graph after fragment k became lookup[k]: edges within one fragment vanish, parallel ones are added."""
    a, b = lookup[graph.u].astype(np.int64), lookup[graph.v].astype(np.int64)
    keep = a != b
    u, v = np.minimum(a, b)[keep], np.maximum(a, b)[keep]
    return add_graphs([RegionGraph(u, v, graph.total[keep], graph.count[keep], graph.strongest[keep])])


def _by_pair(u: NDArray[np.int64], v: NDArray[np.int64]) -> NDArray[np.intp]:
    """Order by (u, v)."""
    base = int(v.max(initial=0)) + 1
    if base < 3_000_000_000:  # the pair is one number then, which sorts in a third of the time
        return np.argsort(u * base + v)
    return np.lexsort((v, u))


@njit(cache=True, nogil=True)
def edge_slot(slot_edge, ends, a, b):  # type: ignore[no-untyped-def]
    """Slot of the edge (a, b), a < b, in a hash table of edge numbers, or the first one never used on its way.

    A slot holds -1 where it was never used, -2 where it is spent.
    """
    mask = len(slot_edge) - 1
    # Neighbours have close numbers: 4 x 4 pairs share a cache line. Lines are scattered: the edges of one large segment
    # would otherwise fill long stretches, which each search would walk along.
    line = np.uint64(a >> 2) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(b >> 2) * np.uint64(0xC2B2AE3D27D4EB4F)
    line ^= line >> np.uint64(29)
    slot = (np.int64(line * np.uint64(16)) + 4 * (a & 3) + (b & 3)) & mask
    while slot_edge[slot] != -1:
        edge = slot_edge[slot]
        if edge >= 0 and ends[edge, 0] == a and ends[edge, 1] == b:
            return slot
        slot = (slot + 1) & mask
    return slot


@njit(cache=True, nogil=True)
def _longer(array):  # type: ignore[no-untyped-def]
    out = np.zeros((len(array) * 3 // 2, *array.shape[1:]), array.dtype)
    out[: len(array)] = array
    return out


@njit(cache=True, nogil=True)
def _count_links(affinity, fragments, first):  # type: ignore[no-untyped-def]
    """Edges (u, v, total, count) in the order of their first links, their strongest links, and how many there are.

    The arrays have spare room.
    One row of 32 bytes an edge keeps what a link touches together.
    """
    depth, height, width = fragments.shape
    slot_edge = np.full(4 * _START, -1, np.int32)  # edges that 32 bits cannot number would fill 70 GB
    edges, strongest = np.zeros((_START, 4), np.int64), np.zeros(_START, np.uint8)
    used = 0
    for axis in range(3):
        begin = first.copy()
        begin[axis] = max(begin[axis], 1)
        for z in range(begin[0], depth):
            for y in range(begin[1], height):
                while used + width > len(edges):
                    edges, strongest = _longer(edges), _longer(strongest)
                if 2 * (used + width) > len(slot_edge):
                    slot_edge = _slots_of(edges[:used], 2 * (used + width), len(slot_edge))
                here = fragments[z, y, begin[2] :]
                there = fragments[z - (axis == 0), y - (axis == 1), begin[2] - (axis == 2) :]
                used = _count_row(here, there, affinity[axis, z, y, begin[2] :], slot_edge, edges, strongest, used)
    return edges, strongest, used


@njit(cache=True, nogil=True)
def _slots_of(edges, least, slots):  # type: ignore[no-untyped-def]
    """Hash table of edges with at least so many slots, four times ``slots`` or more."""
    while slots < least:
        slots *= 4
    slot_edge = np.full(slots, -1, np.int32)
    for edge in range(len(edges)):
        slot_edge[edge_slot(slot_edge, edges, edges[edge, 0], edges[edge, 1])] = edge
    return slot_edge


# A function of its own, with arrays that it does not replace: four times as fast.
@njit(cache=True, nogil=True)
def _count_row(here, there, links, slot_edge, edges, strongest, used):  # type: ignore[no-untyped-def]
    """Count the links between two rows of voxels; how many edges there are now. There must be room."""
    edge, last_a, last_b = np.int64(-1), np.int64(-1), np.int64(-1)
    for x in range(len(here)):
        if here[x] == there[x] or here[x] == 0 or there[x] == 0:
            continue
        one, other = np.int64(here[x]), np.int64(there[x])
        a, b = min(one, other), max(one, other)
        if a != last_a or b != last_b:
            last_a, last_b = a, b
            slot = edge_slot(slot_edge, edges, a, b)
            edge = slot_edge[slot]
            if edge < 0:
                edge, used = used, used + 1
                edges[edge, 0], edges[edge, 1] = a, b
                slot_edge[slot] = edge
        edges[edge, 2] += links[x]
        edges[edge, 3] += 1
        strongest[edge] = max(strongest[edge], links[x])
    return used
