"""TEASAR: the centre lines of a label (Sato et al. 2000, with the additions of kimimaro).

From a root, the voxel farthest along the label is joined to the tree by the path that keeps most to the middle; what
lies within a ball around each voxel of the path is then done with; again, until nothing is left. Parameters, the choice
of root and targets, ties and float32 are kimimaro's, so that nearly all skeletons are the same node for node; but this
works on the voxels of a label alone (`voxels.py`) and needs neither its box nor a copy of the volume.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from axonem_eval.spec import FloatTriple, Triple
from axonem_eval.teasar_search import close_around, geodesic, path_to_tree
from axonem_eval.voxels import VoxelGraph, boundary_distance, components, fill_holes, find_voxels, voxel_graph


@dataclass(frozen=True)
class Teasar:
    """Parameters, named and meant as kimimaro's; lengths in nm.

    scale, const : a path does with what lies within scale * radius + const of it.
    pdrf_scale, pdrf_exponent : how strongly paths keep to the middle.
    soma_detection_threshold : holes of a component with a larger radius are filled first: nuclei.
    soma_acceptance_threshold : one with a larger radius then is a soma, with its root at the centre.
    soma_invalidation_scale, soma_invalidation_const : the ball around that root.
    dust_voxels : components of at most so many voxels get no skeleton.
    """

    scale: float = 1.5
    const: float = 500.0
    pdrf_scale: float = 100_000.0
    pdrf_exponent: int = 4
    soma_detection_threshold: float = 1100.0
    soma_acceptance_threshold: float = 3500.0
    soma_invalidation_scale: float = 1.0
    soma_invalidation_const: float = 300.0
    dust_voxels: int = 100
    max_paths: int = 1 << 30


@dataclass(frozen=True)
class Tree:
    """Skeleton of a label: (n, 3) voxels z,y,x, (m, 2) edges between them by place, (n,) radius in nm."""

    node_zyx: NDArray[np.int32]
    edges: NDArray[np.int32]
    radius_nm: NDArray[np.float32]


def trace(graph: VoxelGraph, voxel_size_nm_zyx: FloatTriple, parameters: Teasar) -> Tree:
    """Skeleton of all components of a label above the dust size."""
    label = _Label(graph, voxel_size_nm_zyx)
    order, start = components(graph.row, graph.mask)
    trees = []
    for first, end in pairwise(start):
        if end - first > parameters.dust_voxels:
            member = np.sort(order[first:end])
            targets = [int(member[i]) for i in face_targets(graph.zyx[member], graph.shape_zyx, label.size)]
            if label.radius[member].max() > parameters.soma_detection_threshold:
                whole = voxel_graph(fill_holes(graph.zyx[member]), graph.shape_zyx)
                targets = find_voxels(whole.zyx, graph.zyx[targets]).tolist()
                filled = _Label(whole, voxel_size_nm_zyx)
                trees.append(_trace_component(filled, np.arange(len(whole), dtype=np.int32), targets, parameters))
            else:
                trees.append(_trace_component(label, member, targets, parameters))
    return _join(trees)


def _join(trees: list[Tree]) -> Tree:
    count = [len(t.node_zyx) for t in trees]
    first = np.cumsum(count) - count
    return Tree(
        np.concatenate([np.empty((0, 3), np.int32), *(t.node_zyx for t in trees)]),
        np.concatenate(
            [np.empty((0, 2), np.int32), *(t.edges + np.int32(f) for t, f in zip(trees, first, strict=True))]
        ),
        np.concatenate([np.empty(0, np.float32), *(t.radius_nm for t in trees)]),
    )


class _Label:
    """A label's voxels and the per-voxel arrays that the searches in its components share."""

    def __init__(self, graph: VoxelGraph, voxel_size_nm_zyx: FloatTriple) -> None:
        n = len(graph)
        self.zyx, self.row, self.mask, self.shape = graph.zyx, graph.row, graph.mask, graph.shape_zyx
        self.size = np.asarray(voxel_size_nm_zyx, np.float32)
        self.radius = boundary_distance(graph, voxel_size_nm_zyx)
        self.along = np.full(n, np.inf, np.float32)  # nm from the root through neighbours
        self.penalty = np.empty(n, np.float32)  # cost of a path's step onto the voxel; 0 on the tree
        self.open = np.zeros(n, np.bool_)  # not yet done with
        self._cost = np.empty(n, np.float32)
        self._back = np.empty(n, np.int32)
        self._round = np.zeros(n, np.int32)
        self._rounds = 0  # numbers the searches, so that none has to clear what the last one left

    def farthest(self, member: NDArray[np.int32], root: int) -> int:
        """Fill ``along`` from the root and return the voxel farthest from it."""
        self.along[member] = np.inf
        return int(geodesic(self.row, self.mask, self.size, root, self.along))

    def path(self, target: int) -> NDArray[np.int32]:
        """Voxels from the target to the tree."""
        self._rounds += 2
        found: NDArray[np.int32] = path_to_tree(
            self.row, self.mask, self.penalty, target, self._cost, self._back, self._round, self._rounds
        )
        return found

    def close(self, path: NDArray[np.int32], scale: float, const: float) -> int:
        """Do with the open voxels around a path; returns how many."""
        reach = self.radius[path] * np.float32(scale) + np.float32(const)
        self._rounds += 2
        scratch = (self._cost, self._back, self._round, self._rounds)
        return int(close_around(self.zyx, self.row, self.mask, self.size, path, reach, self.open, *scratch))


