"""Pushes overlapping chains apart, as fibres in tissue make room for one another."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

CELL_NM = 300.0
THIN_NM = 150.0


def relax(
    points: F64,
    radius: F64,
    neurite: I32,
    mobility: F64,
    start: I64,
    anchor: I64,
    *,
    rounds: int = 40,
    gap_nm: float = 6.0,
) -> None:
    """Move `points` (n,3; changed in place) until the spheres of different neurites hardly overlap.

    mobility (n,) : of two that overlap, each gives way in proportion. start, anchor : see Chains.
    """
    if not len(points):
        return
    thin = np.flatnonzero(radius <= THIN_NM)
    thick = np.flatnonzero(radius > THIN_NM)  # apart, or the few thick ones would set how far all have to look
    for _ in range(rounds):
        tangent = chain_tangents(points, start)
        push, weight = np.zeros_like(points), np.zeros(len(points))
        for members in (thin, thick):
            if len(members):
                cells = _cells(points, members)
                _push(points, tangent, radius, neurite, mobility, members, *cells, gap_nm, push, weight)
        push /= np.maximum(weight, 1e-9)[:, None]
        _apply(points, push, start, anchor)


def room(places: F64, points: F64, radius: F64, *, most_nm: float = 400.0) -> F64:
    """Distance in nm from each place (m,3) to the nearest sphere's surface, at most `most_nm`; negative inside."""
    cells = _cells(points, np.arange(len(points)))
    return _room(places, points, radius, *cells, most_nm)  # type: ignore[no-any-return]


def _cells(points: F64, members: I64) -> tuple[I64, I64, I64, F64]:
    """Members sorted by cubic cell: order (m,), offsets (cells+1,), cells along z,y,x, lower corner in nm."""
    own = points[members]
    low = own.min(axis=0) - 1.0
    shape = np.ceil((own.max(axis=0) + 1.0 - low) / CELL_NM).astype(np.int64) + 1
    cell = ((own - low) / CELL_NM).astype(np.int64)
    key = (cell[:, 0] * shape[1] + cell[:, 1]) * shape[2] + cell[:, 2]
    order = np.argsort(key, kind="stable")
    return members[order], np.searchsorted(key[order], np.arange(int(np.prod(shape)) + 1)), shape, low


@njit(cache=True)  # type: ignore[untyped-decorator]
def _window(centre: F64, reach: float, low: F64, shape: I64, first: I64, last: I64) -> None:
    """Cells that a ball meets, z,y,x, inclusive."""
    for a in range(3):
        first[a] = max(0, int(np.floor((centre[a] - reach - low[a]) / CELL_NM)))
        last[a] = min(shape[a] - 1, int(np.floor((centre[a] + reach - low[a]) / CELL_NM)))


@njit(cache=True)  # type: ignore[untyped-decorator]
def _room(places: F64, points: F64, radius: F64, order: I64, cell_start: I64, shape: I64, low: F64, most: float) -> F64:
    out = np.full(len(places), most)
    reach = radius.max() + most
    first, last = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for i in range(len(places)):
        _window(places[i], reach, low, shape, first, last)
        for z in range(first[0], last[0] + 1):
            for y in range(first[1], last[1] + 1):
                row = (z * shape[1] + y) * shape[2]
                if last[2] < first[2]:
                    continue
                for q in range(cell_start[row + first[2]], cell_start[row + last[2] + 1]):
                    j = order[q]
                    d0, d1, d2 = places[i, 0] - points[j, 0], places[i, 1] - points[j, 1], places[i, 2] - points[j, 2]
                    out[i] = min(out[i], np.sqrt(d0 * d0 + d1 * d1 + d2 * d2) - radius[j])
    return out


@njit(cache=True)  # type: ignore[untyped-decorator]
def chain_tangents(points: F64, start: I64) -> F64:
    """Unit direction of the chain at every point, by central differences, (n,3)."""
    out = np.zeros_like(points)
    for c in range(len(start) - 1):
        for i in range(start[c], start[c + 1]):
            d = points[min(i + 1, start[c + 1] - 1)] - points[max(i - 1, start[c])]
            out[i] = d / max(np.sqrt((d * d).sum()), 1e-9)
    return out


