"""Region graph of fragments: for each pair in contact, the sum, number and maximum of the affinities between them.

Affinities are uint8 and sums integers, so the table is the same however a volume is cut into blocks: each link is
counted in the block that owns its destination voxel, and tables of blocks are added.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

_START = 1 << 10


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

    @property
    def mean(self) -> NDArray[np.float64]:
        """(edges,) mean affinity 0..1."""
        return self.total / (255.0 * self.count)


def region_graph(
    affinity: NDArray[np.uint8], fragments: NDArray[np.integer], first: tuple[int, int, int] = (0, 0, 0)
) -> RegionGraph:
    """Graph of a box of fragments (z,y,x), 0 is background, and affinities (3,z,y,x) stored at the destination.

    first : links count only where their destination is at or behind this voxel of the box; a block passes its core's
    corner and one voxel of context before it.
    """
    slots = _START
    while True:
        key, total, count, strongest, used = _count_links(
            np.ascontiguousarray(affinity), np.ascontiguousarray(fragments), np.array(first, np.int64), slots
        )
        if used >= 0:
            break
        slots *= 4
    held = count > 0
    return _sorted(key[held, 0], key[held, 1], total[held], count[held], strongest[held])


def add_graphs(graphs: list[RegionGraph]) -> RegionGraph:
    """One graph from those of blocks; pairs that several saw are added."""
    if not graphs:
        none = np.zeros(0, np.int64)
        return RegionGraph(none, none, none, none, np.zeros(0, np.uint8))
    u, v, total, count, strongest = (
        np.concatenate([getattr(g, name) for g in graphs]) for name in ("u", "v", "total", "count", "strongest")
    )
    order = np.lexsort((v, u))
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


def _sorted(u, v, total, count, strongest) -> RegionGraph:  # type: ignore[no-untyped-def]
    order = np.lexsort((v, u))
    return RegionGraph(u[order], v[order], total[order], count[order], strongest[order])


@njit(cache=True, nogil=True)
def _count_links(affinity, fragments, first, slots):  # type: ignore[no-untyped-def]
    """Hash table over pairs; used is -1 when it grew half full and must be larger."""
    depth, height, width = fragments.shape
    key = np.zeros((slots, 2), np.int64)
    total, count = np.zeros(slots, np.int64), np.zeros(slots, np.int64)
    strongest = np.zeros(slots, np.uint8)
    mask, used = slots - 1, 0
    last_a, last_b, last_slot = np.int64(-1), np.int64(-1), np.int64(0)
    for z in range(first[0], depth):
        for y in range(first[1], height):
            for x in range(first[2], width):
                here = np.int64(fragments[z, y, x])
                if here == 0:
                    continue
                for axis in range(3):
                    if (axis == 0 and z == 0) or (axis == 1 and y == 0) or (axis == 2 and x == 0):
                        continue
                    there = np.int64(fragments[z - (axis == 0), y - (axis == 1), x - (axis == 2)])
                    if there == here or there == 0:
                        continue
                    a, b = min(here, there), max(here, there)
                    if a != last_a or b != last_b:
                        slot = (a * np.int64(-7046029254386353131) + b * np.int64(-4417276706812531889)) >> 20 & mask
                        while count[slot] > 0 and (key[slot, 0] != a or key[slot, 1] != b):
                            slot = (slot + 1) & mask
                        last_a, last_b, last_slot = a, b, slot
                    slot = last_slot
                    if count[slot] == 0:
                        used += 1
                        if 2 * used > slots:
                            return key, total, count, strongest, -1
                        key[slot, 0], key[slot, 1] = a, b
                    value = affinity[axis, z, y, x]
                    total[slot] += value
                    count[slot] += 1
                    strongest[slot] = max(strongest[slot], value)
    return key, total, count, strongest, used
