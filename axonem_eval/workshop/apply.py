"""Apply accepted corrections to a segmentation: cut mergers by planes or points, join splits, write new labels.

The corrections are always applied to the segmentation that they were made on. So undoing one is leaving it out.

First the cuts. A plane acts inside a ball, points inside a box (``part_by_points``): the connected pieces on the two
sides there, and those outside, are found block by block. Pieces that hold voxels of one side of a cut are one axon
again, and a piece without any goes to the piece that it was parted from most: so an arm goes on where most of it does.
The largest axon keeps the segment's id, the others get new ids. Then the joins: each finds its two segments at its
voxels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.files import require_target
from axonem_eval.progress import StageProgress
from axonem_eval.sampling import sample_nodes
from axonem_eval.skeletons import connected_pieces
from axonem_eval.spec import FloatTriple
from axonem_eval.volumes import Box, LabelVolume, open_labels, read_small, write_label_blocks
from axonem_eval.workshop.cut_pieces import (
    BlockPieces,
    Cuts,
    border_voxels,
    boxes_of,
    pieces_at,
    pieces_of_block,
    read_wide,
)
from axonem_eval.workshop.decisions import MERGER, SPLIT, Correction
from axonem_eval.workshop.point_cut import Sides, part_by_points
from axonem_eval.workshop.relabel import substitute

CHUNK_ZYX = (32, 128, 128)


@dataclass(frozen=True)
class Applied:
    """What came of corrections. cut, joined : how many took effect.

    parts : new id -> the segment that it was cut from.
    without_effect : name of a correction -> why it changed nothing.
    """

    cut: int
    joined: int
    parts: dict[int, int]
    without_effect: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Pieces:
    """All pieces of cut segments, numbered block by block from 1; 0 is none.

    first : of each block, its pieces are first + 1, first + 2 ...
    whole : (n + 1,) int64, connected piece of each piece; those of one number reach through several blocks.
    segment, voxels : (m,) int64, by connected piece: place among the cut segments, and size.
    parted : (k, 3) int64, two connected pieces on both sides of a plane, and the number of their pairs of voxels.
    anchor : (a,) int64, connected piece at each voxel of the corrections; 0 where its segment is not cut.
    """

    first: list[int]
    whole: NDArray[np.int64]
    segment: NDArray[np.int64]
    voxels: NDArray[np.int64]
    parted: NDArray[np.int64]
    anchor: NDArray[np.int64]


@dataclass(frozen=True)
class _Relabelling:
    """What the labels become.

    first : as in ``_Pieces``.   piece : (n + 1,) uint64, label of each piece.
    old, new : (k,) uint64, labels after the cuts that change by joining, ascending, and what they become.
    """

    first: list[int]
    piece: NDArray[np.uint64]
    old: NDArray[np.uint64]
    new: NDArray[np.uint64]


def apply_corrections(
    path: str | Path,
    corrections: Sequence[Correction],
    output: str | Path,
    voxel_size_nm_zyx: FloatTriple,
    *,
    dataset: str | None = None,
    on_progress: StageProgress | None = None,
) -> Applied:
    """Write ``output`` (HDF5, dataset ``main``): the labels of ``path`` with the corrections.

    One block is in memory at a time, and the pieces of cut segments as a table. Raises InputError for unreadable labels
    and where ``output`` cannot be written or is ``path``.
    """
    require_target(output, path, suffixes=(".h5", ".hdf5", ".hdf"))
    mergers = [c for c in corrections if c.kind == MERGER]
    splits = [c for c in corrections if c.kind == SPLIT]
    with open_labels(path, dataset) as volume:
        anchors = _anchors([*mergers, *splits])
        wrong = _misplaced([*mergers, *splits], anchors, volume)
        mergers = [c for c in mergers if c.name not in wrong]
        sides, too_far = _by_points(mergers, volume, voxel_size_nm_zyx, on_progress)
        wrong |= too_far
        mergers, splits = ([c for c in group if c.name not in wrong] for group in (mergers, splits))
        anchors = _anchors([*mergers, *splits])
        cuts = Cuts.of([(c.segments[0], c.cut) for c in mergers if c.cut], sides, voxel_size_nm_zyx)
        found, highest = _find_pieces(volume, cuts, anchors, on_progress)
        piece, anchor, not_parted = _part(mergers, found, cuts, highest)
        old, new = _joins(mergers, splits, anchor)
        parts = _parts(piece, found, cuts, highest, old, new)
        wrong |= not_parted | _joined_again(mergers, substitute(anchor, old, new), not_parted)
        relabelling = _Relabelling(found.first, piece, old, new)
        _write(volume, cuts, relabelling, Path(output), voxel_size_nm_zyx, on_progress)
    cut, joined = (sum(c.name not in wrong for c in group) for group in (mergers, splits))
    return Applied(cut, joined, parts, wrong)


def _parts(
    piece: NDArray[np.uint64],
    found: _Pieces,
    cuts: Cuts,
    highest: int,
    old: NDArray[np.uint64],
    new: NDArray[np.uint64],
) -> dict[int, int]:
    """The segment of each part that a cut made, by the id that the part has after the joins from ``old`` to ``new``."""
    made = np.flatnonzero(piece > highest)
    segment = cuts.segment[found.segment[found.whole[made]]]
    return dict(zip(substitute(piece[made], old, new).tolist(), segment.tolist(), strict=True))


def _by_points(
    mergers: Sequence[Correction],
    volume: LabelVolume,
    voxel_size_nm_zyx: FloatTriple,
    on_progress: StageProgress | None,
) -> tuple[list[tuple[int, Sides]], dict[str, str]]:
    """Segment and sides of each cut by points; and why some have none."""
    cuts, found, wrong = [c for c in mergers if c.is_by_points], [], {}
    for done, c in enumerate(cuts, start=1):
        try:
            sides = part_by_points(volume, c.segments[0], c.this_side, c.other_side, voxel_size_nm_zyx)
            found.append((c.segments[0], sides))
        except InputError as error:
            wrong[c.name] = error.complaints[0].message
        if on_progress:
            on_progress("cut by points", done, len(cuts))
    return found, wrong


def _anchors(corrections: Sequence[Correction]) -> NDArray[np.int64]:
    """(n, 3) voxels of both sides of all corrections, one after the other."""
    return np.array([v for c in corrections for v in (*c.this_side, *c.other_side)], np.int64).reshape(-1, 3)


def _misplaced(corrections: Sequence[Correction], anchors: NDArray[np.int64], volume: LabelVolume) -> dict[str, str]:
    """Corrections with a voxel outside the volume or outside its segment."""
    wrong: dict[str, str] = {}
    inside = np.all((anchors >= 0) & (anchors < np.asarray(volume.shape_zyx)), axis=1)
    label = np.zeros(len(anchors), np.uint64)
    if inside.any():
        label[inside] = sample_nodes(volume, anchors[inside].astype(np.int32)).node_segment
    row = 0
    for c in corrections:
        other = c.segments[-1]
        wanted = [c.segments[0]] * len(c.this_side) + [other] * len(c.other_side)
        for segment in wanted:
            if not inside[row]:
                wrong[c.name] = f"voxel {_words(anchors[row])} lies outside the volume of {volume.shape_zyx}"
            elif label[row] != segment:
                wrong[c.name] = f"voxel {_words(anchors[row])} holds segment {label[row]}, not {segment}"
            row += 1
    return wrong


def _words(zyx: NDArray[np.int64]) -> str:
    return ",".join(map(str, zyx.tolist()))


def _find_pieces(
    volume: LabelVolume, cuts: Cuts, anchors: NDArray[np.int64], on_progress: StageProgress | None
) -> tuple[_Pieces, int]:
    """Pieces of the whole volume, linked across blocks, and the highest label of the volume."""
    first, highest, total = [], 0, 0
    segment, voxels = [np.full(1, -1, np.int64)], [np.zeros(1, np.int64)]
    parted, border = [np.empty((0, 3), np.int64)], [(np.empty(0, np.int64), np.empty(0, np.int64))]
    anchor_piece = np.zeros(len(anchors), np.int64)
    boxes = boxes_of(volume) if len(cuts.segment) else []
    for done, box in enumerate(boxes, start=1):
        labels = read_wide(volume, box)
        highest = max(highest, int(labels.max()))
        pieces = pieces_of_block(labels, box, cuts)
        first.append(total)
        if pieces is not None:
            segment.append(pieces.segment[1:].astype(np.int64))
            voxels.append(pieces.voxels[1:])
            pair, count = np.unique(pieces.parted, axis=0, return_counts=True)
            parted.append(np.column_stack([pair + total, count]))
            flat, number = border_voxels(pieces, box, volume.shape_zyx)
            border.append((flat, number + total))
            for row, piece in pieces_at(pieces, anchors):
                anchor_piece[row] = piece + total
            total += pieces.count
        if on_progress:
            on_progress("cut", done, len(boxes))
    flat, number = (np.concatenate(column) for column in zip(*border, strict=True))
    order = np.argsort(flat, kind="stable")
    same = np.flatnonzero(np.diff(flat[order]) == 0)
    whole = connected_pieces(total + 1, number[order][same], number[order][same + 1]).astype(np.int64)
    n = int(whole.max()) + 1
    size = np.bincount(whole, weights=np.concatenate(voxels), minlength=n).astype(np.int64)
    owner = np.full(n, -1, np.int64)
    owner[whole] = np.concatenate(segment)
    both = np.concatenate(parted)
    both[:, :2] = whole[both[:, :2]]
    return _Pieces(first, whole, owner, size, both, whole[anchor_piece]), highest


def _part(
    mergers: Sequence[Correction], found: _Pieces, cuts: Cuts, highest: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], dict[str, str]]:
    """Label of each piece and of each voxel of the corrections after the cuts; the cuts that part nothing, and why."""
    n, sides, row = len(found.segment), [], 0
    held = np.zeros(n, np.bool_)
    for c in mergers:
        here, there = len(c.this_side), len(c.other_side)
        sides.append((found.anchor[row : row + here], found.anchor[row + here : row + here + there]))
        row += here + there
        held[np.concatenate(sides[-1])] = True
    pairs = [np.stack([side[:-1], side[1:]], axis=1) for both in sides for side in both]
    a, b = np.concatenate([*pairs, _strays(found.parted, held)]).T
    axon = connected_pieces(n, a, b).astype(np.int64)
    wrong = {
        c.name: "its plane does not part the two sides: choose a plane between them, or a larger radius"
        if c.cut
        else "the two sides are one where they leave the box around its points: place more points"
        for c, (this, other) in zip(mergers, sides, strict=True)
        if axon[this[0]] == axon[other[0]]
    }
    n_axons = int(axon.max()) + 1
    size = np.bincount(axon, weights=found.voxels, minlength=n_axons)
    owner = np.full(n_axons, -1, np.int64)
    owner[axon] = found.segment
    label = np.where(owner < 0, np.uint64(0), np.append(cuts.segment, np.uint64(0))[owner])
    parts, turn = np.unique(axon[found.anchor[:row]], return_index=True)
    # Of equal size the one that the corrections name first: the numbers of pieces depend on the blocks.
    parts = parts[np.lexsort((turn, -size[parts], owner[parts]))]
    smaller = parts[np.diff(owner[parts], prepend=-2) == 0]
    label[smaller] = np.uint64(highest + 1) + np.arange(len(smaller), dtype=np.uint64)
    return label[axon[found.whole]], label[axon[found.anchor]], wrong


def _strays(parted: NDArray[np.int64], held: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(k, 2) joins of pieces that no side of a cut holds, each to the held piece that it was parted from most."""
    pair, row = np.unique(np.sort(parted[:, :2], axis=1), axis=0, return_inverse=True)
    count = np.bincount(row.reshape(-1), weights=parted[:, 2], minlength=len(pair))
    rest = pair[np.argsort(-count, kind="stable")].tolist()  # as few as there are pieces at planes
    held, joins, before = held.copy(), [(0, 0)], 0
    while len(joins) > before:
        before = len(joins)
        for a, b in rest:
            if held[a] != held[b]:
                held[a] = held[b] = True
                joins.append((a, b))
    return np.array(joins, np.int64)


