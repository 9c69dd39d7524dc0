"""The subvolumes that a large volume is filled in: they overlap, and each voxel belongs to the core of one of them."""

import itertools
from dataclasses import dataclass

from baselines.common.blockwise import Box, Triple


@dataclass(frozen=True)
class Piece:
    """A subvolume. box : its voxels. core : those that are taken from it; the cores tile the volume."""

    index: int
    box: Box
    core: Box

    @property
    def name(self) -> str:
        return f"piece-{self.index:06d}"

    @property
    def core_inside(self) -> Box:
        """The core, in coordinates of the box."""
        return inside(self.core, self.box)


def inside(box: Box, frame: Box) -> Box:
    """A box in coordinates of another one."""
    z, y, x = (slice(b.start - f.start, b.stop - f.start) for b, f in zip(box, frame, strict=True))
    return z, y, x


def shared(a: Box, b: Box) -> Box | None:
    """The voxels that two boxes share; None where there are none."""
    z, y, x = (slice(max(p.start, q.start), min(p.stop, q.stop)) for p, q in zip(a, b, strict=True))
    return None if any(part.start >= part.stop for part in (z, y, x)) else (z, y, x)


def pieces_of(shape: Triple, size: Triple, overlap: Triple) -> list[Piece]:
    """Subvolumes of a volume in z,y,x order. The last of an axis is moved back to end with the volume.

    Neighbours share at least ``overlap``, and their cores meet in its middle.
    """
    axes = [_spans(n, s, o) for n, s, o in zip(shape, size, overlap, strict=True)]
    found = []
    for index, ((bz, cz), (by, cy), (bx, cx)) in enumerate(itertools.product(*axes)):
        found.append(Piece(index, (bz, by, bx), (cz, cy, cx)))
    return found


def neighbours(pieces: list[Piece]) -> list[tuple[Piece, Piece]]:
    """Pairs of pieces that share voxels."""
    return [(a, b) for a, b in itertools.combinations(pieces, 2) if shared(a.box, b.box)]


def _spans(length: int, size: int, overlap: int) -> list[tuple[slice, slice]]:
    """(box, core) of the pieces along an axis."""
    if length <= size:
        return [(slice(0, length), slice(0, length))]
    starts = [*range(0, length - size, size - overlap), length - size]
    # The middle of what two neighbours share.
    cuts = [0, *((after + before + size) // 2 for before, after in itertools.pairwise(starts)), length]
    return [(slice(s, s + size), slice(*cut)) for s, cut in zip(starts, itertools.pairwise(cuts), strict=True)]
