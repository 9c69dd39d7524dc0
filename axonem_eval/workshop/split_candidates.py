"""Likely splits: segments that touch as two parts of one axon touch, ranked.

The diagnosis pairs ends of skeletons that face one another. Here the contact of the labels is the evidence as well: two
parts of an axon touch in one flat patch, as large as the cross-section of both; both come to the patch from opposite
sides, and neither goes on beside it; and around the patch both lie below one smooth surface (``Contacts.rim``). So a
cut is found where no skeleton ends, too, such as next to a branch.
"""

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from axonem_eval.diagnosis import mutually_best, rank_in_segment
from axonem_eval.skeletons import SkeletonGraph, arms_of, sum_by
from axonem_eval.workshop.contacts import Contacts

# Cable around a contact that tells the direction of an axon there.
REACH_NM = 1200.0
# An axon that comes to a patch ends at most so far from it, unless it has no skeleton.
END_NM = 1500.0
# Keeps skeletons apart in one search tree; larger than any volume in nm.
_APART_NM = 1e9

# Weights of a logistic regression on cuts planted in cortex labels (benchmarks/scorer/bench_workshop.py tests them on
# another part of the cortex and on other tissue), by the name of the feature.
WITH_SKELETONS = {
    "one_sided_least": 1.085,
    "one_sided_most": 3.469,
    "straight": 0.218,
    "across": 2.527,
    "radius_ratio": -0.667,
    "end_um": -1.553,
    "area_log": -0.94,
    "depth_log": -11.658,
    "share_log": -0.078,
    "rim": -35.156,
    "section_thin_log": -0.799,
    "section_thick_log": -0.637,
}
WITH_SKELETONS_BIAS = 4.866
# The same for fragments without a skeleton, on over-segmentations with ground truth (gala's examples, SNEMI3D).
FRAGMENTS = {"area_log": 0.301, "depth_log": 2.115, "share_log": 1.529, "least_share_log": 0.456}
FRAGMENTS_BIAS = 4.063
# A fragment wins little, so one that is as likely comes later.
FRAGMENTS_COUNT = 0.5
# No patch is flatter than labels of voxels can tell.
LEAST_DEPTH_NM = 40.0
# Two that both go on beside the patch were not parted there: mean of ``one_sided`` of both, at least.
LEAST_ONE_SIDED = 0.3


@dataclass(frozen=True)
class Side:
    """One segment at each of n patches of contact; nan where it has no skeleton.

    one_sided : (n,) 0 to 1, 1 where the axon ends at the patch, 0 where it goes on as far to both sides.
    outward : (n, 3) unit vector z,y,x along the axon, towards the patch.
    radius_nm : (n,) mean radius within ``REACH_NM``.
    end_nm : (n,) distance from the patch to the next end of the skeleton.
    end_node : (n,) nearest end of the skeleton; -1 without one.
    """

    one_sided: NDArray[np.float64]
    outward: NDArray[np.float64]
    radius_nm: NDArray[np.float64]
    end_nm: NDArray[np.float64]
    end_node: NDArray[np.int64]


class Neighbourhoods:
    """Looks at skeletons around places in nm."""

    def __init__(self, graph: SkeletonGraph) -> None:
        """graph : with radii."""
        self._graph, self._arms, self._place = graph, arms_of(graph), graph.centre_nm_zyx()
        self._nodes = self._tree(np.arange(graph.n_nodes))
        self._end = np.flatnonzero(self._arms.degree <= 1)
        self._ends = self._tree(self._end)
        radius = graph.node_radius_nm
        self._radius = np.zeros(graph.n_nodes) if radius is None else radius.astype(np.float64)

    def _tree(self, node: NDArray[np.intp]) -> cKDTree:
        apart = self._graph.node_skeleton[node] * _APART_NM
        return cKDTree(np.column_stack([self._place[node], apart]))

    def look(self, skeleton: NDArray[np.intp], place_nm: NDArray[np.float64]) -> Side:
        """The skeletons (n,), -1 for none, around places (n, 3) nm."""
        n, has = len(skeleton), np.flatnonzero(skeleton >= 0)
        side = Side(
            np.full(n, np.nan),
            np.full((n, 3), np.nan),
            np.full(n, np.nan),
            np.full(n, np.nan),
            np.full(n, -1, np.int64),
        )
        if not len(has):
            return side
        at = np.column_stack([place_nm[has], skeleton[has] * _APART_NM])
        _, node = self._nodes.query(at)
        end_nm, end = self._ends.query(at)
        place = np.ascontiguousarray(place_nm[has])
        sums = _around(self._arms.start, self._arms.to, self._arms.length_nm, self._place, self._radius, node, place)
        count, mean, radius = sums[:, :1], sums[:, 1:4] / sums[:, :1], sums[:, 10] / sums[:, 0]
        square = sums[:, 4:10] / count
        spread = np.empty((len(has), 3, 3))
        for k, (i, j) in enumerate(((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))):
            spread[:, i, j] = spread[:, j, i] = square[:, k] - mean[:, i] * mean[:, j]
        along = np.ascontiguousarray(np.linalg.eigh(spread)[1][:, :, -1])
        total, both = _projected(
            self._arms.start, self._arms.to, self._arms.length_nm, self._place, node, place, along
        ).T
        side.one_sided[has] = np.abs(total) / np.maximum(both, 1e-9)
        side.outward[has] = along * -np.where(total > 0, 1.0, -1.0)[:, None]
        side.radius_nm[has], side.end_nm[has] = radius, end_nm
        side.end_node[has] = self._end[end]
        return side


