"""Controlled errors: turns labels into "submissions" whose faults are known, each with a record of what was done.

Every function takes labels (z,y,x) of any unsigned integer type and returns new labels of the same type with the list
of its records; positions are voxels z,y,x. `inplace=True` changes the array that was handed in. 0 is background.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numba import njit
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

Labels = NDArray[np.unsignedinteger]


def with_errors(
    labels: Labels,
    voxel_size_nm_zyx: Sequence[float],
    *,
    seed: int = 0,
    splits: int = 0,
    merges: int = 0,
    small_merges: int = 0,
    small_merge_radius_nm: float = 250.0,
    holes: int = 0,
    hole_radius_nm: float = 150.0,
    erode_pixels: int = 0,
    shift_sections: Sequence[int] = (),
    shift_pixels: int = 10,
    drop_sections: Sequence[int] = (),
    candidates: Iterable[int] | None = None,
    random_ids: bool = False,
) -> tuple[Labels, list[Record]]:
    """A copy of `labels` with so many errors of each sort; the same seed gives the same errors.

    candidates : labels to split, merge and hole (all by default); a merge joins two of them where any two touch.
    small_merge_radius_nm : 250 keeps a small merge to some 500 nm of cable, a dozen nodes at a spacing of 40 nm.
    random_ids : as the last step, new random ids up to 2**64 - 1 (the result is then uint64).
    """
    rng = np.random.default_rng([seed, 21])
    out = labels.copy()
    records: list[Record] = []
    ids, sizes = np.unique(out, return_counts=True)
    if candidates is not None:
        wanted = np.isin(ids, np.fromiter(candidates, np.uint64).astype(ids.dtype))
        ids, sizes = ids[wanted], sizes[wanted]
    ids = ids[(ids != 0) & (sizes >= 200)]
    ids = ids[rng.permutation(len(ids))]
    turn = _Turns(ids)
    for _ in range(merges):
        records += _try_each(turn, lambda a: _merge_with_some_neighbour(out, a, ids, rng))
    for _ in range(small_merges):
        records += _try_each(
            turn, lambda a: _sliver_from_some_neighbour(out, a, ids, small_merge_radius_nm, voxel_size_nm_zyx, rng)
        )
    for _ in range(splits):
        records += _try_each(turn, lambda a: split_label(out, a, voxel_size_nm_zyx, rng=rng, inplace=True)[1])
    for _ in range(holes):
        records += _try_each(
            turn, lambda a: punch_holes(out, [a], hole_radius_nm, voxel_size_nm_zyx, rng=rng, inplace=True)[1]
        )
    if erode_pixels:
        records += erode_boundaries(out, erode_pixels, inplace=True)[1]
    for z in shift_sections:
        angle = rng.uniform(0, 2 * np.pi)
        offset = (round(shift_pixels * np.sin(angle)), round(shift_pixels * np.cos(angle)))
        records += shift_section(out, z, offset, inplace=True)[1]
    records += drop(out, drop_sections, inplace=True)[1]
    if random_ids:
        out, record = randomize_ids(out, seed=seed)
        records += record
    return out, records


class _Turns:
    """Gives out labels in turn, so that errors spread over all candidates."""

    def __init__(self, ids: Labels) -> None:
        self.ids, self.next = [int(i) for i in ids], 0

    def __iter__(self) -> "_Turns":
        return self

    def __next__(self) -> int:
        self.next += 1
        return self.ids[(self.next - 1) % len(self.ids)]


def _try_each(turn: _Turns, attempt: Callable[[int], Sequence[Record]]) -> Sequence[Record]:
    """Records of the first attempt that works, over at most one round of the candidates."""
    for _ in range(len(turn.ids)):
        try:
            return attempt(next(turn))
        except ValueError:  # gone by an earlier merge, too small, or without a neighbour among the candidates
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
    inplace: bool = False,
) -> tuple[Labels, list[Split]]:
    """Cut a label in two by a plane across its length.

    at : voxel to cut at; by default one near the middle of the label's longest extent.
    new_label : by default the largest label of the volume plus one.
    """
    out = labels if inplace else labels.copy()
    index = np.flatnonzero(out == out.dtype.type(label))
    if len(index) < 2:
        raise ValueError(f"label {label} has {len(index)} voxels, at least 2 are needed to split it")
    voxel = np.asarray(voxel_size_nm_zyx, np.float64)
    place = np.stack(np.unravel_index(index, out.shape), axis=1)
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
        raise ValueError(f"a plane at {at} leaves label {label} whole: choose a place inside it")
    new = int(out.max()) + 1 if new_label is None else new_label
    out.reshape(-1)[index[side]] = new
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


@njit(cache=True)  # type: ignore[untyped-decorator]
def _contacts(labels: Labels, label: int) -> tuple[NDArray[np.int64], Labels]:
    """Flat indices of `label`'s voxels with a face on another label that is not 0, and that label."""
    nz, ny, nx = labels.shape
    count = 0
    where = np.empty(1024, np.int64)
    whose = np.empty(1024, labels.dtype)
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if labels[z, y, x] != label:
                    continue
                for s in range(6):
                    k, j, i = z, y, x
                    step = 1 if s % 2 else -1
                    if s < 2:
                        k += step
                    elif s < 4:
                        j += step
                    else:
                        i += step
                    if k < 0 or j < 0 or i < 0 or k >= nz or j >= ny or i >= nx:
                        continue
                    other = labels[k, j, i]
                    if other == 0 or other == label:
                        continue
                    if count == len(where):
                        where = np.concatenate((where, np.empty_like(where)))
                        whose = np.concatenate((whose, np.empty_like(whose)))
                    where[count] = (k * ny + j) * nx + i
                    whose[count] = other
                    count += 1
    return where[:count], whose[:count]


