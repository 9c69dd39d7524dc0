"""The metric as a picture: two axons with a split, an omission and a merger, and the sum that gives their ERL.

The numbers are the scorer's, of real skeletons and node labels. The site's page of the metric draws the same picture
again in the browser (``static/metric.js``); ``MetricExample`` names all that a reader can change there.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from axonem_eval.report.svg import standalone, svg, tag, text
from axonem_eval.sampling import NodeSample
from axonem_eval.scoring import ErlReport, RunTable, score_nodes
from axonem_eval.skeletons import SkeletonGraph

SPACING_NM = 250.0
# Nodes of axon A and of axon B; the omission begins at this node of A.
NODES = (41, 21)
OMITTED_FROM = 26
WIDTH, HEIGHT = 400, 262
STEP_PX, LEFT_PX = 9.0, 20.0
NAMES = "AB"


@dataclass(frozen=True)
class Run:
    """The unbroken cable of one segment in one axon; ``counts`` unless the segment is a merger."""

    axon: str
    segment: int
    nm: float
    counts: bool


@dataclass(frozen=True)
class MetricExample:
    """What is wrong with the segmentation of the two axons; all in nodes.

    tolerance : T.   split_at : from this node of A on another segment follows; 0 for no split.
    omitted : so many nodes of A are background.   shared : so many nodes of B lie in A's last segment.
    """

    tolerance: int = 6
    split_at: int = 14
    omitted: int = 3
    shared: int = 8

    @staticmethod
    def constants() -> dict[str, float | int | tuple[int, int]]:
        """What a program needs beside the fields to compute the same example."""
        return {"spacing_nm": SPACING_NM, "omitted_from": OMITTED_FROM, "nodes": NODES}

    @cached_property
    def graph(self) -> SkeletonGraph:
        """Two unbranched skeletons along x."""
        skeleton = np.repeat(np.arange(2, dtype=np.int32), NODES)
        x = np.concatenate([np.arange(n, dtype=np.int32) for n in NODES])
        edge = np.flatnonzero(skeleton[:-1] == skeleton[1:]).astype(np.int32)
        return SkeletonGraph(
            skeleton_id=np.array([1, 2], np.uint64),
            node_skeleton=skeleton,
            node_voxel_zyx=np.stack([np.zeros_like(x), skeleton, x], axis=1),
            edge_u=edge,
            edge_v=edge + np.int32(1),
            edge_length_nm=np.full(len(edge), SPACING_NM),
            shape_zyx=(1, 2, max(NODES)),
            voxel_size_nm_zyx=(SPACING_NM,) * 3,
        )

    @cached_property
    def labels(self) -> NDArray[np.uint64]:
        """(62,) segment at each node of A, then of B: A is 1, after a split 2; B is 3."""
        a, b = np.full(NODES[0], 1, np.uint64), np.full(NODES[1], 3, np.uint64)
        if self.split_at:
            a[self.split_at :] = 2
        a[OMITTED_FROM : OMITTED_FROM + self.omitted] = 0
        b[: self.shared] = a[-1]
        return np.concatenate([a, b])

    @cached_property
    def report(self) -> ErlReport:
        """What the scorer says."""
        return score_nodes(self.graph, NodeSample.of_labels(self.labels), tolerance_nodes=self.tolerance)

    @property
    def _table(self) -> RunTable:
        assert self.report.table is not None
        return self.report.table

    @cached_property
    def runs(self) -> list[Run]:
        """Runs that have a length, of A and then of B."""
        table = self._table
        merger = table.is_merger(self.tolerance).tolist()
        rows = zip(table.skeleton.tolist(), table.segment.tolist(), table.run_nm.tolist(), merger, strict=True)
        return [Run(NAMES[axon], segment, nm, not struck) for axon, segment, nm, struck in rows if nm]

    @cached_property
    def edge_classes(self) -> list[str]:
        """What became of each edge: omitted, split, merged, or the colour of its segment."""
        labels = self.labels.tolist()
        table = self._table
        mergers = set(table.segment[table.is_merger(self.tolerance)].tolist())
        pairs = zip(self.graph.edge_u.tolist(), self.graph.edge_v.tolist(), strict=True)
        return [_edge_class(labels[u], labels[v], mergers) for u, v in pairs]

    @property
    def shared_words(self) -> str:
        """What the segment in both axons is."""
        return "no merger: below the tolerance" if all(run.counts for run in self.runs) else "merger"

    @cached_property
    def lines(self) -> tuple[str, str, str]:
        """The sum in words: the runs that count, the ERL, the ceiling."""
        counted = [run.nm / 1000 for run in self.runs if run.counts]
        total = self.report.edges_nm["total"] / 1000
        squares = " + ".join(f"{um:.2f}²" for um in counted) or "0"
        lengths = " + ".join(f"{nm / 1000:g}²" for nm in self.graph.skeleton_length_nm.tolist())
        erl, ceiling = self.report.erl_nm / 1000, self.report.gt_erl_nm / 1000
        return (
            "Runs that count: " + (", ".join(f"{um:.2f} µm" for um in counted) or "none"),
            f"ERL = ({squares}) / {total:g} = {erl:.2f} µm",
            f"Without errors: ({lengths}) / {total:g} = {ceiling:.2f} µm. Reached: {erl / ceiling:.0%}",
        )


def _edge_class(u: int, v: int, mergers: set[int]) -> str:
    if u == 0 or v == 0:
        return "omitted"
    if u != v:
        return "split"
    return "merged" if u in mergers else f"run{u - 1}"


def _places() -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Pixels of the nodes: A from left to right, B back from A's end."""
    a = [(LEFT_PX + STEP_PX * i, 62 + 15 * math.sin(i / 6.5)) for i in range(NODES[0])]
    right = a[-1][0]
    b = [(right - STEP_PX * i, 122 + 12 * math.sin(i / 4.5 - 1.2)) for i in range(NODES[1])]
    return a, b


