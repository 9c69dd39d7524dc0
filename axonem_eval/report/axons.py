"""Single axons for the report's pictures: their runs as lengths, their shape in a plane. Public ground truth only."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from axonem_eval.sampling import NodeSample
from axonem_eval.scoring import MERGER, LocatedErrors, RunTable
from axonem_eval.skeletons import SkeletonGraph

MAX_RUNS = 150
N_COLOURS = 6
DRAWING_WIDTH, DRAWING_MARGIN, FOOT = 320, 16, 34
AXES = ("z", "y", "x")


@dataclass(frozen=True)
class AxonRuns:
    """One axon's cable by what became of it; lengths in nm add up to ``length_nm``.

    runs_nm : its runs, longest first, at most MAX_RUNS; ``other_runs_nm`` is the sum of the rest, ``n_runs`` their
        number in all.
    """

    skeleton_id: int
    length_nm: float
    runs_nm: list[float]
    other_runs_nm: float
    n_runs: int
    merged_nm: float
    split_nm: float
    omitted_nm: float


def longest_axons(graph: SkeletonGraph, table: RunTable, tolerance_nodes: float, n: int = 15) -> list[AxonRuns]:
    """The n longest axons, longest first."""
    order = np.argsort(-table.skeleton_length_nm, kind="stable")[:n]
    merger = table.is_merger(tolerance_nodes)
    views = []
    for skeleton in order[table.skeleton_length_nm[order] > 0]:
        rows = slice(*np.searchsorted(table.skeleton, [skeleton, skeleton + 1]))
        struck = merger[rows]
        run = np.sort(table.run_nm[rows][~struck])[::-1]
        run = run[run > 0]
        views.append(
            AxonRuns(
                skeleton_id=int(graph.skeleton_id[skeleton]),
                length_nm=float(table.skeleton_length_nm[skeleton]),
                runs_nm=run[:MAX_RUNS].tolist(),
                other_runs_nm=float(run[MAX_RUNS:].sum()),
                n_runs=len(run),
                merged_nm=float(table.run_nm[rows][struck].sum()),
                split_nm=float(table.split_nm[skeleton]),
                omitted_nm=float(table.omitted_nm[skeleton]),
            )
        )
    return views


@dataclass(frozen=True)
class AxonDrawing:
    """One axon in the plane of its two longest extents, in pixels.

    paths : (class, SVG path data), a class for each kind of edge; neighbouring runs differ in colour.
    marks : (number, x, y) of its worst errors, as ``errors`` lists them.
    scale_bar : length in pixels, and in words.
    """

    skeleton_id: int
    length_nm: float
    width: int
    height: int
    paths: list[tuple[str, str]]
    marks: list[tuple[str, float, float]]
    errors: LocatedErrors
    scale_bar: tuple[float, str]
    description: str


def draw_axon(
    graph: SkeletonGraph,
    sample: NodeSample,
    table: RunTable,
    tolerance_nodes: float,
    errors: LocatedErrors,
    skeleton: int,
    n_errors: int = 5,
) -> AxonDrawing:
    """Project a skeleton and its worst errors; ``errors`` are those of the whole volume."""
    edge = np.flatnonzero(graph.edge_skeleton == skeleton)
    u, v = graph.edge_u[edge], graph.edge_v[edge]
    size = np.asarray(graph.voxel_size_nm_zyx)
    node = np.unique(np.concatenate([u, v]))
    position = graph.node_voxel_zyx[node] * size
    low, extent = position.min(axis=0), np.ptp(position, axis=0)
    down, across = _plane(extent)
    scale = (DRAWING_WIDTH - 2 * DRAWING_MARGIN) / max(extent[across], extent[down], 1.0)

    def place(position_nm: NDArray[np.float64]) -> NDArray[np.float64]:
        # Half pixels are as fine as one can see, and most edges of a long axon then coincide.
        shifted = (position_nm[:, [across, down]] - low[[across, down]]) * scale + DRAWING_MARGIN
        return np.asarray(np.rint(shifted * 2) / 2)

    ends = np.concatenate([place(graph.node_voxel_zyx[u] * size), place(graph.node_voxel_zyx[v] * size)], axis=1)
    class_of = _edge_classes(sample.node_segment[u], sample.node_segment[v], table, tolerance_nodes, skeleton)
    here = errors.rows(np.flatnonzero((errors.skeleton == skeleton) | (errors.other_skeleton == skeleton)))
    worst = here.top(n_errors)
    spots = place(worst.voxel_zyx * size)
    return AxonDrawing(
        skeleton_id=int(graph.skeleton_id[skeleton]),
        length_nm=float(table.skeleton_length_nm[skeleton]),
        width=DRAWING_WIDTH,
        height=int(extent[down] * scale) + 2 * DRAWING_MARGIN + FOOT,
        paths=[(name, _path(ends[class_of == name])) for name in sorted(set(class_of.tolist()), key=_drawing_order)],
        marks=[(str(i + 1), float(x), float(y)) for i, (x, y) in enumerate(spots)],
        errors=worst,
        scale_bar=_scale_bar(scale),
        description=f"Axon {graph.skeleton_id[skeleton]} seen along {AXES[3 - down - across]}: {AXES[across]} to the "
        f"right, {AXES[down]} downwards, its runs in different colours and its worst errors numbered",
    )


def _plane(extent: NDArray[np.float64]) -> tuple[int, int]:
    """Axes (down, across): the longer of the two longest extents lies across."""
    order = np.argsort(extent, kind="stable")
    return int(order[1]), int(order[2])


def _drawing_order(class_: str) -> tuple[int, str]:
    return ("omitted", "run", "merged", "split").index(class_.rstrip("0123456789")), class_


def _edge_classes(
    at_u: NDArray[np.uint64],
    at_v: NDArray[np.uint64],
    table: RunTable,
    tolerance_nodes: float,
    skeleton: int,
) -> NDArray[np.str_]:
    rows = slice(*np.searchsorted(table.skeleton, [skeleton, skeleton + 1]))
    segment, run, merger = table.segment[rows], table.run_nm[rows], table.is_merger(tolerance_nodes)[rows]
    rank = np.empty(len(segment), np.int64)
    rank[np.argsort(-run, kind="stable")] = np.arange(len(segment))
    row = np.searchsorted(segment, at_u)
    class_of = np.array([f"run{i % N_COLOURS}" for i in range(N_COLOURS)])[rank[row] % N_COLOURS].astype("<U8")
    class_of[merger[row]] = "merged"
    class_of[at_u != at_v] = "split"
    class_of[(at_u == 0) | (at_v == 0)] = "omitted"
    return class_of


def _path(ends: NDArray[np.float64]) -> str:
    moved = ends[(ends[:, 0] != ends[:, 2]) | (ends[:, 1] != ends[:, 3])]
    if not len(moved):  # all of it on one pixel: show a dot
        moved = np.concatenate([ends[:1, :2], ends[:1, :2] + 0.5], axis=1)
    return "".join(f"M{a:g} {b:g}L{c:g} {d:g}" for a, b, c, d in np.unique(moved, axis=0).tolist())


def _scale_bar(px_per_nm: float) -> tuple[float, str]:
    """A round length of about a fifth of the drawing."""
    wanted = DRAWING_WIDTH / 5 / px_per_nm
    step = 10.0 ** math.floor(math.log10(wanted))
    length = max(s * step for s in (1, 2, 5) if s * step <= wanted)
    words = f"{length / 1000:g} µm" if length >= 1000 else f"{length:g} nm"
    return length * px_per_nm, words


def error_words(errors: LocatedErrors, i: int, seen_from: int) -> str:
    """One error in words, as the axon with the id ``seen_from`` has it: what it is and which segments it touches."""
    a, b = int(errors.segment[i]), int(errors.other_segment[i])
    if errors.kind[i] == MERGER:
        if errors.other_skeleton[i] < 0:
            return f"merger by segment {a} with tissue under the no-merge mask"
        both = errors.skeleton_id[[errors.skeleton[i], errors.other_skeleton[i]]].tolist()
        return f"merger by segment {a} with axon {next(other for other in both if other != seen_from)}"
    if errors.kind[i] == 0:
        return f"split between segments {a} and {b}"
    length = errors.length_nm[i] / 1000
    return f"omission of {length:.2g} µm"