def _joins(
    mergers: Sequence[Correction], splits: Sequence[Correction], anchor: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Labels after the cuts that change by joining, ascending, and the lowest id of those that each is joined with."""
    row = sum(len(c.this_side) + len(c.other_side) for c in mergers)
    pairs = []
    for c in splits:
        # A voxel of a segment that is not cut has no piece.
        pairs.append([int(anchor[r]) or s for r, s in zip((row, row + len(c.this_side)), c.segments, strict=True)])
        row += len(c.this_side) + len(c.other_side)
    ids, place = np.unique(np.array(pairs, np.uint64).reshape(-1, 2), return_inverse=True)
    a, b = place.reshape(-1, 2).T
    group = connected_pieces(len(ids), a, b)
    return ids, ids[np.unique(group, return_index=True)[1]][group]


def _joined_again(
    mergers: Sequence[Correction], after: NDArray[np.uint64], not_parted: dict[str, str]
) -> dict[str, str]:
    """Cuts whose two sides the joins put together again. after : (a,) label at each voxel of the corrections."""
    row, again = 0, {}
    for c in mergers:
        if c.name not in not_parted and after[row] == after[row + len(c.this_side)]:
            again[c.name] = "accepted joins put its two sides together again: undo the cut or one of the joins"
        row += len(c.this_side) + len(c.other_side)
    return again


def _write(
    volume: LabelVolume,
    cuts: Cuts,
    relabelling: _Relabelling,
    output: Path,
    voxel_size_nm_zyx: FloatTriple,
    on_progress: StageProgress | None,
) -> None:
    highest = int(max(relabelling.piece.max(initial=0), relabelling.new.max(initial=0)))
    kind = np.dtype(f"u{volume.dtype.itemsize}")
    dtype = kind if highest <= np.iinfo(kind).max else np.dtype(np.uint64)
    boxes = boxes_of(volume)

    def parts() -> Iterator[tuple[Box, NDArray[Any]]]:
        for number, box in enumerate(boxes):
            yield box, _corrected(volume, box, number, cuts, relabelling).astype(dtype)
            if on_progress:
                on_progress("write", number + 1, len(boxes))

    write_label_blocks(output, volume.shape_zyx, dtype, parts(), voxel_size_nm_zyx, chunk_zyx=CHUNK_ZYX)


def _corrected(
    volume: LabelVolume,
    box: tuple[slice, slice, slice],
    number: int,
    cuts: Cuts,
    relabelling: _Relabelling,
) -> NDArray[np.uint64]:
    """Labels of one block, corrected."""
    wide = read_wide(volume, box) if len(cuts.segment) else read_small(volume, box, (1, 1, 1))
    own = tuple(slice(0, s.stop - s.start) for s in box)
    labels = wide[own].astype(np.uint64)  # a copy: the pieces are painted into it
    pieces = pieces_of_block(wide, box, cuts) if len(cuts.segment) else None
    if pieces is not None:
        _paint(labels, pieces, box, relabelling.piece[relabelling.first[number] :])
    return substitute(labels, relabelling.old, relabelling.new)


def _paint(labels: NDArray[np.uint64], pieces: BlockPieces, box: tuple[slice, ...], label: NDArray[np.uint64]) -> None:
    mine = pieces.number[pieces.own]
    start = [o - s.start for o, s in zip(pieces.origin_zyx, box, strict=True)]
    part = labels[tuple(slice(a, a + n) for a, n in zip(start, mine.shape, strict=True))]
    there = mine > 0
    part[there] = label[mine[there]]
