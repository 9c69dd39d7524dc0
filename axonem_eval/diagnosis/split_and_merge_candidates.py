"""Places in skeletons that look wrong by their shape alone: ends that face one another, and crossings.

An axon that ends inside the volume with another beginning close by, in line with it, was probably split. Two straight
lines that share a skeleton probably belong to two axons that were merged: axons branch in Y, hardly ever in X.

Lists are ranked by score / k, where the place is the k-th best of its segment: glia end and branch everywhere and would
otherwise fill the lists.
"""

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from axonem_eval.skeletons import Arms, SkeletonGraph

MOST_ARMS = 12


@dataclass(frozen=True)
class EndPoints:
    """Nodes of degree 1 inside the volume.

    node : (n,) int32.   outward : (n, 3) float64, unit vector z,y,x along the last stretch, out of the end.
    base_nm : (n, 3) float64, where that stretch begins.
    """

    node: NDArray[np.int32]
    outward: NDArray[np.float64]
    base_nm: NDArray[np.float64]


@dataclass(frozen=True)
class FacingEnds:
    """Pairs of end points of two skeletons, ranked.

    first, second : (n,) index into the end points.   distance_nm : (n,) between the two nodes.
    bend_degrees : (n,) the larger of the two angles between an end's direction and the line that joins both stretches.
    score : (n,) 0 to 1: in line and close.
    ranked_by : (n,) score / k, falling.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    distance_nm: NDArray[np.float64]
    bend_degrees: NDArray[np.float64]
    score: NDArray[np.float64]
    ranked_by: NDArray[np.float64]


KINDS = ("crossing", "bridge", "shared stretch")


@dataclass(frozen=True)
class Crossings:
    """Places where two straight lines share a skeleton, ranked.

    kind : (n,) uint8, index into KINDS: four arms at one node; two lines side by side with a bridge between; two lines
        that run together for a while.
    node : (n,) int32, where they meet, or the middle of bridge or stretch.   spread_nm : (n,) its length, or 0.
    bend_degrees : (n,) by how much the less straight of the two lines bends.
    shorter_nm : (n,) cable of the line with less: what at most is joined to the wrong axon.
    line_from, line_to : (n, 4) int32, nodes at which the four arms begin, and to which their directions were taken;
        the first two arms make one line, the other two the other.
    score : (n,) 0 to 1, the cosine of the bend.
    ranked_by : (n,) score / k, falling.
    """

    kind: NDArray[np.uint8]
    node: NDArray[np.int32]
    spread_nm: NDArray[np.float64]
    bend_degrees: NDArray[np.float64]
    shorter_nm: NDArray[np.float64]
    line_from: NDArray[np.int32]
    line_to: NDArray[np.int32]
    score: NDArray[np.float64]
    ranked_by: NDArray[np.float64]


def end_points(graph: SkeletonGraph, arms: Arms, margin_nm: float, direction_nm: float) -> EndPoints:
    """End points farther than ``margin_nm`` from every face of the volume; directions over ``direction_nm``."""
    place = graph.centre_nm_zyx()
    extent = np.asarray(graph.shape_zyx) * np.asarray(graph.voxel_size_nm_zyx)
    to_face = np.minimum(place, extent - place).min(axis=1)
    node = np.flatnonzero((arms.degree == 1) & (to_face > margin_nm)).astype(np.int32)
    inner, _ = arms.walk(arms.start[node], direction_nm)
    return EndPoints(node, _unit(place[node] - place[inner]), place[inner])


def facing_ends(graph: SkeletonGraph, ends: EndPoints, reach_nm: float, max_bend_degrees: float) -> FacingEnds:
    """Pairs of ends of two skeletons within reach that point at one another. A pair is kept only if each end is the
    other's best partner."""
    place = graph.centre_nm_zyx(ends.node)
    pair = cKDTree(place).query_pairs(reach_nm, output_type="ndarray") if len(place) else np.empty((0, 2), np.intp)
    skeleton = graph.node_skeleton[ends.node]
    pair = pair[skeleton[pair[:, 0]] != skeleton[pair[:, 1]]]
    a, b = pair[:, 0], pair[:, 1]
    # From base to base: between the ends themselves, which lie anywhere in the cut, the direction is chance.
    line = _unit(ends.base_nm[b] - ends.base_nm[a])
    straight_a = (ends.outward[a] * line).sum(axis=1)
    straight_b = -(ends.outward[b] * line).sum(axis=1)
    distance = np.linalg.norm(place[b] - place[a], axis=1)
    worse = np.minimum(straight_a, straight_b)
    score = np.clip(straight_a, 0, 1) * np.clip(straight_b, 0, 1) * (1 - distance / reach_nm)
    keep = np.flatnonzero((worse >= np.cos(np.radians(max_bend_degrees))) & (score > 0))
    keep = keep[np.argsort(-score[keep], kind="stable")]
    keep = keep[mutually_best(a[keep], b[keep], len(place))]
    rank = np.maximum(rank_in_segment(skeleton[a[keep]]), rank_in_segment(skeleton[b[keep]]))
    ranked_by = score[keep] / rank
    order = np.argsort(-ranked_by, kind="stable")
    keep = keep[order]
    bend = np.degrees(np.arccos(np.clip(worse[keep], -1, 1)))
    return FacingEnds(a[keep], b[keep], distance[keep], bend, score[keep], ranked_by[order])