@njit(cache=True)  # type: ignore[untyped-decorator]
def _push(  # noqa: PLR0913  a compiled kernel takes flat arrays
    points: F64,
    tangent: F64,
    radius: F64,
    neurite: I32,
    mobility: F64,
    members: I64,
    order: I64,
    cell_start: I64,
    shape: I64,
    low: F64,
    gap: float,
    out: F64,
    weight: F64,
) -> None:
    """Add to `out` what the spheres of `members` push every point away by, and to `weight` the overlaps.

    Only the part at right angles to both tangents counts: else two fibres that cross would push each other's points
    along themselves, and stay crossed.
    """
    r_max = radius[members].max()
    first, last = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for i in range(len(points)):
        reach = radius[i] + r_max + gap
        ti0, ti1, ti2 = tangent[i, 0], tangent[i, 1], tangent[i, 2]
        _window(points[i], reach, low, shape, first, last)
        if last[2] < first[2]:
            continue
        for z in range(first[0], last[0] + 1):
            for y in range(first[1], last[1] + 1):
                row = (z * shape[1] + y) * shape[2]
                for q in range(cell_start[row + first[2]], cell_start[row + last[2] + 1]):
                    j = order[q]
                    if neurite[j] == neurite[i]:
                        continue
                    d0, d1, d2 = points[i, 0] - points[j, 0], points[i, 1] - points[j, 1], points[i, 2] - points[j, 2]
                    dist2 = d0 * d0 + d1 * d1 + d2 * d2
                    touch = radius[i] + radius[j] + gap
                    if dist2 >= touch * touch:
                        continue
                    overlap = touch - np.sqrt(dist2)
                    along = d0 * ti0 + d1 * ti1 + d2 * ti2
                    d0, d1, d2 = d0 - along * ti0, d1 - along * ti1, d2 - along * ti2
                    u0, u1, u2 = tangent[j, 0], tangent[j, 1], tangent[j, 2]
                    same = u0 * ti0 + u1 * ti1 + u2 * ti2
                    u0, u1, u2 = u0 - same * ti0, u1 - same * ti1, u2 - same * ti2
                    u = np.sqrt(u0 * u0 + u1 * u1 + u2 * u2)
                    if u > 0.35:
                        along = (d0 * u0 + d1 * u1 + d2 * u2) / (u * u)
                        d0, d1, d2 = d0 - along * u0, d1 - along * u1, d2 - along * u2
                    size = np.sqrt(d0 * d0 + d1 * d1 + d2 * d2)
                    if size < 1e-6:
                        continue
                    share = overlap * mobility[i] / (mobility[i] + mobility[j])
                    out[i, 0] += overlap * share * d0 / size
                    out[i, 1] += overlap * share * d1 / size
                    out[i, 2] += overlap * share * d2 / size
                    weight[i] += overlap


@njit(cache=True)  # type: ignore[untyped-decorator]
def _apply(points: F64, push: F64, start: I64, anchor: I64) -> None:
    """Move each chain by its pushes, smoothed along it so that it stays a smooth curve; branches stay attached."""
    for c in range(len(start) - 1):
        a, b = start[c], start[c + 1]
        for _ in range(4):
            before = push[a].copy()
            for i in range(a, b):
                here = push[i].copy()
                after = push[min(i + 1, b - 1)]
                push[i] = 0.25 * before + 0.5 * here + 0.25 * after
                before = here
        for i in range(a, b):
            points[i] += 0.9 * push[i]
        before = points[a].copy()
        for i in range(a + 1, b - 1):
            here = points[i].copy()
            points[i] += 0.06 * (before + points[i + 1] - 2 * here)
            before = here
        if anchor[c] >= 0:  # anchors come before their branches, so they have moved already
            gap = points[anchor[c]] - points[a]
            for i in range(a, min(b, a + 12)):
                points[i] += gap * (1 - (i - a) / 12.0)
