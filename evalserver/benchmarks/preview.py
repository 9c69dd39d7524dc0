"""What organisers see of a registered version before they score with it: figures, lengths, and a picture.

Made once, by the worker that registers. It shows hidden ground truth: only the organisers' site has it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.report.svg import WIDE, Frame, figure, number, svg, tag, text, ticks, tip
from axonem_eval.skeletons import SkeletonGraph
from evalserver.benchmarks.models import GroundTruth, GroundTruthPreview

DRAWN = 30
N_COLOURS = 6
MARGIN = 24
MAX_HEIGHT = 700
AXES = ("z", "y", "x")
LENGTH_EDGES_UM = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def make_preview(graph: SkeletonGraph) -> dict[str, Any]:
    """Values of a GroundTruthPreview."""
    return {
        "figures": figures_of(graph),
        "lengths_svg": lengths_plot(graph.skeleton_length_nm),
        "projection_svg": projection(graph),
        "class_counts": class_counts(graph.skeleton_length_nm),
    }


def store_preview(ground_truth: GroundTruth, values: dict[str, Any]) -> GroundTruthPreview:
    """Store the preview of a ground truth, in place of an earlier one."""
    row, _ = GroundTruthPreview.objects.update_or_create(ground_truth=ground_truth, defaults=values)
    return row


def figures_of(graph: SkeletonGraph) -> dict[str, Any]:
    """Counts, lengths in nm, and notes on how the skeletons were made.

    The graph has a skeleton, or it would not have been registered.
    """
    length = graph.skeleton_length_nm
    return {
        "skeletons": graph.n_skeletons,
        "nodes": graph.n_nodes,
        "cable_nm": float(length.sum()),
        "shortest_nm": float(length.min()),
        "median_nm": float(np.median(length)),
        "longest_nm": float(length.max()),
        "node_spacing_nm": graph.mean_node_spacing_nm,
        "gt_erl_nm": graph.gt_erl_nm,
        "node_reach_nm": node_reach_nm(graph),
        "notes": graph.notes,
    }


def node_reach_nm(graph: SkeletonGraph) -> float:
    """Length of the edges of one node, at most: what one label can move of a sum over the cable."""
    ends = np.concatenate([graph.edge_u, graph.edge_v])
    return float(np.bincount(ends, weights=np.tile(graph.edge_length_nm, 2)).max())


def class_counts(length_nm: NDArray[np.float64]) -> list[int]:
    """Number of axons in each class of length."""
    counts: list[int] = np.histogram(length_nm / 1000, [*LENGTH_EDGES_UM, np.inf])[0].tolist()
    return counts


def class_name(number: int) -> str:
    """A class of length in µm: `2–5`, or `≥1000` for the last."""
    if number + 1 < len(LENGTH_EDGES_UM):
        return f"{LENGTH_EDGES_UM[number]}–{LENGTH_EDGES_UM[number + 1]}"
    return f"≥{LENGTH_EDGES_UM[number]}"


def lengths_plot(length_nm: NDArray[np.float64]) -> str:
    """Number of axons by length: markup for a <figure>."""
    counts = class_counts(length_nm)
    used = [i for i, count in enumerate(counts) if count] or [0]
    shown = range(used[0], used[-1] + 1)
    names = [class_name(i) for i in shown]
    levels = ticks(max(counts), 5)

    def draw(width: int) -> tuple[int, str]:
        frame = Frame.of(width, 250, len(names), levels[-1], left=52)
        content = frame.y_axis(levels, "axons")
        step = frame.x(1) - frame.x(0)
        for place, i in enumerate(shown):
            y = frame.y(counts[i])
            words = tip(f"{names[place]} µm: {counts[i]:,} axons")
            box = {"x": frame.x(place) + 0.1 * step, "y": y, "width": 0.8 * step, "height": frame.y(0) - y}
            content += tag("rect", words, **box, class_="bar correct")
        places = [(place + 0.5, name) for place, name in enumerate(names)]
        return 250, content + frame.x_axis(places, "length (µm)")

    words = "; ".join(f"{name} µm: {counts[i]:,}" for name, i in zip(names, shown, strict=True))
    return figure(draw, f"Axons by length: {words}.")


def projection(graph: SkeletonGraph) -> str:
    """The longest skeletons in the outline of the volume, seen along its thinnest side."""
    size = np.asarray(graph.voxel_size_nm_zyx)
    extent = np.asarray(graph.shape_zyx) * size
    down, across = sorted(np.argsort(extent, kind="stable")[1:].tolist())
    scale = min((WIDE - 2 * MARGIN) / extent[across], (MAX_HEIGHT - 2 * MARGIN) / extent[down])
    wide, high = float(extent[across] * scale), float(extent[down] * scale)
    # Whole pixels: most edges of a long axon then coincide, and the picture stays small.
    pixel = np.rint((graph.node_voxel_zyx * size)[:, [across, down]] * scale).astype(np.int64) + MARGIN
    content = tag("rect", x=MARGIN, y=MARGIN, width=wide, height=high, class_="outline")
    longest = np.argsort(-graph.skeleton_length_nm, kind="stable")[:DRAWN]
    for colour, skeleton in reversed(list(enumerate(longest.tolist()))):
        edge = np.flatnonzero(graph.edge_skeleton == skeleton)
        ends = np.concatenate([pixel[graph.edge_u[edge]], pixel[graph.edge_v[edge]]], axis=1)
        words = f"skeleton {graph.skeleton_id[skeleton]}: {graph.skeleton_length_nm[skeleton] / 1000:.1f} µm"
        content += tag("path", tip(words), d=_path(ends), class_=f"skeleton run{colour % N_COLOURS}")
    seen_along = AXES[3 - down - across]
    note = f"{AXES[across]} →, {AXES[down]} ↓: {number(extent[across] / 1000)} × {number(extent[down] / 1000)} µm"
    content += text(MARGIN, MARGIN - 8, note, "note")
    height = int(high) + 2 * MARGIN
    return svg(WIDE, height, content, f"The {len(longest)} longest skeletons, seen along {seen_along}")


def _path(ends: NDArray[np.int64]) -> str:
    """Path data of (n, 4) edges x0, y0, x1, y1, those of one pixel left out."""
    moved = ends[(ends[:, 0] != ends[:, 2]) | (ends[:, 1] != ends[:, 3])]
    if not len(moved) and len(ends):
        moved = np.add(ends[:1], [0, 0, 1, 0])
    return "".join(f"M{a} {b}L{c} {d}" for a, b, c, d in np.unique(moved, axis=0).tolist())