def rank_in_segment(segment: NDArray[np.int32]) -> NDArray[np.int64]:
    """(n,) 1-based rank of each row within its segment."""
    order = np.argsort(segment, kind="stable")
    first = np.flatnonzero(np.diff(segment[order], prepend=-1))
    rank = np.empty(len(segment), np.int64)
    rank[order] = np.arange(1, len(segment) + 1) - np.repeat(first, np.diff(np.append(first, len(segment))))
    return rank


def mutually_best(a: NDArray[np.integer], b: NDArray[np.integer], n: int) -> NDArray[np.bool_]:
    """(pairs,) of pairs of ends sorted best first, those that come first for both. a, b : (pairs,) ends below ``n``."""
    first = np.full(n, len(a), np.int64)
    rank = np.arange(len(a))
    np.minimum.at(first, a, rank)
    np.minimum.at(first, b, rank)
    mutual: NDArray[np.bool_] = (first[a] == rank) & (first[b] == rank)
    return mutual


def crossings(
    graph: SkeletonGraph, arms: Arms, spread_nm: float, direction_nm: float, max_bend_degrees: float
) -> Crossings:
    """Places where two straight lines share a skeleton.

    Such a place is one node with four arms, or two nodes with three arms each, at most ``spread_nm`` apart along the
    skeleton. Its four arms make two lines. Each line bends by at most ``max_bend_degrees``, measured over the first
    ``direction_nm`` of its arms. ``graph`` should have no short terminal branches, because each branch is an arm.
    """
    least = float(np.cos(np.radians(max_bend_degrees)))
    place, beyond = graph.centre_nm_zyx(), arms.cable_beyond()
    found = [_at_one_node(arms, place, direction_nm, least), _at_two_nodes(arms, place, spread_nm, direction_nm, least)]
    kind, node, spread, score, line = (np.concatenate(columns) for columns in zip(*found, strict=True))
    shorter = np.minimum(beyond[line[:, :2]].sum(axis=1), beyond[line[:, 2:]].sum(axis=1))
    order = np.lexsort((-shorter, -score))
    ranked_by = score[order] / rank_in_segment(graph.node_skeleton[node[order]])
    again = np.argsort(-ranked_by, kind="stable")
    order = order[again]
    return Crossings(
        kind=kind[order].astype(np.uint8),
        node=node[order].astype(np.int32),
        spread_nm=spread[order],
        bend_degrees=np.degrees(np.arccos(np.clip(score[order], -1, 1))),
        shorter_nm=shorter[order],
        line_from=arms.origin[line[order]],
        line_to=arms.walk(line[order].ravel(), direction_nm)[0].reshape(-1, 4),
        score=score[order],
        ranked_by=ranked_by[again],
    )


# kind, node, spread_nm, score and the four arms, those of one line first
_Found = tuple[NDArray[Any], NDArray[Any], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]


