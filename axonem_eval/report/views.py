"""Everything about single axons and places that a report on public ground truth shows."""

from dataclasses import dataclass

import numpy as np

from axonem_eval.report.axons import AxonDrawing, AxonRuns, draw_axon, longest_axons
from axonem_eval.sampling import NodeSample
from axonem_eval.scoring import AxonTable, LocatedErrors, RunTable, axon_table, locate_errors
from axonem_eval.skeletons import SkeletonGraph

DRAWN_AXONS = 3


@dataclass(frozen=True)
class ReportViews:
    """Per-axon table, located errors, the longest axons as runs and the worst as drawings."""

    axons: AxonTable
    errors: LocatedErrors
    longest: list[AxonRuns]
    worst_drawn: list[AxonDrawing]

    @classmethod
    def of(cls, graph: SkeletonGraph, sample: NodeSample, table: RunTable, tolerance_nodes: float) -> "ReportViews":
        """Gather them for a segmentation; ``table`` is run_table(graph, sample)."""
        axons = axon_table(graph, sample, table, tolerance_nodes)
        errors = locate_errors(graph, sample, table, tolerance_nodes)
        worst = np.flatnonzero(table.skeleton_length_nm > 0)[axons.worst(DRAWN_AXONS)]
        return cls(
            axons=axons,
            errors=errors,
            longest=longest_axons(graph, table, tolerance_nodes),
            worst_drawn=[draw_axon(graph, sample, table, tolerance_nodes, errors, int(s)) for s in worst],
        )