def _trace_component(f: _Label, member: NDArray[np.int32], targets: list[int], p: Teasar) -> Tree:
    """Skeleton of one component; ``targets`` are voxels that it must reach, of which the last may become the root."""
    thickest = f.radius[member].max()
    soma_radius = 0.0
    if thickest > p.soma_acceptance_threshold:
        root = _middle_of_soma(f, member, thickest)
        soma_radius = float(thickest) * p.soma_invalidation_scale + p.soma_invalidation_const
        targets = [*targets[-1:], *targets[:-1]]
    elif targets:
        root, targets = targets[-1], targets[:-1]
    else:
        root = f.farthest(member, int(member[0]))
    end = f.farthest(member, root)
    along = f.along[member]
    f.penalty[member] = _penalty(f.radius[member], thickest, along, p)
    f.penalty[root] = 0.0
    f.open[member] = True
    n_open = len(member)
    if soma_radius > 0:
        n_open -= f.close(np.array([root], np.int32), p.soma_invalidation_scale, p.soma_invalidation_const)
    elif not targets:
        targets = [end]
    paths = _cover(f, root, targets, member[np.argsort(along)[::-1]], n_open, soma_radius, p)
    pairs = np.concatenate([np.stack([path[:-1], path[1:]], axis=1) for path in paths])
    voxel, place = np.unique(pairs, return_inverse=True)
    edges = np.unique(np.sort(place.reshape(-1, 2), axis=1), axis=0)
    return Tree(f.zyx[voxel], edges[edges[:, 0] != edges[:, 1]].astype(np.int32), f.radius[voxel])


def _cover(
    f: _Label,
    root: int,
    targets: list[int],
    farthest_first: NDArray[np.int32],
    n_open: int,
    soma_radius: float,
    p: Teasar,
) -> list[NDArray[np.int32]]:
    """Paths from the targets, last first, and then from the farthest open voxel until none is open."""
    paths: list[NDArray[np.int32]] = []
    targets, next_open = list(targets), 0
    while (targets or n_open > 0) and len(paths) < p.max_paths:
        if targets:
            target = targets.pop()
        else:
            while not f.open[farthest_first[next_open]]:
                next_open += 1
            target = int(farthest_first[next_open])
        path = f.path(target)
        if soma_radius > 0:  # straight to the centre from where the path comes near
            away = np.linalg.norm((f.zyx[path] - f.zyx[root]) * f.size, axis=1)
            path = np.append(path[away > soma_radius], np.int32(root))
        if n_open > 0:
            n_open -= f.close(path, p.scale, p.const)
        f.penalty[path] = 0.0
        paths.append(path)
    return paths


