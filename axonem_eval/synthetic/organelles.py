"""Places what lies inside neurites: mitochondria, vesicles, microtubules, endosomes, synaptic densities.

Each is a row of spheres: (z, y, x, radius) in nm, what it is, and the neurite that holds it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from axonem_eval.synthetic.anatomy import (
    AXON,
    BOUTON,
    DENDRITE,
    GLIA,
    SHAFT,
    SPINE_HEAD,
    Chains,
    smooth_noise,
)

MITOCHONDRION, VESICLE, MICROTUBULE, ENDOSOME, SYNAPSE = 0, 1, 2, 3, 4
F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Organelles:
    """spheres (n,4) z,y,x,radius in nm; sort (n,) one of the five constants; neurite (n,) int32 host."""

    spheres: F64
    sort: NDArray[np.uint8]
    neurite: NDArray[np.int32]


def place_organelles(chains: Chains, rng: np.random.Generator) -> Organelles:
    """Organelles of all chains; deterministic for a given generator state."""
    rows: list[tuple[F64, F64, int, int]] = []
    tangent = chains.tangents()
    for c in range(len(chains.start) - 1):
        a, b = int(chains.start[c]), int(chains.start[c + 1])
        if b - a < 6:
            continue
        host = int(chains.neurite[a])
        kind = int(chains.kind[host])
        run = slice(a, b)
        points, radius, role = chains.points_nm[run], chains.radius_nm[run], chains.role[run]
        step = float(np.linalg.norm(np.diff(points, axis=0), axis=1).mean())
        spine = bool((role == SPINE_HEAD).any())
        if not spine:
            rows += _mitochondria(points, radius, tangent[run], step, kind, host, rng)
            rows += _microtubules(points, radius, tangent[run], step, kind, host, rng)
            rows += _endosomes(points, radius, tangent[run], step, kind, host, rng)
        if kind == AXON:
            rows += _vesicles(points, radius, role, host, rng)
    rows += _synapses(chains)
    if not rows:
        return Organelles(np.zeros((0, 4)), np.zeros(0, np.uint8), np.zeros(0, np.int32))
    centres = np.concatenate([r[0] for r in rows])
    radii = np.concatenate([r[1] for r in rows])
    sizes = [len(r[0]) for r in rows]
    return Organelles(
        np.concatenate([centres, radii[:, None]], axis=1),
        np.repeat(np.array([r[2] for r in rows], np.uint8), sizes),
        np.repeat(np.array([r[3] for r in rows], np.int32), sizes),
    )


def _frames(tangent: F64) -> tuple[F64, F64]:
    """Two unit vectors across the fibre at every point."""
    reference = np.where(np.abs(tangent[:, :1]) < 0.8, [[1.0, 0, 0]], [[0, 1.0, 0]])
    u = np.cross(tangent, reference)
    u /= np.maximum(np.linalg.norm(u, axis=1, keepdims=True), 1e-6)
    return u, np.cross(tangent, u)


def _mitochondria(
    points: F64, radius: F64, tangent: F64, step: float, kind: int, host: int, rng: np.random.Generator
) -> list[tuple[F64, F64, int, int]]:
    rate = {AXON: 0.22, DENDRITE: 0.7, GLIA: 0.35}[kind]  # a um
    rows = []
    u, v = _frames(tangent)
    for _ in range(rng.poisson(rate * len(points) * step / 1000)):
        at = int(rng.integers(0, len(points)))
        if kind == AXON:  # they sit in the wide places
            near = slice(max(0, at - 25), at + 25)
            at = max(0, at - 25) + int(np.argmax(radius[near]))
        body = float(np.clip(rng.uniform(0.3, 0.62) * radius[at], 45, 125))
        if radius[at] < body + 35:
            continue
        half = int(rng.uniform(150, 420 if kind == AXON else 900) / step)
        run = np.arange(max(0, at - half), min(len(points), at + half + 1))
        run = run[radius[run] > body + 25]
        if not len(run):
            continue
        angle, out = rng.uniform(0, 2 * np.pi), np.clip(radius[run] - body - 45, 0, 160) * rng.uniform(0.2, 1)
        across = out[:, None] * (np.cos(angle) * u[run] + np.sin(angle) * v[run])
        dense = 3  # spheres a chain step: a smooth outline
        x = np.linspace(0, len(run) - 1, (len(run) - 1) * dense + 1)
        centres = np.stack([np.interp(x, np.arange(len(run)), (points[run] + across)[:, k]) for k in range(3)], axis=1)
        end = np.minimum(np.arange(len(x)), np.arange(len(x))[::-1]) * step / dense
        body_radius = body * (0.7 + 0.3 * np.minimum(1, end / body)) * (1 + 0.07 * smooth_noise(rng, len(x), 8))
        rows.append((centres, body_radius, MITOCHONDRION, host))
    return rows


def _microtubules(
    points: F64, radius: F64, tangent: F64, step: float, kind: int, host: int, rng: np.random.Generator
) -> list[tuple[F64, F64, int, int]]:
    if kind == GLIA:
        return []
    count = int(np.clip((np.median(radius) / 60) ** 2, 1, 26))
    u, v = _frames(tangent)
    x = np.arange(0, len(points) - 1, 16.0 / step)
    i, t = x.astype(np.int64), (x - x.astype(np.int64))[:, None]
    rows = []
    for _ in range(count):
        angle = rng.uniform(0, 2 * np.pi) + 0.5 * smooth_noise(rng, len(x), 60)
        out = np.sqrt(rng.uniform(0, 1)) * np.maximum(radius[i] - 35, 0)
        centre = points[i] * (1 - t) + points[i + 1] * t
        centre = centre + out[:, None] * (np.cos(angle)[:, None] * u[i] + np.sin(angle)[:, None] * v[i])
        rows.append((centre, np.full(len(x), 12.0), MICROTUBULE, host))
    return rows


def _endosomes(
    points: F64, radius: F64, tangent: F64, step: float, kind: int, host: int, rng: np.random.Generator
) -> list[tuple[F64, F64, int, int]]:
    """Round and tubular membrane-bound bodies (endoplasmic reticulum cut across looks much the same)."""
    rows = []
    rate = {AXON: 0.5, DENDRITE: 5.0, GLIA: 4.0}[kind]
    for _ in range(rng.poisson(rate * len(points) * step / 1000)):
        at = int(rng.integers(0, len(points)))
        size = rng.uniform(22, 45)
        room = radius[at] - size - 25
        if room < 10:
            continue
        here = points[at] + _in_ball(rng, 1)[0] * room
        n = int(rng.integers(1, 14)) if rng.random() < 0.5 else int(rng.integers(20, 60))
        drift = 0.9 * tangent[at] + 0.4 * rng.normal(size=3)
        away = np.cumsum(0.35 * rng.normal(size=(n, 3)) + drift, axis=0) * 14
        centres = here + away
        near = np.linalg.norm(centres - points[at], axis=1) < radius[at] + 14 * n * 0.5  # the host's edge cuts the rest
        if near.any():
            rows.append((centres[near], np.full(int(near.sum()), size), ENDOSOME, host))
    return rows


def _vesicles(
    points: F64, radius: F64, role: NDArray[np.uint8], host: int, rng: np.random.Generator
) -> list[tuple[F64, F64, int, int]]:
    rows = []
    for at in np.flatnonzero(role == BOUTON)[::2]:
        n = rng.poisson((radius[at] / 100) ** 2 * 4)
        centres = points[at] + _in_ball(rng, n) * max(radius[at] - 30, 0)
        rows.append((centres, rng.uniform(17, 24, n), VESICLE, host))
    return rows


def _in_ball(rng: np.random.Generator, n: int) -> F64:
    """Points uniform in the unit ball, (n,3)."""
    d = rng.normal(size=(n, 3))
    d /= np.maximum(np.linalg.norm(d, axis=1, keepdims=True), 1e-9)
    return d * rng.uniform(0, 1, (n, 1)) ** (1 / 3)


def _synapses(chains: Chains) -> list[tuple[F64, F64, int, int]]:
    """A density where a bouton touches a spine head or a dendritic shaft; one a bouton point at most."""
    bouton = np.flatnonzero(chains.role == BOUTON)
    dendritic = chains.kind[chains.neurite] == DENDRITE
    target = np.flatnonzero((chains.role == SPINE_HEAD) | (dendritic & (chains.role == SHAFT)))
    rows = []
    order = np.argsort(chains.points_nm[target, 0])
    target = target[order]
    z = chains.points_nm[target, 0]
    for i in bouton[::4]:
        p, r = chains.points_nm[i], chains.radius_nm[i]
        near = target[np.searchsorted(z, p[0] - r - 700) : np.searchsorted(z, p[0] + r + 700)]
        d = np.linalg.norm(chains.points_nm[near] - p, axis=1)
        gap = d - r - chains.radius_nm[near]
        if not len(gap):
            continue
        gap = gap + np.where(chains.role[near] == SPINE_HEAD, 0, 25)  # spines first
        j = int(np.argmin(gap))
        if gap[j] < 30:
            at = p + (chains.points_nm[near[j]] - p) * (r + 0.5 * gap[j]) / max(d[j], 1)
            rows.append((at[None], np.array([min(170.0, 0.9 * r)]), SYNAPSE, int(chains.neurite[i])))
    return rows


def place_granules(
    labels: NDArray[np.uint32],
    voxel_nm: F64,
    glial: NDArray[np.bool_],
    neurite: NDArray[np.int32],
    rng: np.random.Generator,
) -> Organelles:
    """Glycogen granules and tubules of the glia, wherever its labels are; glial, neurite : by label."""
    extent = np.array(labels.shape) * voxel_nm
    clusters = rng.uniform(0, 1, (int(110 * np.prod(extent) / 1e9), 3)) * extent
    index = np.minimum((clusters / voxel_nm).astype(np.int64), np.array(labels.shape) - 1)
    found = labels[tuple(index.T)]
    clusters, found = clusters[glial[found]], found[glial[found]]
    sizes = rng.integers(1, 9, len(clusters))
    grains = np.repeat(clusters, sizes, axis=0) + rng.normal(0, 45, (int(sizes.sum()), 3))
    tubes = rng.random(len(clusters)) < 0.25
    lengths = rng.integers(2, 30, int(tubes.sum()))
    drift = np.repeat(rng.normal(0, 7, (len(lengths), 3)), lengths, axis=0)
    within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    tubules = np.repeat(clusters[tubes], lengths, axis=0) + drift * within[:, None]
    radius = np.concatenate([rng.uniform(10, 18, len(grains)), np.full(len(tubules), 24.0)])
    host = np.concatenate([np.repeat(neurite[found], sizes), np.repeat(neurite[found[tubes]], lengths)])
    sort = np.repeat(np.array([MICROTUBULE, ENDOSOME], np.uint8), [len(grains), len(tubules)])
    spheres = np.concatenate([np.concatenate([grains, tubules]), radius[:, None]], axis=1)
    return Organelles(spheres, sort, host.astype(np.int32))


def joined(first: Organelles, second: Organelles) -> Organelles:
    """Both lots."""
    return Organelles(
        np.concatenate([first.spheres, second.spheres]),
        np.concatenate([first.sort, second.sort]),
        np.concatenate([first.neurite, second.neurite]),
    )
