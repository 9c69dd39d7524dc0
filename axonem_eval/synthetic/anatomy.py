"""Centre lines of synthetic neuropil: chains of spheres that enter, wind, branch and leave again.

All positions are nm in z,y,x order; voxel (i,j,k) has its centre at ((i,j,k) + 0.5) * voxel size. A chain is a run of
points some tens of nm apart, each with a radius; a neurite is a chain and its branches.
"""

from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from axonem_eval.synthetic.packing import chain_tangents, relax, room

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

AXON, DENDRITE, GLIA = 0, 1, 2
KIND_NAMES = ("axon", "dendrite", "glia")
SHAFT, BOUTON, SPINE_NECK, SPINE_HEAD = 0, 1, 2, 3
MARGIN_NM = 500.0  # neurites run on this far outside the volume, so that none ends at its faces
MAX_RADIUS_NM = 600.0


@dataclass(frozen=True)
class Anatomy:
    """What the tissue is made of. Densities are um of cable per um^3 of tissue, radii nm, 1/um rates per um of cable.

    The defaults follow mouse cortex, with more and thinner axons.
    """

    axon_density: float = 8.5
    bundled_fraction: float = 0.6
    bundle_axons: tuple[int, int] = (4, 11)
    axon_radius_nm: float = 85.0
    axon_min_radius_nm: float = 50.0
    axon_persistence_um: float = 7.0
    axon_branch_rate: float = 0.05
    varicosity_rate: float = 0.3
    varicosity_radius_nm: tuple[float, float] = (120.0, 230.0)
    dendrite_density: float = 0.5
    dendrite_radius_nm: float = 330.0
    dendrite_branch_rate: float = 0.06
    spine_rate: float = 1.1
    glia_density: float = 0.016
    glia_fraction: float = 0.07
    void_nm: tuple[float, float] = (8.0, 45.0)
    wiggle_nm: float = 17.0
    minimum_fragment_um3: float = 0.003


@dataclass(frozen=True)
class Chains:
    """Every chain of the tissue, concatenated.

    points_nm (n,3), radius_nm (n,), neurite (n,) from 0, role (n,) SHAFT|BOUTON|SPINE_NECK|SPINE_HEAD,
    start (chains+1,) offsets, anchor (chains,) point that the chain branches off or -1, kind (neurites,).
    """

    points_nm: F64
    radius_nm: F64
    neurite: I32
    role: NDArray[np.uint8]
    start: NDArray[np.int64]
    anchor: NDArray[np.int64]
    kind: NDArray[np.uint8]

    def tangents(self) -> F64:
        """Unit direction of the chain at every point, (n,3)."""
        return chain_tangents(self.points_nm, self.start)  # type: ignore[no-any-return]


@dataclass
class _Builder:
    """Chains under construction; a chain is added whole and never changed."""

    points: list[F64] = field(default_factory=list)
    radius: list[F64] = field(default_factory=list)
    role: list[NDArray[np.uint8]] = field(default_factory=list)
    neurite: list[int] = field(default_factory=list)
    anchor: list[int] = field(default_factory=list)
    kind: list[int] = field(default_factory=list)
    n_points: int = 0

    @classmethod
    def of(cls, chains: Chains) -> "_Builder":
        """A builder that goes on where `chains` stopped."""
        cuts = chains.start[1:-1]
        return cls(
            points=np.split(chains.points_nm, cuts),
            radius=np.split(chains.radius_nm, cuts),
            role=np.split(chains.role, cuts),
            neurite=chains.neurite[chains.start[:-1]].tolist(),
            anchor=chains.anchor.tolist(),
            kind=chains.kind.tolist(),
            n_points=len(chains.points_nm),
        )

    def new_neurite(self, kind: int) -> int:
        self.kind.append(kind)
        return len(self.kind) - 1

    def add(
        self, neurite: int, points: F64, radius: F64, role: NDArray[np.uint8] | int = SHAFT, anchor: int = -1
    ) -> int:
        """Append a chain; returns the index of its first point."""
        first = self.n_points
        self.points.append(points)
        self.radius.append(radius)
        self.role.append(np.broadcast_to(np.asarray(role, np.uint8), len(points)))
        self.neurite.append(neurite)
        self.anchor.append(anchor)
        self.n_points += len(points)
        return first

    def build(self) -> Chains:
        sizes = np.array([len(p) for p in self.points], np.int64)
        return Chains(
            points_nm=np.concatenate(self.points) if self.points else np.zeros((0, 3)),
            radius_nm=np.concatenate(self.radius) if self.points else np.zeros(0),
            neurite=np.repeat(np.array(self.neurite, np.int32), sizes),
            role=np.concatenate(self.role) if self.points else np.zeros(0, np.uint8),
            start=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            anchor=np.array(self.anchor, np.int64),
            kind=np.array(self.kind, np.uint8),
        )