def metric_svg(example: MetricExample) -> Markup:
    """The picture; its classes are coloured by the page."""
    a, b = _places()
    dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in [*a, *b])
    ends = [*pairwise(a), *pairwise(b)]
    content = tag("path", d=f"M{a[-1][0]:.1f} {a[-1][1]:.1f}L{b[0][0]:.1f} {b[0][1]:.1f}", class_="bridge",
                  **_shown(example.shared > 0))  # fmt: skip
    for class_, ((x0, y0), (x1, y1)) in zip(example.edge_classes, ends, strict=True):
        content += tag("path", d=f"M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}", class_=f"edge {class_}")
    content += tag("path", d=dots, class_="nodes")
    content += text(LEFT_PX, 22, f"Axon A, {_length(NODES[0])} µm", "label")
    content += text(b[-1][0] - 14, 142, f"Axon B, {_length(NODES[1])} µm", "label", "end")
    split, gap = max(example.split_at, 1), OMITTED_FROM + example.omitted / 2
    content += _mark("split", a[split][0] - STEP_PX / 2, a[split][1] + 26, example.split_at > 0)
    content += _mark("omission", LEFT_PX + STEP_PX * (gap - 0.5), a[OMITTED_FROM][1] - 18, example.omitted > 0)
    content += _mark("merger", a[-1][0] + 8, 160, example.shared > 0, "end", example.shared_words)
    for i, line in enumerate(example.lines):
        content += text(LEFT_PX - 8, 196 + 24 * i, line, f"sum{' total' if i == 1 else ''}")
    lengths = f"A has {_length(NODES[0])} µm, B {_length(NODES[1])} µm"
    words = f"Two axons with their nodes and edges. {lengths}. {'. '.join(example.lines)}."
    return svg(WIDTH, HEIGHT, content, words, "metric")


def _shown(is_shown: bool) -> dict[str, str]:
    return {} if is_shown else {"display": "none"}


def _length(nodes: int) -> str:
    return f"{(nodes - 1) * SPACING_NM / 1000:g}"


def _mark(kind: str, x: float, y: float, is_shown: bool, anchor: str = "middle", words: str = "") -> Markup:
    return tag("text", words or kind, x=x, y=y, class_=f"note {kind}", text_anchor=anchor, **_shown(is_shown))


def metric_file(example: MetricExample) -> str:
    """The picture as a file of its own, with its colours, light and dark."""
    css = (Path(__file__).parent / "static" / "metric.css").read_text(encoding="utf-8")
    return standalone(str(metric_svg(example)), css)
