"""Likely splits and mergers with the correction that each proposes, ranked, for people to decide."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from axonem_eval.diagnosis import Diagnosis, diagnose
from axonem_eval.skeletons import SkeletonGraph
from axonem_eval.spec import Triple
from axonem_eval.volumes import LabelVolume, open_labels, read_small
from axonem_eval.workshop.contacts import Contacts
from axonem_eval.workshop.decisions import KINDS, MERGER, SPLIT, Correction, Cut
from axonem_eval.workshop.fragments import find_fragments
from axonem_eval.workshop.merger_candidates import MergerPlaces, merger_places
from axonem_eval.workshop.split_candidates import touching_pairs

# Of each kind so many are kept.
MOST = 2000
# A voxel of a segment is looked for so far from where it touches the other, first nearby.
NEAR_NM = (80.0, 250.0, 700.0)
# A plane acts so far around the middle of a face, and over twice the deviation of its voxels more.
CUT_RADIUS_NM = 300.0
# Of each side of a cut so many voxels are named, at least so far from the plane where there are such.
ANCHORS, CLEAR_NM = 2, 100.0
# The same at a crossing, and over half of a bridge or shared stretch more.
CROSSING_RADIUS_NM = 1200.0
# Points on each arm of a crossing that the plane is to part.
_POINTS = np.linspace(0.2, 1.0, 5)


@dataclass(frozen=True)
class Candidate:
    """A likely error.

    score : 0 to 1, of the place alone.   ranked_by : score / k, the k-th best of its segment.
    gain : score times the size of what is joined or parted: um2 of the smaller segment's surface, um of the shorter
        line. Compare it within one kind only.
    """

    correction: Correction
    score: float
    ranked_by: float
    gain: float


@dataclass(frozen=True)
class OpenEnd:
    """An end of a long segment inside the volume, for which no correction is known."""

    segment: int
    length_um: float
    at_zyx: Triple


def find_candidates(
    path: str | Path, graph: SkeletonGraph, contacts: Contacts, *, dataset: str | None = None, most: int = MOST
) -> list[Candidate]:
    """Likely splits and mergers of the labels in ``path``, the best of each kind first, at most so many of each.

    graph : skeletons of all segments, with radii.   contacts : of the same labels.
    """
    with open_labels(path, dataset) as volume:
        return [*_splits(volume, graph, contacts, most), *_mergers(volume, graph, most)]


def _splits(volume: LabelVolume, graph: SkeletonGraph, contacts: Contacts, most: int) -> list[Candidate]:
    found = touching_pairs(graph, contacts)
    size = np.asarray(graph.voxel_size_nm_zyx)
    rows, seen = [], set()
    for i, patch in enumerate(found.patch.tolist()):  # one for each pair of segments: joined once, they are joined
        pair = int(contacts.first[patch]), int(contacts.second[patch])
        if pair not in seen:
            seen.add(pair)
            rows.append((i, patch, pair))
    # The first of either order.
    large = sorted(rows, key=lambda row: -found.score[row[0]] * found.surface_um2[row[0]])[:most]
    rows = sorted({*rows[:most], *large})
    sides: dict[int, list[tuple[Triple, ...]]] = {}
    chunk = (contacts.centre_nm_zyx // (size * volume.chunk_shape_zyx)).astype(np.int64)
    for i, patch, pair in sorted(rows, key=lambda row: chunk[row[1]].tolist()):
        # Chunk after chunk, so that neighbours find theirs decoded.
        voxels = [_voxel_near(volume, label, contacts.centre_nm_zyx[patch], size) for label in pair]
        sides[i] = [(voxel,) for voxel in voxels if voxel is not None]
    return [
        Candidate(
            Correction(SPLIT, pair, sides[i][0], sides[i][1]),
            float(found.score[i]),
            float(found.ranked_by[i]),
            float(found.score[i] * found.surface_um2[i]),
        )
        for i, _, pair in rows
        if len(sides[i]) == 2
    ]


def _voxel_near(
    volume: LabelVolume, label: int, place_nm: NDArray[np.float64], size_nm: NDArray[np.float64]
) -> Triple | None:
    """A voxel of a label near a place, the nearest in the first box that has one; None if there is none."""
    for near_nm in NEAR_NM:
        reach = np.ceil(near_nm / size_nm)
        low = np.maximum(place_nm // size_nm - reach, 0).astype(np.int64)
        high = np.minimum(place_nm // size_nm + reach + 1, volume.shape_zyx).astype(np.int64)
        z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        labels = read_small(volume, (z, y, x), (1, 1, 1))
        there = np.argwhere(labels == labels.dtype.type(label)) + low
        if len(there):
            return _triple(there[np.square((there + 0.5) * size_nm - place_nm).sum(axis=1).argmin()])
    return None


def _mergers(volume: LabelVolume, graph: SkeletonGraph, most: int) -> list[Candidate]:
    """Grooves and crossings in turn, two of the first to one of the second: they name different mergers."""
    grooves = _grooves(graph, merger_places(graph, find_fragments(volume, graph), most))
    crossings = _crossings(diagnose(graph), most)
    turn = [*((i // 2, 0, c) for i, c in enumerate(grooves)), *((i, 1, c) for i, c in enumerate(crossings))]
    listed = {c.correction.name: c for _, _, c in sorted(turn, key=lambda of: of[:2])}
    return list(listed.values())[:most]


def _grooves(graph: SkeletonGraph, places: MergerPlaces) -> list[Candidate]:
    candidates = []
    for i, (skeleton, (one, other)) in enumerate(zip(places.skeleton.tolist(), places.nodes, strict=True)):
        centre, normal = places.centre_nm_zyx[i], places.normal[i]
        sides = [_anchors(graph, one, centre, -normal), _anchors(graph, other, centre, normal)]
        if set(sides[0]) & set(sides[1]):
            continue  # a voxel of the skeletons may lie in both: nothing tells them apart
        at = np.clip(centre // graph.voxel_size_nm_zyx, 0, np.asarray(graph.shape_zyx) - 1)
        z, y, x = normal.tolist()
        cut = Cut(_triple(at), (z, y, x), CUT_RADIUS_NM + 2 * float(places.width_nm[i]))
        correction = Correction(MERGER, (int(graph.skeleton_id[skeleton]),), sides[0], sides[1], cut)
        score = float(places.score[i])
        gain = score * float(places.shorter_nm[i]) / 1000.0
        candidates.append(Candidate(correction, score, float(places.ranked_by[i]), gain))
    return candidates


def _anchors(
    graph: SkeletonGraph, nodes: NDArray[np.int64], centre_nm: NDArray[np.float64], outward: NDArray[np.float64]
) -> tuple[Triple, ...]:
    """Voxels of one side of a cut: at most ``ANCHORS`` of its nodes beyond the plane, from one end to the other."""
    away = graph.centre_nm_zyx(nodes) - centre_nm
    beyond = away @ outward
    clear = beyond > min(CLEAR_NM, float(beyond.max()) / 2)
    nodes, away = (nodes[clear], away[clear]) if clear.any() else (nodes[[beyond.argmax()]], away[[beyond.argmax()]])
    _, _, main = np.linalg.svd(away - away.mean(axis=0), full_matrices=False)
    order = np.argsort(away @ main[0], kind="stable")
    chosen = np.unique(np.linspace(0, len(order) - 1, ANCHORS).round().astype(np.int64))
    return tuple(dict.fromkeys(_triple(voxel) for voxel in graph.node_voxel_zyx[nodes[order[chosen]]]))


def _crossings(diagnosis: Diagnosis, most: int) -> list[Candidate]:
    found, graph = diagnosis.mergers, diagnosis.graph
    candidates = []
    for i in range(min(most, len(found.node))):
        to = graph.node_voxel_zyx[found.line_to[i]]
        sides = [tuple(_triple(voxel) for voxel in to[arms]) for arms in (slice(0, 2), slice(2, 4))]
        if set(sides[0]) & set(sides[1]):
            continue  # both lines end on one voxel: nothing tells them apart
        cut = _plane(graph, int(found.node[i]), found.line_from[i], found.line_to[i], float(found.spread_nm[i]))
        segment = int(graph.skeleton_id[graph.node_skeleton[found.node[i]]])
        correction = Correction(MERGER, (segment,), sides[0], sides[1], cut)
        score, shorter_um = float(found.score[i]), float(found.shorter_nm[i]) / 1000.0
        candidates.append(Candidate(correction, score, float(found.ranked_by[i]), score * shorter_um))
    return candidates


def _plane(
    graph: SkeletonGraph, node: int, line_from: NDArray[np.int32], line_to: NDArray[np.int32], spread_nm: float
) -> Cut:
    """The plane that best parts two lines: Fisher's linear discriminant of points on their arms."""
    begin, end = graph.centre_nm_zyx(line_from), graph.centre_nm_zyx(line_to)
    points = begin[:, None] + (end - begin)[:, None] * _POINTS[None, :, None]
    one, other = points[:2].reshape(-1, 3), points[2:].reshape(-1, 3)
    size = np.asarray(graph.voxel_size_nm_zyx)
    # Lines are no finer than voxels: without this, points in one plane would have no inverse.
    within = np.cov(one.T) + np.cov(other.T) + np.diag(size**2)
    normal = np.linalg.solve(within, one.mean(axis=0) - other.mean(axis=0))
    length = np.linalg.norm(normal)
    normal = normal / length if length else np.array([1.0, 0.0, 0.0])
    middle = graph.centre_nm_zyx(node)
    between = (one.mean(axis=0) + other.mean(axis=0)) / 2
    at = middle + normal * ((between - middle) @ normal)
    voxel = np.clip(np.floor(at / size), 0, np.asarray(graph.shape_zyx) - 1)
    return Cut(
        _triple(voxel), (float(normal[0]), float(normal[1]), float(normal[2])), CROSSING_RADIUS_NM + spread_nm / 2
    )


def open_ends(graph: SkeletonGraph, most: int = MOST) -> list[OpenEnd]:
    """Ends inside the volume, those of the longest segments first."""
    diagnosis = diagnose(graph)
    owner = graph.node_skeleton[diagnosis.ends.node]
    order = np.lexsort((diagnosis.ends.node, -diagnosis.length_nm[owner]))[:most]
    return [
        OpenEnd(
            int(graph.skeleton_id[owner[i]]),
            float(diagnosis.length_nm[owner[i]]) / 1000.0,
            _triple(graph.node_voxel_zyx[diagnosis.ends.node[i]]),
        )
        for i in order.tolist()
    ]


def of_kind(candidates: Sequence[Candidate], kind: str, order: str = "likely") -> list[Candidate]:
    """Candidates of one of KINDS; likely: as they were ranked; gain: the largest gain first."""
    assert kind in KINDS
    found = [c for c in candidates if c.correction.kind == kind]
    return sorted(found, key=lambda c: -c.gain) if order == "gain" else found


def _triple(values: NDArray[np.generic]) -> Triple:
    z, y, x = (int(v) for v in values.tolist())
    return z, y, x
