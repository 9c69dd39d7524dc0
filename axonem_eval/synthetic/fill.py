"""Turns chains into dense labels: every voxel goes to the neurite whose surface is nearest, gaps go to glia.

The label at a point is that of the sphere with the least (distance to centre - radius): an additively weighted Voronoi
diagram, evaluated exactly, block by block, in a slightly warped space that makes membranes uneven. Then components:
each final label is one 26-connected component.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from axonem_eval.union_find import join, root

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U32 = NDArray[np.uint32]

BLOCK_NM = 240.0


class Warp:
    """Smooth displacement of space in nm (3 channels) and the glia threshold in nm (4th), on a coarse grid.

    grid (gz,gy,gx,4) float32, cell_nm its spacing; covers the volume and a margin of two cells.
    """

    def __init__(
        self, extent_nm: F64, wiggle_nm: float, void_nm: tuple[float, float], rng: np.random.Generator
    ) -> None:
        """Random fields over a volume; `wiggle_nm` scales the displacement, `void_nm` bounds the threshold."""
        self.cell_nm = 90.0
        shape = tuple(int(n) + 6 for n in np.ceil(extent_nm / self.cell_nm))
        fine = smooth_field(rng, (*shape, 4), 0.9)
        coarse = smooth_field(rng, (*shape, 4), 4.0)
        grid = wiggle_nm * (0.8 * fine + 1.4 * coarse)
        low, high = void_nm
        grid[..., 3] = low + (high - low) / (1 + np.exp(-1.6 * coarse[..., 3]))
        self.grid: F32 = np.ascontiguousarray(grid, np.float32)
        self.origin_nm = -2.0 * self.cell_nm
        self.reach_nm = float(np.sqrt((grid[..., :3] ** 2).sum(axis=-1).max())) if wiggle_nm else 0.0

    def at(self, points_nm: F64) -> F64:
        """Displacement in nm at points (n,3)."""
        return _sample_warp(self.grid, points_nm, self.origin_nm, self.cell_nm)  # type: ignore[no-any-return]


def smooth_field(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> F32:
    """Gaussian noise of unit variance, blurred over the first three axes with `sigma` cells."""
    field = rng.standard_normal(shape, dtype=np.float32)
    taps = np.arange(-int(3 * sigma + 1), int(3 * sigma + 1) + 1)
    kernel = np.exp(-0.5 * (taps / sigma) ** 2).astype(np.float32)
    kernel /= np.sqrt((kernel**2).sum())
    for axis in range(3):
        total = np.zeros_like(field)
        for tap, weight in zip(taps, kernel, strict=True):
            total += weight * np.roll(field, tap, axis=axis)
        field = total
    return field


@njit(cache=True)  # type: ignore[untyped-decorator]
def _warp4(grid: F32, z: float, y: float, x: float, origin: float, cell: float, out: F64) -> None:
    """Trilinear value of the four channels at a place in nm."""
    gz = min(max((z - origin) / cell, 0.0), grid.shape[0] - 1.001)
    gy = min(max((y - origin) / cell, 0.0), grid.shape[1] - 1.001)
    gx = min(max((x - origin) / cell, 0.0), grid.shape[2] - 1.001)
    k, j, i = int(gz), int(gy), int(gx)
    fz, fy, fx = gz - k, gy - j, gx - i
    for c in range(4):
        a = (grid[k, j, i, c] * (1 - fx) + grid[k, j, i + 1, c] * fx) * (1 - fy) + (
            grid[k, j + 1, i, c] * (1 - fx) + grid[k, j + 1, i + 1, c] * fx
        ) * fy
        b = (grid[k + 1, j, i, c] * (1 - fx) + grid[k + 1, j, i + 1, c] * fx) * (1 - fy) + (
            grid[k + 1, j + 1, i, c] * (1 - fx) + grid[k + 1, j + 1, i + 1, c] * fx
        ) * fy
        out[c] = a * (1 - fz) + b * fz


@njit(cache=True)  # type: ignore[untyped-decorator]
def _sample_warp(grid: F32, points: F64, origin: float, cell: float) -> F64:
    out = np.empty((len(points), 3))
    value = np.empty(4)
    for i in range(len(points)):
        _warp4(grid, points[i, 0], points[i, 1], points[i, 2], origin, cell, value)
        out[i] = value[:3]
    return out


def fill_labels(
    shape_zyx: tuple[int, int, int],
    voxel_nm: F64,
    spheres: F64,
    neurite: I32,
    warp: Warp,
    shift_nm: F64,
    glia_centres: F64,
    glia_neurite: I32,
) -> U32:
    """Neurite index + 1 at every voxel, uint32 (z,y,x); voxels further than the void threshold from all go to glia.

    spheres : (n,4) z,y,x and radius in nm. neurite : (n,), of each sphere.
    shift_nm : (z,2) displacement of each section in y,x. glia_centres : (g,3), where each glial cell sits.
    """
    block = np.maximum(1, np.round(BLOCK_NM / voxel_nm)).astype(np.int64)
    grid = -(-np.asarray(shape_zyx) // block)
    points, radius = spheres[:, :3], spheres[:, 3]
    reach = radius + warp.reach_nm + float(warp.grid[..., 3].max()) + 1.0
    slack = np.array([0.0, np.abs(shift_nm[:, 0]).max(), np.abs(shift_nm[:, 1]).max()])
    low = np.floor((points - reach[:, None] - slack) / (block * voxel_nm)).astype(np.int64)
    high = np.floor((points + reach[:, None] + slack) / (block * voxel_nm)).astype(np.int64)
    low, high = np.clip(low, 0, grid), np.clip(high, -1, grid - 1)
    start, member = _bin_points(low, high, grid)
    labels = np.zeros(shape_zyx, np.uint32)
    _fill(
        labels,
        voxel_nm,
        spheres,
        neurite,
        start,
        member,
        block,
        grid,
        warp.grid,
        warp.origin_nm,
        warp.cell_nm,
        shift_nm,
        glia_centres,
        glia_neurite,
    )
    return labels


@njit(cache=True)  # type: ignore[untyped-decorator]
def _bin_points(low: I64, high: I64, grid: I64) -> tuple[I64, I32]:
    """Which points can reach which block, as offsets (blocks+1,) and members."""
    start = np.zeros(grid[0] * grid[1] * grid[2] + 1, np.int64)
    for fill in range(2):
        if fill:
            total = 0
            for b in range(len(start)):
                count = start[b]
                start[b] = total
                total += count
            member = np.empty(total, np.int32)
            cursor = start.copy()
        else:
            member = np.empty(0, np.int32)
            cursor = start
        for i in range(len(low)):
            for z in range(low[i, 0], high[i, 0] + 1):
                for y in range(low[i, 1], high[i, 1] + 1):
                    for x in range(low[i, 2], high[i, 2] + 1):
                        b = (z * grid[1] + y) * grid[2] + x
                        if fill:
                            member[cursor[b]] = i
                        cursor[b] += 1
        if not fill:
            continue
    return start, member


@njit(cache=True)  # type: ignore[untyped-decorator]
def _prune(centre: F64, slack: float, spheres: F64, members: I32, count: int, kept: I32) -> int:
    """Keep the spheres that can be nearest somewhere within `slack` of `centre`; returns how many."""
    best = 1e18
    for q in range(count):
        s = spheres[members[q]]
        v = np.sqrt((centre[0] - s[0]) ** 2 + (centre[1] - s[1]) ** 2 + (centre[2] - s[2]) ** 2) - s[3]
        best = min(best, v)
    n = 0
    for q in range(count):
        s = spheres[members[q]]
        v = np.sqrt((centre[0] - s[0]) ** 2 + (centre[1] - s[1]) ** 2 + (centre[2] - s[2]) ** 2) - s[3]
        if v <= best + 2 * slack:
            kept[n] = members[q]
            n += 1
    return n


@njit(cache=True)  # type: ignore[untyped-decorator]
def _nearest_sphere(place: F64, least: float, spheres: F64, members: I32, n: int) -> int:
    """The sphere of the first `n` members whose surface is nearest to a place, -1 if none is nearer than `least`."""
    best, who = least, -1
    for q in range(n):
        s = spheres[members[q]]
        d0, d1, d2 = place[0] - s[0], place[1] - s[1], place[2] - s[2]
        top = best + s[3]
        if top > 0:
            dist2 = d0 * d0 + d1 * d1 + d2 * d2
            if dist2 < top * top:
                best, who = np.sqrt(dist2) - s[3], members[q]
    return who


@njit(cache=True)  # type: ignore[untyped-decorator]
def _nearest_point(place: F64, points: F64) -> int:
    near, nearest = 1e30, 0
    for g in range(len(points)):
        d0, d1, d2 = place[0] - points[g, 0], place[1] - points[g, 1], place[2] - points[g, 2]
        dist2 = d0 * d0 + d1 * d1 + d2 * d2
        if dist2 < near:
            near, nearest = dist2, g
    return nearest


@njit(cache=True)  # type: ignore[untyped-decorator]
def _fill(  # noqa: PLR0913  a compiled kernel takes flat arrays
    labels: U32,
    voxel: F64,
    spheres: F64,
    neurite: I32,
    start: I64,
    member: I32,
    block: I64,
    grid: I64,
    warp: F32,
    origin: float,
    cell: float,
    shift: F64,
    glia_centres: F64,
    glia_neurite: I32,
) -> None:
    nz, ny, nx = labels.shape
    sub = np.maximum(1, block // 4)
    kept = np.empty(len(spheres) + 1, np.int32)
    centre, place, warped, w = np.empty(3), np.empty(3), np.empty(3), np.empty(4)
    half = 0.5 * np.sqrt(((sub * voxel) ** 2).sum())
    for b in range(len(start) - 1):
        bz, by, bx = b // (grid[1] * grid[2]), (b // grid[2]) % grid[1], b % grid[2]
        members = member[start[b] : start[b + 1]]
        for z in range(bz * block[0], min((bz + 1) * block[0], nz)):  # a section at a time: each has its own shift
            for y0 in range(by * block[1], min((by + 1) * block[1], ny), sub[1]):
                for x0 in range(bx * block[2], min((bx + 1) * block[2], nx), sub[2]):
                    centre[0] = (z + 0.5) * voxel[0]
                    centre[1] = (y0 + 0.5 * sub[1]) * voxel[1] + shift[z, 0]
                    centre[2] = (x0 + 0.5 * sub[2]) * voxel[2] + shift[z, 1]
                    _warp4(warp, centre[0], centre[1], centre[2], origin, cell, w)
                    centre += w[:3]
                    # the warp stretches distances by less than its half
                    n = _prune(centre, 1.9 * half, spheres, members, len(members), kept)
                    for y in range(y0, min(y0 + sub[1], ny, (by + 1) * block[1])):
                        for x in range(x0, min(x0 + sub[2], nx, (bx + 1) * block[2])):
                            place[0] = (z + 0.5) * voxel[0]
                            place[1] = (y + 0.5) * voxel[1] + shift[z, 0]
                            place[2] = (x + 0.5) * voxel[2] + shift[z, 1]
                            _warp4(warp, place[0], place[1], place[2], origin, cell, w)
                            for c in range(3):
                                warped[c] = place[c] + w[c]
                            who = _nearest_sphere(warped, w[3], spheres, kept, n)
                            if who >= 0:
                                labels[z, y, x] = neurite[who] + 1
                            else:
                                labels[z, y, x] = glia_neurite[_nearest_point(place, glia_centres)] + 1


def separate_components(labels: U32, minimum_voxels: int) -> I64:
    """Make every label one 26-connected component, 1..n, in place; returns the old label of each new one, (n+1,).

    A component below `minimum_voxels` is given to the neighbours that surround it. 0 is background and stays.
    """
    parent = np.empty(labels.shape, np.int32 if labels.size < 2**31 else np.int64)
    n = _components(labels, parent)
    size, old = _component_table(labels, parent, n)
    keep = size >= minimum_voxels
    if not keep.any():
        keep[np.argmax(size)] = True
    number = np.zeros(n + 1, np.uint32)
    number[1:][keep] = np.arange(1, int(keep.sum()) + 1)
    _renumber(labels, parent, number)
    _grow_into_gaps(labels, parent)
    return np.concatenate([[0], old[keep]]).astype(np.int64)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _join_earlier(labels: U32, parent: I32, z: int, y: int, x: int) -> None:
    """Join a voxel with those of its 26 neighbours that come before it and have its label."""
    _, ny, nx = labels.shape
    i = (z * ny + y) * nx + x
    for dz in range(-1, 1):
        for dy in range(-1, 2 if dz else 1):
            for dx in range(-1, 2 if (dz or dy) else 0):
                k, j, m = z + dz, y + dy, x + dx
                if k < 0 or j < 0 or j >= ny or m < 0 or m >= nx or labels[k, j, m] != labels[z, y, x]:
                    continue
                other = (k * ny + j) * nx + m
                if parent[other] != parent[i]:
                    join(parent, root(parent, i), root(parent, other))


@njit(cache=True)  # type: ignore[untyped-decorator]
def _components(labels: U32, parent3: I32) -> int:
    """26-connected components by union-find; leaves component c (1..n) as -c in `parent3`, 0 for background."""
    nz, ny, nx = labels.shape
    parent = parent3.reshape(-1)
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                i = (z * ny + y) * nx + x
                parent[i] = i
                if labels[z, y, x] != 0:
                    _join_earlier(labels, parent, z, y, x)
    n = 0
    flat = labels.reshape(-1)
    for i in range(len(parent)):  # a root precedes its members, so its number is known when they come
        if flat[i] == 0:
            parent[i] = 0
        elif parent[i] == i:
            n += 1
            parent[i] = -n
        else:
            parent[i] = parent[parent[i]]
    return n


@njit(cache=True)  # type: ignore[untyped-decorator]
def _component_table(labels: U32, component: I32, n: int) -> tuple[I64, I64]:
    size, old = np.zeros(n, np.int64), np.zeros(n, np.int64)
    flat, comp = labels.reshape(-1), component.reshape(-1)
    for i in range(len(comp)):
        if comp[i]:
            size[-comp[i] - 1] += 1
            old[-comp[i] - 1] = flat[i]
    return size, old


@njit(cache=True)  # type: ignore[untyped-decorator]
def _renumber(labels: U32, component: I32, number: U32) -> None:
    """Write the new numbers; what is dropped becomes 0 in labels, and 1 in `component` as a mark to fill."""
    flat, comp = labels.reshape(-1), component.reshape(-1)
    for i in range(len(comp)):
        c = -comp[i]
        flat[i] = number[c]
        comp[i] = 1 if c and number[c] == 0 else 0


@njit(cache=True)  # type: ignore[untyped-decorator]
def _grow_into_gaps(labels: U32, gap: I32) -> None:
    """Label the marked voxels from their face neighbours, layer by layer."""
    nz, ny, nx = labels.shape
    flat, mark = labels.reshape(-1), gap.reshape(-1)
    steps = np.array([-ny * nx, ny * nx, -nx, nx, -1, 1])
    front = np.empty(1024, np.int64)
    while True:
        n = 0
        for i in range(len(mark)):
            if mark[i] != 1:
                continue
            z, y, x = i // (ny * nx), (i // nx) % ny, i % nx
            inside = (z > 0, z < nz - 1, y > 0, y < ny - 1, x > 0, x < nx - 1)
            for s in range(6):
                if inside[s] and flat[i + steps[s]] and mark[i + steps[s]] == 0:
                    if n == len(front):
                        front = np.concatenate((front, np.empty(len(front), np.int64)))
                    front[n] = i
                    n += 1
                    mark[i] = 2 + s
                    break
        if n == 0:
            return
        for q in range(n):
            flat[front[q]] = flat[front[q] + steps[mark[front[q]] - 2]]
        for q in range(n):
            mark[front[q]] = 0
