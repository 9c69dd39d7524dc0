"""What a segmentation's own skeletons tell about it, without any ground truth.

How long its segments are, where they end inside the volume, which ends look like one axon cut in two and which
junctions like two axons in one; with the volume and radius of each segment. Docs: docs/diagnosis.md.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.diagnosis.split_and_merge_candidates import (
    Crossings,
    EndPoints,
    FacingEnds,
    crossings,
    end_points,
    facing_ends,
)
from axonem_eval.skeletons import SkeletonGraph, arms_of, sum_by, without_ticks


@dataclass(frozen=True)
class DiagnosisSettings:
    """What counts as what; lengths in nm, angles in degrees.

    long_um : segments longer than this are counted apart, as AxonEM scores axons.
    face_margin_nm : an end nearer to a face of the volume leaves through it.
    tick_nm : terminal branches shorter than this are bumps, not ends.
    reach_nm : facing ends are at most so far apart.   max_end_bend_degrees : and at most so far out of line.
    end_direction_nm, line_direction_nm : directions of ends, and of arms of a junction, are taken over this length.
    spine_nm : branches shorter than this make no junction: spines.
    spread_nm : branch nodes at most so far apart may be one crossing.
    max_line_bend_degrees : how far a line through a crossing may bend.
    """

    long_um: float = 5.0
    face_margin_nm: float = 300.0
    tick_nm: float = 300.0
    reach_nm: float = 1000.0
    max_end_bend_degrees: float = 60.0
    end_direction_nm: float = 600.0
    spine_nm: float = 800.0
    spread_nm: float = 2500.0
    line_direction_nm: float = 1200.0
    max_line_bend_degrees: float = 60.0


@dataclass(frozen=True)
class Diagnosis:
    """Figures and ranked places.

    degree : (n_nodes,) int64, arms of each node once ticks are gone; 0 on a tick.
    ends : the end points inside the volume.   splits : pairs of them, by their places in ``ends``.
    """

    graph: SkeletonGraph
    settings: DiagnosisSettings
    degree: NDArray[np.int64] = field(repr=False)
    ends: EndPoints = field(repr=False)
    splits: FacingEnds = field(repr=False)
    mergers: Crossings = field(repr=False)

    @cached_property
    def length_nm(self) -> NDArray[np.float64]:
        """(n_skeletons,) cable of each segment."""
        return self.graph.skeleton_length_nm

    @cached_property
    def mean_radius_nm(self) -> NDArray[np.float64]:
        """(n_skeletons,) mean over the segment's nodes; nan for skeletons without radii."""
        if self.graph.node_radius_nm is None:
            return np.full(self.graph.n_skeletons, np.nan)
        skeleton = self.graph.node_skeleton
        nodes = np.bincount(skeleton, minlength=self.graph.n_skeletons)
        radius = self.graph.node_radius_nm.astype(np.float64)
        return sum_by(skeleton, radius, len(nodes)) / np.maximum(nodes, 1)

    def per_segment(self) -> dict[str, NDArray[Any]]:
        """A row for each segment, the longest first: id, length, ends, branch points, radius and volume."""
        graph, degree = self.graph, self.degree
        n = graph.n_skeletons

        def count(nodes: NDArray[Any]) -> NDArray[np.int64]:
            return np.bincount(graph.node_skeleton[nodes], minlength=n).astype(np.int64)

        volume = np.full(n, np.nan) if graph.volume_um3 is None else graph.volume_um3
        columns: dict[str, NDArray[Any]] = {
            "segment": graph.skeleton_id,
            "length_nm": self.length_nm,
            "volume_um3": volume,
            "volume_per_length_um2": volume / np.maximum(self.length_nm / 1000.0, 1e-9),
            "mean_radius_nm": self.mean_radius_nm,
            "ends": count(degree == 1),
            "interior_ends": count(self.ends.node),
            "branch_points": count(degree >= 3),
        }
        order = np.argsort(-self.length_nm, kind="stable")
        return {name: values[order] for name, values in columns.items()}


def diagnose(graph: SkeletonGraph, settings: DiagnosisSettings | None = None) -> Diagnosis:
    """Diagnose a segmentation from its skeletons."""
    settings = settings or DiagnosisSettings()
    smooth, node = without_ticks(graph, settings.tick_nm)
    arms = arms_of(smooth)
    degree = np.zeros(graph.n_nodes, np.int64)
    degree[node] = arms.degree
    ends = end_points(smooth, arms, settings.face_margin_nm, settings.end_direction_nm)
    splits = facing_ends(smooth, ends, settings.reach_nm, settings.max_end_bend_degrees)
    bare, bare_node = without_ticks(smooth, settings.spine_nm)
    mergers = crossings(
        bare, arms_of(bare), settings.spread_nm, settings.line_direction_nm, settings.max_line_bend_degrees
    )
    of_bare = node[bare_node].astype(np.int32)
    return Diagnosis(
        graph=graph,
        settings=settings,
        degree=degree,
        ends=replace(ends, node=node[ends.node].astype(np.int32)),
        splits=splits,
        mergers=replace(
            mergers,
            node=of_bare[mergers.node],
            line_from=of_bare[mergers.line_from],
            line_to=of_bare[mergers.line_to],
        ),
    )
