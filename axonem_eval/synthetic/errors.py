"""Controlled errors: turns labels into "submissions" whose faults are known, each with a record of what was done.

Every function takes labels (z,y,x) of any unsigned integer type and returns new labels of the same type with the list
of its records; positions are voxels z,y,x. `inplace=True` changes the array that was handed in. 0 is background.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from axonem_eval.synthetic.records import (
    DroppedSection,
    Erosion,
    Hole,
    Merge,
    Position,
    Record,
    Relabelling,
    ShiftedSection,
    SmallMerge,
    Split,
)
from axonem_eval.synthetic.regions import Boxes, Labels, Turns, boundary_mask, contacts, distinct, region, substitute

# What `with_errors` plants. Smaller labels are left alone. 250 nm keeps a small merge to some 500 nm of cable, a dozen
# nodes at a spacing of 40 nm.
LEAST_VOXELS = 200
SMALL_MERGE_RADIUS_NM = 250.0
HOLE_RADIUS_NM = 150.0
SHIFT_PIXELS = 10


@dataclass(frozen=True)
class Errors:
    """How many errors of each sort `with_errors` plants.

    random_ids : as the last step, new random ids up to 2**64 - 1 (the result is then uint64).
    """

    splits: int = 0
    merges: int = 0
    small_merges: int = 0
    holes: int = 0
    erode_pixels: int = 0
    shift_sections: Sequence[int] = ()
    drop_sections: Sequence[int] = ()
    random_ids: bool = False


class NotPossible(ValueError):
    """The labels do not allow the error that was asked for."""


def with_errors(
    labels: Labels,
    voxel_size_nm_zyx: Sequence[float],
    errors: Errors,
    *,
    seed: int = 0,
    candidates: Iterable[int] | None = None,
) -> tuple[Labels, list[Record]]:
    """A copy of `labels` with errors; the same seed gives the same errors.

    candidates : labels to split, merge and hole (all by default). A merge joins two of them that touch, both of the
    larger half: two that have fewer nodes than the tolerance would cost nothing.
    """
    rng = np.random.default_rng([seed, 21])
    out = labels.copy()
    boxes = Boxes(out)
    voxel, fresh = voxel_size_nm_zyx, count(int(boxes.ids[-1]) + 1)
    usable = (boxes.ids != 0) & (boxes.voxels >= LEAST_VOXELS)
    if candidates is not None:
        usable &= np.isin(boxes.ids.astype(np.uint64), np.fromiter(candidates, np.uint64))
    ids, sizes = boxes.ids[usable], boxes.voxels[usable]
    shuffled = rng.permutation(len(ids))
    ids, sizes = ids[shuffled], sizes[shuffled]
    large = set(ids[sizes >= np.median(sizes)].tolist()) if len(ids) else set()
    turn, among = Turns(ids), set(ids.tolist())

    def merge(a: int) -> Sequence[Record]:
        return merge_labels(out, a, _some_neighbour(out, a, large, boxes, rng), boxes=boxes, inplace=True)[1]

    def merge_a_little(a: int) -> Sequence[Record]:
        b = _some_neighbour(out, a, among, boxes, rng)
        return merge_below_tolerance(out, a, b, SMALL_MERGE_RADIUS_NM, voxel, boxes=boxes, inplace=True)[1]

    def split(a: int) -> Sequence[Record]:
        return split_label(out, a, voxel, new_label=next(fresh), rng=rng, boxes=boxes, inplace=True)[1]

    def hole(a: int) -> Sequence[Record]:
        return punch_holes(out, [a], HOLE_RADIUS_NM, voxel, rng=rng, boxes=boxes, inplace=True)[1]

    records: list[Record] = []
    times = errors.merges, errors.small_merges, errors.splits, errors.holes
    for n, attempt in zip(times, (merge, merge_a_little, split, hole), strict=True):
        for _ in range(n):
            records += _first_that_works(turn, attempt)
    if errors.erode_pixels:
        records += erode_boundaries(out, errors.erode_pixels, inplace=True)[1]
    for z in errors.shift_sections:
        angle = rng.uniform(0, 2 * np.pi)
        offset = (round(SHIFT_PIXELS * np.sin(angle)), round(SHIFT_PIXELS * np.cos(angle)))
        records += shift_section(out, z, offset, inplace=True)[1]
    records += drop(out, errors.drop_sections, inplace=True)[1]
    if errors.random_ids:
        out, record = randomize_ids(out, seed=seed)
        records += record
    return out, records


def _first_that_works(turn: Turns, attempt: Callable[[int], Sequence[Record]]) -> Sequence[Record]:
    """Records of the first attempt that works, over at most one round of the candidates."""
    for _ in range(len(turn.ids)):
        try:
            return attempt(next(turn))
        except NotPossible:  # gone by an earlier merge, too small, or without a neighbour among the candidates
            continue
    return []


def split_label(
    labels: Labels,
    label: int,
    voxel_size_nm_zyx: Sequence[float],
    *,
    at: Position | None = None,
    new_label: int | None = None,
    rng: np.random.Generator | None = None,
    boxes: Boxes | None = None,
    inplace: bool = False,
) -> tuple[Labels, list[Split]]:
    """Cut a label in two by a plane across its length.

    at : voxel to cut at; by default one near the middle of the label's longest extent.
    new_label : by default the largest label of the volume plus one.
    """
    out = labels if inplace else labels.copy()
    part, low_corner = region(out, label, boxes)
    place = np.argwhere(part == out.dtype.type(label)) + low_corner
    if len(place) < 2:
        raise NotPossible(f"label {label} has {len(place)} voxels, at least 2 are needed to split it")
    voxel = np.asarray(voxel_size_nm_zyx, np.float64)
    nm = place * voxel
    along = (nm - nm.mean(axis=0)) @ _main_axis(nm)
    if at is None:
        low, high = np.quantile(along, [0.35, 0.65])
        goal = (rng or np.random.default_rng(0)).uniform(low, high)
        at = _triple(place[int(np.argmin(np.abs(along - goal)))])
    origin = np.asarray(at) * voxel
    near = nm[np.linalg.norm(nm - origin, axis=1) < 600]
    normal = _main_axis(near) if len(near) > 10 else _main_axis(nm)
    side = (nm - origin) @ normal > 0
    if not side.any() or side.all():
        raise NotPossible(f"a plane at {at} leaves label {label} whole: choose a place inside it")
    new = int(out.max()) + 1 if new_label is None else new_label
    if new > np.iinfo(out.dtype).max:
        raise NotPossible(f"{out.dtype} has no room for label {new}: choose new_label, or relabel first")
    out[tuple(place[side].T)] = new
    in_voxels = normal * voxel
    unit = in_voxels / np.linalg.norm(in_voxels)
    normal_zyx = (float(unit[0]), float(unit[1]), float(unit[2]))
    return out, [Split(label, new, at, normal_zyx, int(side.sum()))]


def _main_axis(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Direction of the largest extent, unit length."""
    centred = points - points.mean(axis=0)
    return np.linalg.eigh(centred.T @ centred)[1][:, -1]