def _directions(arms: Arms, place: NDArray[np.float64], arm: NDArray[np.int64], direction_nm: float) -> NDArray[Any]:
    """Unit vectors along arms, of the same shape with z,y,x added."""
    far, _ = arms.walk(arm.ravel(), direction_nm)
    return _unit(place[far] - place[arms.origin[arm.ravel()]]).reshape(*arm.shape, 3)


def _at_one_node(arms: Arms, place: NDArray[np.float64], direction_nm: float, least: float) -> _Found:
    node = np.flatnonzero(arms.degree >= 4)
    arm = np.flatnonzero(arms.degree[arms.origin] >= 4)
    bound = np.append(0, np.cumsum(arms.degree[node]))
    best, score = _two_lines(_directions(arms, place, arm, direction_nm), bound, least)
    has = best[:, 0] >= 0
    line = arm[bound[:-1][has, None] + best[has]]
    return np.zeros(has.sum()), node[has], np.zeros(has.sum()), score[has], line


def _at_two_nodes(
    arms: Arms, place: NDArray[np.float64], spread_nm: float, direction_nm: float, least: float
) -> _Found:
    stem = np.flatnonzero(arms.degree[arms.origin] == 3)
    there, gone = arms.walk(stem, spread_nm)
    keep = (arms.degree[there] == 3) & (gone <= spread_nm) & (there != arms.origin[stem])
    stem, there, gone = stem[keep], there[keep], gone[keep]
    # Each stem was walked from both its ends: sorted either way, the same rows are the two walks of one stem.
    forth = np.lexsort((gone, there, arms.origin[stem]))
    forth = forth[arms.origin[stem][forth] < there[forth]]
    back = np.lexsort((gone, arms.origin[stem], there))
    back = back[there[back] < arms.origin[stem][back]]
    four = np.concatenate([_other_two(arms, stem[forth]), _other_two(arms, stem[back])], axis=1)
    way = _directions(arms, place, four, direction_nm)
    straight = -np.einsum("nid,njd->nij", way, way)
    pairings = np.array([[0, 1, 2, 3], [0, 2, 1, 3], [0, 3, 1, 2]])
    score = np.stack([np.minimum(straight[:, a, b], straight[:, c, d]) for a, b, c, d in pairings])
    best = score.argmax(axis=0) if len(four) else np.empty(0, np.int64)
    top = score.max(axis=0, initial=-1.0)
    has = np.flatnonzero(top >= least)
    middle = np.array([arms.walk(stem[[i]], gone[i] / 2)[0][0] for i in forth[has]], np.int32)
    line = np.take_along_axis(four[has], pairings[best[has]], axis=1)
    return np.where(best[has] == 0, 1, 2), middle, gone[forth[has]], top[has], line


def _other_two(arms: Arms, arm: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n, 2) the other arms of nodes with three."""
    first = arms.start[arms.origin[arm]]
    others: NDArray[np.int64] = first[:, None] + ((arm - first)[:, None] + np.array([1, 2])) % 3
    return others


@numba.njit(nogil=True, cache=True)
def _two_lines(outward, bound, least):  # type: ignore[no-untyped-def]
    """Pair four arms of each node to two lines, so that the less straight line is as straight as possible.

    The arms of node i are bound[i]..bound[i + 1]. Returns (n, 4) int64, the arms of one line and of the other, counted
    from bound[i], -1 where no pairing reaches ``least``; and (n,) the straightness of the less straight line.
    """
    best = np.full((len(bound) - 1, 4), -1, np.int64)
    score = np.full(len(bound) - 1, least)
    for g in range(len(bound) - 1):
        first, n = bound[g], min(bound[g + 1] - bound[g], MOST_ARMS)
        straight = np.empty((n, n))
        for i in range(n):
            for j in range(n):
                straight[i, j] = -(outward[first + i] * outward[first + j]).sum()
        for a in range(n):
            for b in range(a + 1, n):
                for c in range(a + 1, n):
                    for d in range(c + 1, n):
                        less = min(straight[a, b], straight[c, d])
                        if c != b and d != b and less >= score[g]:
                            score[g] = less
                            best[g, 0], best[g, 1], best[g, 2], best[g, 3] = a, b, c, d
    return best, score


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 0, length, 1.0)
