"""Likely mergers: places where one segment looks like two that touch, ranked.

The fragments of a segment (``find_fragments``) are joined again, one pair after the other, those first that look most
like one axon: no groove runs around the face between them, the face is as large as their cross-section, and they follow
each other along it. So each join is a possible cut, between all that lies on its one side so far and all on its other.
At a merger a groove goes round the face, both sides are long, and the axons go on beside it.
"""

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from axonem_eval.diagnosis import mutually_best, rank_in_segment
from axonem_eval.skeletons import SkeletonGraph, arms_of, sum_by
from axonem_eval.workshop.fragments import (
    ALONG,
    AREA,
    NORMAL,
    PLACE,
    RIM,
    RIM_FACES,
    Fragments,
    sums_of_pairs,
)

# Two fragments are joined the earlier, the lower their groove is less so much for the logarithm of the face by the
# cross-section, and for the share along the axon. Chosen on planted mergers (benchmarks/scorer/bench_workshop.py).
FACE_COUNTS, ALONG_COUNTS = 0.1, 0.1
# Shorter sides are spines and bumps.
LEAST_CABLE_NM = 1000.0
# Skeletons within this distance of a face tell how both sides go on there.
REACH_NM = 1500.0
# An end nearer to a face of the volume leaves through it.
FACE_MARGIN_NM = 300.0
# Keeps a logarithm of an arm's length finite.
_ARM_NM = 100.0

# Weights of a logistic regression on mergers planted in another part of the cortex, by the name of the feature: the
# groove, the face, the cable of the shorter side, the third longest of the four arms, and how often a side leaves.
WEIGHTS = {"rim": 10.9, "area_log": -0.8, "cable_log": 0.45, "third_arm_log": 0.45, "exits_most": 0.2}
BIAS = -7.1


@dataclass(frozen=True)
class Joins:
    """k joins of fragments, in their order. The two sides of each are columns 0 and 1.

    place : (n,) int64, of each fragment in an order in which each side of each join is one stretch.
    start, stop : (k, 2) int64, those stretches.
    sums : (k, 16), of all touches between both sides, as ``Fragments.sums``.
    cable_nm, voxels, radius_nm : (k, 2), of the sides.
    """

    place: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    sums: NDArray[np.float64]
    cable_nm: NDArray[np.float64]
    voxels: NDArray[np.float64]
    radius_nm: NDArray[np.float64]


@dataclass(frozen=True)
class MergerPlaces:
    """n possible cuts, ranked.

    skeleton : (n,) row of the segment.   centre_nm_zyx, normal : (n, 3), of the face, from side 0 to side 1.
    width_nm : (n,) deviation of the face's voxels from its centre.
    nodes : of each side of each place, nodes of the skeleton near the face.
    shorter_nm : (n,) cable of the shorter side.   score, ranked_by : (n,), as of splits.
    """

    skeleton: NDArray[np.int64]
    centre_nm_zyx: NDArray[np.float64]
    normal: NDArray[np.float64]
    width_nm: NDArray[np.float64]
    nodes: list[tuple[NDArray[np.int64], NDArray[np.int64]]]
    shorter_nm: NDArray[np.float64]
    score: NDArray[np.float64]
    ranked_by: NDArray[np.float64]


def join_fragments(fragments: Fragments, cable_nm: NDArray[np.float64]) -> Joins:
    """Join all fragments of each segment. cable_nm : (n,) of the skeleton in each fragment."""
    n = len(fragments.voxels)
    first, second, sums = fragments.first, fragments.second, fragments.sums
    cable, voxels, radius = cable_nm.copy(), fragments.voxels.copy(), fragments.radius_nm.copy()
    found = [(np.empty((0, 2), np.int64), sums[:0], *(np.empty((0, 2)) for _ in range(3)))]
    while len(first):
        order = np.lexsort((first * n + second, _groove(sums, np.minimum(radius[first], radius[second]))))
        first, second, sums = first[order], second[order], sums[order]
        best = mutually_best(first, second, n)
        pair = np.stack([first[best], second[best]], axis=1)
        found.append((pair, sums[best], cable[pair], voxels[pair], radius[pair]))
        kept, gone = pair.T
        cable[kept] += cable[gone]
        voxels[kept] += voxels[gone]
        radius[kept] = np.maximum(radius[kept], radius[gone])
        to = np.arange(n)
        to[gone] = kept
        first, second, sums = sums_of_pairs(to[first], to[second], sums, n)
    pair, sums, cable, voxels, radius = (np.concatenate(column) for column in zip(*found, strict=True))
    place, start, stop = _stretches(n, pair)
    return Joins(place, start, stop, sums, cable, voxels, radius)