@njit(cache=True)  # type: ignore[untyped-decorator]
def _walk(start: F64, direction: F64, noise: F64, step: float, turn: float, low: F64, high: F64) -> F64:
    """Persistent random walk from `start`, until it leaves the box [low, high] or the noise is used up."""
    out = np.empty((len(noise) + 1, 3))
    out[0] = start
    d = direction / np.sqrt((direction * direction).sum())
    bend = np.zeros(3)
    for i in range(len(noise)):
        bend = 0.8 * bend + 0.6 * noise[i]  # correlated turns: no kinks at the scale of a step
        d = d + turn * 0.33 * bend
        d /= np.sqrt((d * d).sum())
        out[i + 1] = out[i] + step * d
        if np.any(out[i + 1] < low) or np.any(out[i + 1] > high):
            return out[: i + 2]
    return out


class _Grower:
    """Draws neurites into a box; one random generator, so one seed gives one tissue."""

    def __init__(self, extent_nm: F64, anatomy: Anatomy, rng: np.random.Generator) -> None:
        self.anatomy, self.rng, self.extent = anatomy, rng, extent_nm
        self.low, self.high = np.full(3, -MARGIN_NM), extent_nm + MARGIN_NM
        self.volume_um3 = float(np.prod(self.high - self.low)) / 1e9
        self.forest = _Builder()

    def direction(self) -> F64:
        d = self.rng.normal(size=3)
        return d / np.linalg.norm(d)

    def position(self) -> F64:
        return self.rng.uniform(self.low, self.high)

    def walk(self, start: F64, direction: F64, length_nm: float, step_nm: float, persistence_um: float) -> F64:
        noise = self.rng.normal(size=(max(2, int(length_nm / step_nm)), 3))
        turn = float(np.sqrt(2 * step_nm / (persistence_um * 1000)))
        return _walk(start, direction, noise, step_nm, turn, self.low, self.high)  # type: ignore[no-any-return]

    def traverse(self, step_nm: float, persistence_um: float, start: F64 | None = None) -> F64:
        """A walk through a place (random by default), both ways until it leaves the box."""
        start, d = self.position() if start is None else start, self.direction()
        length = 2.5 * float(np.linalg.norm(self.high - self.low))
        back = self.walk(start, -d, length, step_nm, persistence_um)
        return np.concatenate([back[:0:-1], self.walk(start, d, length, step_nm, persistence_um)])

    # -- axons ---------------------------------------------------------------------------------------------------

    def axon_profile(self, n: int, step_nm: float, terminal: bool = False) -> tuple[F64, NDArray[np.uint8]]:
        """Radius and role along an axon: thin, with varicosities; a terminal branch ends in a bouton."""
        a, rng = self.anatomy, self.rng
        s = np.arange(n) * step_nm
        base = a.axon_radius_nm * np.exp(rng.normal(0, 0.22)) * (1 + 0.12 * smooth_noise(rng, n, 700 / step_nm))
        radius = np.maximum(base, a.axon_min_radius_nm)
        role = np.zeros(n, np.uint8)
        places = rng.uniform(0, n * step_nm, rng.poisson(a.varicosity_rate * n * step_nm / 1000))
        if terminal:
            places = np.append(places, s[-1] - 100.0)
        for place in places:
            top, half = rng.uniform(*a.varicosity_radius_nm), rng.uniform(180, 420)
            bump = np.exp(-0.5 * ((s - place) / (0.6 * half)) ** 2)
            radius = np.maximum(radius, a.axon_min_radius_nm + (top - a.axon_min_radius_nm) * bump)
            role[(bump > 0.45) & (radius > 110)] = BOUTON
        return radius, role

    def axon(self, points: F64, step_nm: float = 40.0) -> float:
        """Add an axon along `points` with its branches; returns its cable in um."""
        a, rng = self.anatomy, self.rng
        neurite = self.forest.new_neurite(AXON)
        radius, role = self.axon_profile(len(points), step_nm)
        first = self.forest.add(neurite, points, radius, role)
        cable = len(points) * step_nm / 1000
        for _ in range(rng.poisson(a.axon_branch_rate * cable)):
            at = int(rng.integers(1, max(2, len(points) - 1)))
            tangent = points[min(at + 1, len(points) - 1)] - points[at - 1]
            tangent = tangent / max(np.linalg.norm(tangent), 1e-9)
            ends = rng.random() < 0.35
            length = rng.uniform(800, 4000) if ends else 1e5
            side = self.walk(points[at], tilted(rng, tangent, 35, 85), length, step_nm, a.axon_persistence_um)
            ends = ends and bool(np.all((side[-1] > self.low) & (side[-1] < self.high)))
            branch_radius, branch_role = self.axon_profile(len(side), step_nm, terminal=ends)
            self.forest.add(neurite, side, branch_radius, branch_role, anchor=first + at)
            cable += len(side) * step_nm / 1000
        return cable

    def bundle(self, step_nm: float = 40.0) -> float:
        """Add axons that run together, braid and now and then leave; returns their cable in um."""
        a, rng = self.anatomy, self.rng
        path = self.traverse(step_nm, 1.5 * a.axon_persistence_um)
        n, cable = len(path), 0.0
        tangent = chain_tangents(path, np.array([0, n]))
        side = np.cross(tangent, self.direction())
        side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 0.05)
        other = np.cross(tangent, side)
        twist = np.cumsum(smooth_noise(rng, n, 1500 / step_nm)) * step_nm / 2500
        for k in range(int(rng.integers(*a.bundle_axons, endpoint=True))):
            ring, angle = 2.1 * a.axon_radius_nm * np.sqrt(k + 0.3), 2.39996 * k + twist
            drift = [70 * smooth_noise(rng, n, 900 / step_nm) for _ in range(2)]
            u, v = ring * np.cos(angle) + drift[0], ring * np.sin(angle) + drift[1]
            points = path + u[:, None] * side + v[:, None] * other
            if rng.random() < 0.4 and n > 20:
                leave = int(rng.integers(5, n - 5))
                away = tilted(rng, points[leave] - points[leave - 1], 10, 45)
                points = np.concatenate(
                    [points[:leave], self.walk(points[leave], away, 1e5, step_nm, a.axon_persistence_um)]
                )
            cable += self.axon(points, step_nm)
        return cable

    # -- dendrites and glia --------------------------------------------------------------------------------------

    def dendrite(self, step_nm: float = 80.0) -> float:
        """Add a spiny dendrite; returns its cable in um, spines not counted."""
        a, rng = self.anatomy, self.rng
        neurite = self.forest.new_neurite(DENDRITE)
        base = float(np.clip(a.dendrite_radius_nm * np.exp(rng.normal(0, 0.3)), 160, MAX_RADIUS_NM))
        shafts = [(self.traverse(step_nm, 15.0), base, -1)]
        cable = 0.0
        while shafts:
            points, radius, anchor = shafts.pop()
            profile = np.minimum(radius * (1 + 0.13 * smooth_noise(rng, len(points), 900 / step_nm)), MAX_RADIUS_NM)
            first = self.forest.add(neurite, points, profile, anchor=anchor)
            length = len(points) * step_nm / 1000
            cable += length
            tangent = chain_tangents(points, np.array([0, len(points)]))
            if anchor < 0:
                for _ in range(rng.poisson(a.dendrite_branch_rate * length)):
                    at = int(rng.integers(0, len(points)))
                    away = self.walk(points[at], tilted(rng, tangent[at], 25, 60), 1e5, step_nm, 12.0)
                    shafts.append((away, 0.75 * radius, first + at))
            for _ in range(rng.poisson(a.spine_rate * length)):
                at = int(rng.integers(0, len(points)))
                self.spine(neurite, points[at], tangent[at], float(profile[at]), first + at)
        return cable

    def spine(self, neurite: int, foot: F64, tangent: F64, shaft_radius: float, anchor: int) -> None:
        """Add a spine: a thin neck and a head."""
        rng, step = self.rng, 40.0
        neck, head = rng.uniform(150, 600), rng.uniform(110, 230)
        points = self.walk(foot, tilted(rng, tangent, 65, 115), shaft_radius + neck + head, step, 1.5)
        s = np.arange(len(points)) * step
        radius = np.full(len(points), rng.uniform(45, 75))
        radius = np.maximum(radius, head * np.exp(-0.5 * ((s - s[-1] + 0.4 * head) / (0.6 * head)) ** 2))
        role = np.where(radius > 0.6 * head, SPINE_HEAD, SPINE_NECK).astype(np.uint8)
        self.forest.add(neurite, points, radius, role, anchor=anchor)

    def glia(self, step_nm: float = 60.0) -> None:
        """Add a glial cell: tapering processes from one place; the gaps between neurites become its sheets."""
        rng = self.rng
        neurite, root = self.forest.new_neurite(GLIA), self.position()
        first = -1
        for _ in range(int(rng.integers(5, 9))):
            length = rng.uniform(1500, 5000)
            points = self.walk(root, self.direction(), length, step_nm, 1.2)
            taper = np.linspace(1, 0.25, len(points)) * rng.uniform(160, 340)
            radius = taper * (1 + 0.25 * smooth_noise(rng, len(points), 5))
            at = self.forest.add(neurite, points, np.maximum(radius, 50), anchor=first)
            first = at if first < 0 else first