def _middle_of_soma(f: _Label, member: NDArray[np.int32], thickest: np.float32) -> int:
    top = member[f.radius[member] == thickest]
    off = np.square(f.zyx[top] - f.zyx[top].mean(axis=0)).sum(axis=1)
    return int(top[np.argmin(off)])


def _penalty(
    radius: NDArray[np.float32], thickest: np.float32, along: NDArray[np.float32], p: Teasar
) -> NDArray[np.float32]:
    """Cost of each voxel: high near the boundary, with a slight slope towards the root."""
    inner = np.float32(1.0) - radius * np.float32(1.0 / thickest**1.01)
    cost = inner.copy()
    if p.pdrf_exponent == 4:  # kimimaro squares repeatedly, which rounds otherwise than a power does
        cost *= cost
        cost *= cost
    else:
        np.power(inner, p.pdrf_exponent, out=cost)
    cost *= np.float32(p.pdrf_scale)
    farthest = along.max()
    return cost + along * np.float32(1.0 / farthest) if farthest > 0 else cost


def face_targets(zyx: NDArray[np.int32], shape_zyx: Triple, size_zyx: NDArray[np.float32]) -> list[int]:
    """Where a component leaves the volume: for each section of it with a face, the voxel (its place in ``zyx``)
    deepest inside that section, so that the skeleton ends there and not in a corner."""
    found: dict[tuple[int, int, int], int] = {}
    for axis in range(3):
        for face in (0, shape_zyx[axis] - 1):
            here = np.flatnonzero(zyx[:, axis] == face)
            if len(here):
                plane = [a for a in range(3) if a != axis]
                extent = np.asarray(shape_zyx)[plane]
                for i in _section_centres(zyx[here][:, plane], size_zyx[plane], extent):
                    z, y, x = (int(v) for v in zyx[here[i]])
                    found[x, y, z] = int(here[i])
    # kimimaro takes its root from the end of a set of (x, y, z) that it fills one by one; CPython's order of such a
    # set depends on nothing else, so the same root comes out here.
    unordered = set()
    for xyz in found:
        unordered.add(xyz)
    return [found[xyz] for xyz in unordered]


def _section_centres(yx: NDArray[np.int32], size_yx: NDArray[np.float32], extent_yx: NDArray[np.int64]) -> list[int]:
    """For each connected piece of a plane's pixels the one deepest inside; of equals the one nearest to the piece's
    centroid, then to the plane's centre."""
    low = yx.min(axis=0) - 1
    place = yx - low
    plane = np.zeros(tuple(place.max(axis=0) + 2), np.bool_)
    plane[tuple(place.T)] = True
    piece, n = ndimage.label(plane, np.ones((3, 3)))
    depth = ndimage.distance_transform_edt(plane, sampling=size_yx)[tuple(place.T)]
    piece = piece[tuple(place.T)]
    centres = []
    for s in range(1, n + 1):
        inside = np.flatnonzero(piece == s)
        deepest = inside[depth[inside] >= depth[inside].max() * (1 - 1e-6)]
        centroid = yx[inside].mean(axis=0)
        centroid = np.floor(centroid + (centroid < extent_yx / 2))  # a pixel, rounded towards the plane's centre
        off_piece = np.square((yx[deepest] - centroid) * size_yx).sum(axis=1)
        off_plane = np.square((yx[deepest] - extent_yx / 2) * size_yx).sum(axis=1)
        centres.append(int(deepest[np.lexsort((off_plane, off_piece))[0]]))
    return centres