def _triple(values: NDArray[np.integer]) -> Position:
    return int(values[0]), int(values[1]), int(values[2])


def touching(labels: Labels, label: int, *, boxes: Boxes | None = None) -> dict[int, int]:
    """Neighbours of a label with the number of voxel faces shared, largest first; 0 does not count."""
    _, whose = contacts(labels, label, boxes)
    ids, faces = np.unique(whose, return_counts=True)
    order = np.argsort(-faces, kind="stable")
    return {int(ids[i]): int(faces[i]) for i in order}


def merge_labels(
    labels: Labels, label: int, absorbed: int, *, boxes: Boxes | None = None, inplace: bool = False
) -> tuple[Labels, list[Merge]]:
    """Give all of `absorbed` to `label`, which must touch it."""
    out = labels if inplace else labels.copy()
    at = _contact(out, label, absorbed, boxes)
    part, _ = region(out, absorbed, boxes)
    mask = part == out.dtype.type(absorbed)
    part[mask] = label
    if boxes is not None:
        boxes.cover(label, absorbed)
    return out, [Merge(label, absorbed, at, int(mask.sum()))]


def _contact(labels: Labels, label: int, neighbour: int, boxes: Boxes | None) -> Position:
    """A voxel of `neighbour` in the middle of the list of those that touch `label`."""
    where, whose = contacts(labels, label, boxes)
    shared = where[whose == neighbour]
    if not len(shared):
        raise NotPossible(f"labels {label} and {neighbour} do not touch; touching({label}) lists those that do")
    return _triple(shared[len(shared) // 2])


def merge_below_tolerance(
    labels: Labels,
    label: int,
    neighbour: int,
    radius_nm: float,
    voxel_size_nm_zyx: Sequence[float],
    *,
    at: Position | None = None,
    boxes: Boxes | None = None,
    inplace: bool = False,
) -> tuple[Labels, list[SmallMerge]]:
    """Give `label` the part of a touching neighbour within `radius_nm` of a place of contact.

    The part holds about 2 x radius / node spacing of the neighbour's nodes: choose the radius so that this stays
    below the tolerance, and the merge costs the neighbour those few nodes but breaks neither axon's run.
    """
    out = labels if inplace else labels.copy()
    at = _contact(out, label, neighbour, boxes) if at is None else at
    taken = _paint_ball(out, at, radius_nm, voxel_size_nm_zyx, neighbour, label)
    if boxes is not None:
        boxes.cover(label, neighbour)
    return out, [SmallMerge(label, neighbour, at, radius_nm, taken)]


def _some_neighbour(labels: Labels, label: int, among: set[int], boxes: Boxes, rng: np.random.Generator) -> int:
    """A touching label among those, if `label` is one of them; the more contact, the more likely."""
    faces = {k: n for k, n in touching(labels, label, boxes=boxes).items() if k in among and n >= 20}
    if not faces or label not in among:
        raise NotPossible(f"label {label} touches no candidate")
    weight = np.array(list(faces.values()), np.float64)
    return list(faces)[int(rng.choice(len(weight), p=weight / weight.sum()))]


def _paint_ball(labels: Labels, at: Position, radius_nm: float, voxel_nm: Sequence[float], old: int, new: int) -> int:
    """Within a ball, turn `old` into `new`; returns the voxels changed."""
    voxel = np.asarray(voxel_nm, np.float64)
    reach = np.ceil(radius_nm / voxel).astype(int)
    box = tuple(slice(max(0, c - r), c + r + 1) for c, r in zip(at, reach, strict=True))
    grids = np.ogrid[tuple(slice(b.start, min(b.stop, n)) for b, n in zip(box, labels.shape, strict=True))]
    distance2 = sum(((g - c) * v) ** 2 for g, c, v in zip(grids, at, voxel, strict=True))
    part = labels[box]
    mask = (distance2 <= radius_nm**2) & (part == labels.dtype.type(old))
    part[mask] = new
    return int(mask.sum())


def punch_holes(
    labels: Labels,
    ids: Sequence[int],
    radius_nm: float,
    voxel_size_nm_zyx: Sequence[float],
    *,
    rng: np.random.Generator | None = None,
    boxes: Boxes | None = None,
    inplace: bool = False,
) -> tuple[Labels, list[Hole]]:
    """Set a ball of each label to 0, around a random voxel of it."""
    out = labels if inplace else labels.copy()
    rng = rng or np.random.default_rng(0)
    records = []
    for label in ids:
        part, low_corner = region(out, label, boxes)
        place = np.argwhere(part == out.dtype.type(label))
        if not len(place):
            raise NotPossible(f"label {label} is not in the volume")
        at = _triple(place[int(rng.integers(len(place)))] + low_corner)
        gone = _paint_ball(out, at, radius_nm, voxel_size_nm_zyx, label, 0)
        records.append(Hole(label, at, radius_nm, gone))
    return out, records


def erode_boundaries(labels: Labels, pixels: int = 1, *, inplace: bool = False) -> tuple[Labels, list[Erosion]]:
    """Set voxels near another label to 0, section by section, as most training recipes do."""
    out = labels if inplace else labels.copy()
    mask = boundary_mask(out, pixels)
    out[mask] = 0
    return out, [Erosion(pixels, int(mask.sum()))]


def shift_section(
    labels: Labels, section: int, offset_yx: tuple[int, int], *, inplace: bool = False
) -> tuple[Labels, list[ShiftedSection]]:
    """Move one section; what comes in from outside is 0."""
    out = labels if inplace else labels.copy()
    dy, dx = offset_yx
    ny, nx = out.shape[1:]
    moved = np.zeros_like(out[section])
    moved[max(0, dy) : ny + min(0, dy), max(0, dx) : nx + min(0, dx)] = out[
        section, max(0, -dy) : ny + min(0, -dy), max(0, -dx) : nx + min(0, -dx)
    ]
    out[section] = moved
    return out, [ShiftedSection(section, offset_yx)]


def drop(labels: Labels, sections: Sequence[int], *, inplace: bool = False) -> tuple[Labels, list[DroppedSection]]:
    """Set whole sections to 0."""
    out = labels if inplace else labels.copy()
    for z in sections:
        out[z] = 0
    return out, [DroppedSection(int(z)) for z in sections]


def randomize_ids(labels: Labels, *, seed: int = 0) -> tuple[NDArray[np.uint64], list[Relabelling]]:
    """The same segments under random ids from 2**32 to 2**64 - 1, uint64; 0 stays 0."""
    old = distinct(labels)
    rng = np.random.default_rng([seed, 22])
    new = rng.integers(2**32, 2**64, len(old), np.uint64)
    while len(np.unique(new)) < len(new):
        new = rng.integers(2**32, 2**64, len(old), np.uint64)
    new[old == 0] = 0
    return substitute(labels, old, new), [Relabelling(old.astype(np.uint64), new)]