@numba.njit(nogil=True, cache=True)
def _reached(start, to, length, first, away, stack):  # type: ignore[no-untyped-def]
    """Nodes within REACH_NM of cable from a node, on the stack; ``away`` is theirs and must be cleared."""
    stack[0], away[first] = first, 0.0
    done, top = 0, 1
    while done < top:
        i = stack[done]
        done += 1
        for arm in range(start[i], start[i + 1]):
            j = to[arm]
            if away[j] < 0 and away[i] + length[arm] <= REACH_NM:
                away[j] = away[i] + length[arm]
                stack[top] = j
                top += 1
    return top


@numba.njit(nogil=True, cache=True)
def _around(start, to, length, place, radius, node, at):  # type: ignore[no-untyped-def]
    """(n, 11) of the nodes around each node: how many, sum of places from ``at`` (3), of squares (6), of radii."""
    out = np.zeros((len(node), 11))
    away, stack = np.full(len(place), -1.0), np.empty(len(place), np.int64)
    for k in range(len(node)):
        top = _reached(start, to, length, node[k], away, stack)
        for i in stack[:top]:
            away[i] = -1.0
            z, y, x = place[i, 0] - at[k, 0], place[i, 1] - at[k, 1], place[i, 2] - at[k, 2]
            for column, value in enumerate((1.0, z, y, x, z * z, z * y, z * x, y * y, y * x, x * x, radius[i])):
                out[k, column] += value
    return out


@numba.njit(nogil=True, cache=True)
def _projected(start, to, length, place, node, at, along):  # type: ignore[no-untyped-def]
    """(n, 2) sum of the projections of the nodes around each node on a direction, and of their absolute values."""
    out = np.zeros((len(node), 2))
    away, stack = np.full(len(place), -1.0), np.empty(len(place), np.int64)
    for k in range(len(node)):
        top = _reached(start, to, length, node[k], away, stack)
        for i in stack[:top]:
            away[i] = -1.0
            p = 0.0
            for a in range(3):
                p += (place[i, a] - at[k, a]) * along[k, a]
            out[k, 0] += p
            out[k, 1] += abs(p)
    return out


@dataclass(frozen=True)
class TouchingPairs:
    """Patches of contact that may be splits, ranked.

    patch : (n,) rows of the contacts.
    score : (n,) 0 to 1, as likely as among the errors that the weights were fitted on; a rank, not a probability.
    ranked_by : (n,) score / k, falling: the place is the k-th best of its segment; half of it for fragments.
    surface_um2 : (n,) contact surface of the smaller of both segments: how much a join would win.
    """

    patch: NDArray[np.intp]
    score: NDArray[np.float64]
    ranked_by: NDArray[np.float64]
    surface_um2: NDArray[np.float64]