def tilted(rng: np.random.Generator, axis: F64, low_deg: float, high_deg: float) -> F64:
    """Unit vector at a random angle from `axis` in [low, high] degrees, any azimuth."""
    axis = axis / max(float(np.linalg.norm(axis)), 1e-9)
    normal = np.cross(axis, rng.normal(size=3))
    normal /= max(float(np.linalg.norm(normal)), 1e-9)
    angle = np.deg2rad(rng.uniform(low_deg, high_deg))
    return np.cos(angle) * axis + np.sin(angle) * normal  # type: ignore[no-any-return]


def smooth_noise(rng: np.random.Generator, n: int, scale: float) -> F64:
    """Noise of unit variance, correlated over about `scale` samples, (n,)."""
    knots = rng.normal(size=int(n / max(scale, 1.0)) + 4)
    x = np.arange(n) / max(scale, 1.0) + 1
    i, t = x.astype(np.int64), x - x.astype(np.int64)
    w = 0.5 - 0.5 * np.cos(np.pi * t)
    return (knots[i] * (1 - w) + knots[i + 1] * w) * 1.15


def grow(extent_nm: F64, anatomy: Anatomy, rng: np.random.Generator) -> Chains:
    """Centre lines of a box of tissue of `extent_nm` (z,y,x), pushed apart until they hardly overlap."""
    grower = _Grower(extent_nm, anatomy, rng)
    volume = grower.volume_um3
    for _ in range(max(1, round(anatomy.glia_density * volume))):
        grower.glia()
    cable = 0.0
    while cable < anatomy.dendrite_density * volume:
        cable += grower.dendrite()
    cable, wanted = 0.0, anatomy.axon_density * volume
    while cable < wanted * anatomy.bundled_fraction:
        cable += grower.bundle()
    while cable < wanted:
        cable += grower.axon(grower.traverse(40.0, anatomy.axon_persistence_um))
    chains = _relaxed(grower.forest, 40)
    for _ in range(8):  # thread more axons through the gaps that packing left
        places = rng.uniform(0, extent_nm, (4000, 3))
        gap = room(places, chains.points_nm, chains.radius_nm)
        free = float((gap > anatomy.void_nm[1]).mean()) - anatomy.glia_fraction
        if free <= 0:
            break
        grower.forest = _Builder.of(chains)
        wide = places[np.argsort(-gap)][: max(4, int(4000 * free))]
        cable, wanted = 0.0, 0.6 * free * volume / (np.pi * (1.25e-3 * anatomy.axon_radius_nm) ** 2)
        while cable < wanted:
            start = wide[int(rng.integers(len(wide)))]
            cable += grower.axon(grower.traverse(40.0, anatomy.axon_persistence_um, start=start))
        chains = _relaxed(grower.forest, 20)
    return chains


def _relaxed(forest: _Builder, rounds: int) -> Chains:
    """The chains, pushed apart: axons and spines give way to dendrites."""
    chains = forest.build()
    mobility = np.array([1.0, 0.12, 0.5])[chains.kind[chains.neurite]]
    mobility[(chains.role == SPINE_NECK) | (chains.role == SPINE_HEAD)] = 0.8
    relax(chains.points_nm, chains.radius_nm, chains.neurite, mobility, chains.start, chains.anchor, rounds=rounds)
    return chains