def _rim(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean share of the segment around the edge of a face: one half or less on an axon, more in a groove."""
    return np.where(sums[:, RIM_FACES] > 0, sums[:, RIM] / np.maximum(sums[:, RIM_FACES], 1.0), 0.5)


def _groove(sums: NDArray[np.float64], radius_nm: NDArray[np.float64]) -> NDArray[np.float64]:
    """How little two sides look like one axon."""
    face = np.log(sums[:, AREA] / (np.pi * radius_nm**2 + 1.0))
    found: NDArray[np.float64] = _rim(sums) - FACE_COUNTS * face - ALONG_COUNTS * sums[:, ALONG] / sums[:, AREA]
    return found


@numba.njit(nogil=True, cache=True)
def _stretches(n, pair):  # type: ignore[no-untyped-def]
    """An order of n fragments in which both sides of each join are one stretch each; start and stop of the stretches.

    The side that is kept comes first, and its name is that of its first fragment.
    """
    last, after = np.arange(n), np.full(n, -1, np.int64)
    count, follows = np.ones(n, np.int64), np.zeros(n, np.bool_)
    length = np.empty((len(pair), 2), np.int64)
    for k in range(len(pair)):
        a, b = pair[k, 0], pair[k, 1]
        length[k, 0], length[k, 1] = count[a], count[b]
        after[last[a]], follows[b] = b, True
        last[a] = last[b]
        count[a] += count[b]
    place, top = np.empty(n, np.int64), 0
    for first in range(n):
        i = -1 if follows[first] else first
        while i >= 0:
            place[i] = top
            top += 1
            i = after[i]
    start = np.empty((len(pair), 2), np.int64)
    for k in range(len(pair)):
        start[k, 0], start[k, 1] = place[pair[k, 0]], place[pair[k, 1]]
    return place, start, start + length


def merger_places(graph: SkeletonGraph, fragments: Fragments, most: int) -> MergerPlaces:
    """The most likely mergers, at most so many. graph : the skeletons that the fragments' nodes are of."""
    joins, row, near = possible_cuts(graph, fragments)
    score = _weighted(features(graph, fragments, joins, row, near))
    skeleton = _skeletons(graph, near, len(row))
    order = np.argsort(-score, kind="stable")
    _, of_segment = np.unique(skeleton[order], return_inverse=True)
    # A glial cell has many grooves, so its later places count less; an axon may be in several mergers.
    ranked_by = score[order] / np.sqrt(rank_in_segment(of_segment.reshape(-1).astype(np.int32)))
    again = np.argsort(-ranked_by, kind="stable")[:most]
    order, ranked_by = order[again], ranked_by[again]
    sums = joins.sums[row[order]]
    centre = sums[:, PLACE] / sums[:, [AREA]]
    spread = sums[:, [10, 13, 15]].sum(axis=1) / sums[:, AREA] - np.square(centre).sum(axis=1)
    return MergerPlaces(
        skeleton[order],
        centre,
        sums[:, NORMAL] / np.maximum(np.linalg.norm(sums[:, NORMAL], axis=1, keepdims=True), 1e-9),
        np.sqrt(np.maximum(spread, 0.0)),
        [near.nodes_of(int(i)) for i in order],
        joins.cable_nm[row[order]].min(axis=1),
        score[order],
        ranked_by,
    )


@dataclass(frozen=True)
class Near:
    """Nodes within ``REACH_NM`` of n places, and those of both sides there; one row each, place after place.

    of : (k,) 2 x place + side.   node : (k,).   from_nm : (k, 3) from the place.   cable_nm : (k,).
    """

    of: NDArray[np.int64]
    node: NDArray[np.int64]
    from_nm: NDArray[np.float64]
    cable_nm: NDArray[np.float64]

    def nodes_of(self, place: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Nodes of both sides of a place."""
        a, b, c = np.searchsorted(self.of, [2 * place, 2 * place + 1, 2 * place + 2]).tolist()
        return self.node[a:b], self.node[b:c]


def possible_cuts(graph: SkeletonGraph, fragments: Fragments) -> tuple[Joins, NDArray[np.intp], Near]:
    """All joins; rows of those with ``LEAST_CABLE_NM`` on both sides; and the nodes near them."""
    of_node = np.zeros(graph.n_nodes)
    for ends in (graph.edge_u, graph.edge_v):
        of_node += sum_by(ends, graph.edge_length_nm / 2, graph.n_nodes)
    known = np.flatnonzero(fragments.node >= 0)
    joins = join_fragments(fragments, sum_by(fragments.node[known], of_node[known], len(fragments.voxels)))
    row = np.flatnonzero(joins.cable_nm.min(axis=1, initial=np.inf) >= LEAST_CABLE_NM)
    centre = joins.sums[row, PLACE] / joins.sums[row][:, [AREA]]
    place = graph.centre_nm_zyx()
    if not len(row) or not len(known):
        none = np.empty(0, np.int64)
        return joins, row[:0], Near(none, none, np.empty((0, 3)), np.empty(0))
    ball = cKDTree(place[known]).query_ball_point(centre, REACH_NM)
    of = np.repeat(np.arange(len(row)), [len(nodes) for nodes in ball])
    node = known[np.concatenate(ball).astype(np.int64)]
    at = joins.place[fragments.node[node]]
    parts = []
    for side in (0, 1):
        inside = (at >= joins.start[row[of], side]) & (at < joins.stop[row[of], side])
        parts.append((2 * of[inside] + side, node[inside]))
    of, node = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((node, of))
    of, node = of[order], node[order]
    # Sides without a node near the face cannot be told apart there.
    both = np.bincount(of, minlength=2 * len(row)).reshape(-1, 2).min(axis=1) > 0
    keep = both[of // 2]
    of = 2 * (np.cumsum(both) - 1)[of[keep] // 2] + of[keep] % 2
    node, row = node[keep], row[both]
    return joins, row, Near(of, node, place[node] - centre[both][of // 2], of_node[node])


def _skeletons(graph: SkeletonGraph, near: Near, n: int) -> NDArray[np.int64]:
    found = np.zeros(n, np.int64)
    found[near.of // 2] = graph.node_skeleton[near.node]
    return found


def features(
    graph: SkeletonGraph, fragments: Fragments, joins: Joins, row: NDArray[np.intp], near: Near
) -> dict[str, NDArray[np.float64]]:
    """Features of possible cuts by name."""
    sums, radius = joins.sums[row], joins.radius_nm[row].min(axis=1)
    arms = np.sort(_arms_nm(near, len(row)).reshape(-1, 4), axis=1)
    place = graph.centre_nm_zyx()
    extent = np.asarray(graph.shape_zyx) * np.asarray(graph.voxel_size_nm_zyx)
    leaves = (arms_of(graph).degree == 1) & (np.minimum(place, extent - place).min(axis=1) < FACE_MARGIN_NM)
    leaves &= fragments.node >= 0
    at = np.bincount(joins.place[fragments.node[leaves]], minlength=len(fragments.voxels))
    before = np.append(0, np.cumsum(at))
    exits = np.minimum(before[joins.stop[row]] - before[joins.start[row]], 2)
    return {
        "rim": _rim(sums),
        "area_log": np.log(sums[:, AREA]),
        "section_log": np.log(sums[:, AREA] / radius**2),
        "radius_log": np.log(radius),
        "along": sums[:, ALONG] / sums[:, AREA],
        "cable_log": np.log(joins.cable_nm[row].min(axis=1)),
        "voxels_log": np.log(joins.voxels[row].min(axis=1)),
        "near_log": np.log(_ARM_NM + np.minimum(arms[:, 0] + arms[:, 1], arms[:, 2] + arms[:, 3])),
        "third_arm_log": np.log(_ARM_NM + arms[:, 1]),
        "fourth_arm_log": np.log(_ARM_NM + arms[:, 0]),
        "exits_least": exits.min(axis=1).astype(np.float64),
        "exits_most": exits.max(axis=1).astype(np.float64),
    }


def _arms_nm(near: Near, n: int) -> NDArray[np.float64]:
    """(2 n, 2) cable near a place on both sides of it, along the main direction of each of its two parts."""
    total = sum_by(near.of, near.cable_nm, 2 * n)
    weight = near.cable_nm / np.maximum(total, 1e-9)[near.of]
    mean = np.stack([sum_by(near.of, weight * near.from_nm[:, k], 2 * n) for k in range(3)], axis=1)
    off = near.from_nm - mean[near.of]
    spread = np.empty((2 * n, 3, 3))
    for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)):
        spread[:, i, j] = spread[:, j, i] = sum_by(near.of, weight * off[:, i] * off[:, j], 2 * n)
    along = np.linalg.eigh(spread)[1][:, :, -1]
    ahead = (near.from_nm * along[near.of]).sum(axis=1) > 0
    return np.stack([sum_by(near.of, near.cable_nm * (ahead == way), 2 * n) for way in (True, False)], axis=1)


def _weighted(found: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    total = BIAS + sum(weight * found[name] for name, weight in WEIGHTS.items())
    score: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(total, -50, 50)))
    return score