def touching_pairs(graph: SkeletonGraph, contacts: Contacts) -> TouchingPairs:
    """Patches where one side ends, or has no skeleton, ranked.

    graph : skeletons of the segments, with radii.   contacts : of the same labels.
    A patch between two skeletons is kept only if it is the best of the ends next to it.
    """
    skeleton = [_skeleton_of(graph, ids) for ids in (contacts.first, contacts.second)]
    around = Neighbourhoods(graph)
    sides = [around.look(of, contacts.centre_nm_zyx) for of in skeleton]
    lacking = (skeleton[0] < 0) | (skeleton[1] < 0)
    patch = np.flatnonzero(lacking | (np.fmin(sides[0].end_nm, sides[1].end_nm) <= END_NM))
    first, second = (_rows(side, patch) for side in sides)
    surface = _surfaces_nm2(contacts)[:, patch]
    features = _features(contacts, patch, first, second, surface)
    with_skeletons = _weighted(features, WITH_SKELETONS, WITH_SKELETONS_BIAS)
    go_on = features["one_sided_least"] + features["one_sided_most"] < 2 * LEAST_ONE_SIDED
    with_skeletons[go_on] = 0.0
    score = np.where(lacking[patch], _weighted(features, FRAGMENTS, FRAGMENTS_BIAS), with_skeletons)
    keep = np.argsort(-score, kind="stable")
    # Places without an end share number 0.
    best = mutually_best(first.end_node[keep] + 1, second.end_node[keep] + 1, graph.n_nodes + 1)
    keep = keep[lacking[patch[keep]] | best]
    first_id, second_id = contacts.first[patch[keep]], contacts.second[patch[keep]]
    _, row = np.unique(np.concatenate([first_id, second_id]), return_inverse=True)
    # One after the other: the place counts among all places of a segment, whichever of the two it is.
    in_turn = row.reshape(2, -1).T.astype(np.int32).reshape(-1)
    rank = rank_in_segment(in_turn).reshape(-1, 2).max(axis=1)
    ranked_by = score[keep] / rank * np.where(lacking[patch[keep]], FRAGMENTS_COUNT, 1.0)
    order = np.argsort(-ranked_by, kind="stable")
    keep = keep[order]
    smaller = surface[:, keep].min(axis=0) / 1e6
    return TouchingPairs(patch[keep], score[keep], ranked_by[order], smaller)


def _surfaces_nm2(contacts: Contacts) -> NDArray[np.float64]:
    """(2, n) contact surface of both segments of each patch, with all that they touch."""
    segment, row = np.unique(np.concatenate([contacts.first, contacts.second]), return_inverse=True)
    surface = sum_by(row.reshape(-1), np.tile(contacts.area_nm2, 2), len(segment))
    found: NDArray[np.float64] = surface[row].reshape(2, -1)
    return found


def _features(
    contacts: Contacts, patch: NDArray[np.intp], first: Side, second: Side, surface_nm2: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Features of patches by name; nan where a side has no skeleton."""
    share = contacts.area_nm2[patch] / surface_nm2
    normal, area = contacts.normal[patch], contacts.area_nm2[patch]
    unit = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    depth = np.maximum(contacts.depth_nm[patch], LEAST_DEPTH_NM)
    thick, thin = (np.maximum(of(first.radius_nm, second.radius_nm), 1.0) for of in (np.fmax, np.fmin))
    return {
        "one_sided_least": np.fmin(first.one_sided, second.one_sided),
        "one_sided_most": np.fmax(first.one_sided, second.one_sided),
        "straight": -(first.outward * second.outward).sum(axis=1),
        "across": np.fmin((first.outward * unit).sum(axis=1), -(second.outward * unit).sum(axis=1)),
        "radius_ratio": np.abs(np.log(np.maximum(first.radius_nm, 1.0) / np.maximum(second.radius_nm, 1.0))),
        "end_um": np.fmin(first.end_nm, second.end_nm) / 1000.0,
        "area_log": np.log(area),
        "depth_log": np.log(depth / np.sqrt(area)),
        "share_log": np.log(share.max(axis=0)),
        "least_share_log": np.log(share.min(axis=0)),
        "rim": contacts.rim[patch],
        "section_thin_log": np.log(area / thin**2),
        "section_thick_log": np.log(area / thick**2),
    }


def _weighted(features: dict[str, NDArray[np.float64]], weights: dict[str, float], bias: float) -> NDArray[np.float64]:
    total = bias + sum(weight * features[name] for name, weight in weights.items())
    found: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(total, -50, 50)))
    return found


def _skeleton_of(graph: SkeletonGraph, ids: NDArray[np.uint64]) -> NDArray[np.intp]:
    if not graph.n_skeletons:
        return np.full(len(ids), -1)
    row = np.minimum(np.searchsorted(graph.skeleton_id, ids), graph.n_skeletons - 1)
    return np.where(graph.skeleton_id[row] == ids, row, -1)


def _rows(side: Side, rows: NDArray[np.intp]) -> Side:
    return Side(*(values[rows] for values in vars(side).values()))