def touching(labels: Labels, label: int) -> dict[int, int]:
    """Neighbours of a label with the number of voxel faces shared, largest first; 0 does not count."""
    _, whose = _contacts(labels, labels.dtype.type(label))
    ids, faces = np.unique(whose, return_counts=True)
    order = np.argsort(-faces, kind="stable")
    return {int(ids[i]): int(faces[i]) for i in order}


def merge_labels(labels: Labels, label: int, absorbed: int, *, inplace: bool = False) -> tuple[Labels, list[Merge]]:
    """Give all of `absorbed` to `label`, which must touch it."""
    out = labels if inplace else labels.copy()
    where, whose = _contacts(out, out.dtype.type(label))
    shared = where[whose == absorbed]
    if not len(shared):
        raise ValueError(f"labels {label} and {absorbed} do not touch; touching({label}) lists those that do")
    at = _triple(np.array(np.unravel_index(shared[len(shared) // 2], out.shape)))
    mask = out == out.dtype.type(absorbed)
    out[mask] = label
    return out, [Merge(label, absorbed, at, int(mask.sum()))]


def merge_below_tolerance(
    labels: Labels,
    label: int,
    neighbour: int,
    radius_nm: float,
    voxel_size_nm_zyx: Sequence[float],
    *,
    at: Position | None = None,
    inplace: bool = False,
) -> tuple[Labels, list[SmallMerge]]:
    """Give `label` the part of a touching neighbour within `radius_nm` of a place of contact.

    The part holds about 2 x radius / node spacing of the neighbour's nodes: choose the radius so that this stays
    below the tolerance, and the merge costs the neighbour those few nodes but breaks neither axon's run.
    """
    out = labels if inplace else labels.copy()
    where, whose = _contacts(out, out.dtype.type(label))
    shared = where[whose == neighbour]
    if not len(shared):
        raise ValueError(f"labels {label} and {neighbour} do not touch; touching({label}) lists those that do")
    if at is None:
        at = _triple(np.array(np.unravel_index(shared[len(shared) // 2], out.shape)))
    taken = _paint_ball(out, at, radius_nm, voxel_size_nm_zyx, neighbour, label)
    return out, [SmallMerge(label, neighbour, at, radius_nm, taken)]


def _merge_with_some_neighbour(labels: Labels, label: int, ids: Labels, rng: np.random.Generator) -> list[Merge]:
    return merge_labels(labels, label, _some_neighbour(labels, label, ids, rng), inplace=True)[1]


def _sliver_from_some_neighbour(
    labels: Labels, label: int, ids: Labels, radius_nm: float, voxel_nm: Sequence[float], rng: np.random.Generator
) -> list[SmallMerge]:
    other = _some_neighbour(labels, label, ids, rng)
    return merge_below_tolerance(labels, label, other, radius_nm, voxel_nm, inplace=True)[1]


def _some_neighbour(labels: Labels, label: int, ids: Labels, rng: np.random.Generator) -> int:
    """A touching label among `ids`, those with more contact more likely."""
    allowed = set(ids.tolist())
    faces = {k: n for k, n in touching(labels, label).items() if k in allowed and n >= 20}
    if not faces:
        raise ValueError(f"label {label} touches no candidate")
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
    inplace: bool = False,
) -> tuple[Labels, list[Hole]]:
    """Set a ball of each label to 0, around a random voxel of it."""
    out = labels if inplace else labels.copy()
    rng = rng or np.random.default_rng(0)
    records = []
    for label in ids:
        index = np.flatnonzero(out == out.dtype.type(label))
        if not len(index):
            raise ValueError(f"label {label} is not in the volume")
        at = _triple(np.array(np.unravel_index(index[int(rng.integers(len(index)))], out.shape)))
        gone = _paint_ball(out, at, radius_nm, voxel_size_nm_zyx, label, 0)
        records.append(Hole(label, at, radius_nm, gone))
    return out, records


@njit(cache=True)  # type: ignore[untyped-decorator]
def _boundary(labels: Labels, pixels: int) -> NDArray[np.bool_]:
    nz, ny, nx = labels.shape
    out = np.zeros(labels.shape, np.bool_)
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                v = labels[z, y, x]
                if v == 0:
                    continue
                for k in range(1, pixels + 1):
                    if (
                        (y >= k and labels[z, y - k, x] != v)
                        or (y + k < ny and labels[z, y + k, x] != v)
                        or (x >= k and labels[z, y, x - k] != v)
                        or (x + k < nx and labels[z, y, x + k] != v)
                    ):
                        out[z, y, x] = True
                        break
    return out


def boundary_mask(labels: Labels, pixels: int) -> NDArray[np.bool_]:
    """Voxels within `pixels` of another label (or 0) along y or x in their section, (z,y,x)."""
    return _boundary(labels, pixels)  # type: ignore[no-any-return]


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
    old, inverse = np.unique(labels, return_inverse=True)
    rng = np.random.default_rng([seed, 22])
    new = rng.integers(2**32, 2**64, len(old), np.uint64)
    while len(np.unique(new)) < len(new):
        new = rng.integers(2**32, 2**64, len(old), np.uint64)
    new[old == 0] = 0
    return new[inverse].reshape(labels.shape), [Relabelling(old.astype(np.uint64), new)]
