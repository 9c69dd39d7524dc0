"""Everything about one result as one JSON object: what a server stores, and what the HTML report shows.

Keys are stable under ``schema``; a change of meaning raises its number. Lengths are nm, shares 0 to 1. Ids are
strings, because JSON numbers in a browser are exact only to 2^53.
"""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.sampling import NodeSample
from axonem_eval.scoring import (
    AXONEM,
    DEFAULT_RESAMPLES,
    METRIC_VERSION,
    DenseScores,
    ScoringVariant,
    axon_table,
    erl_fixed_nm,
    erl_interval,
    erl_lost_nm,
    error_counts,
    half_cable_run_nm,
    length_bins,
    locate_errors,
    node_scores,
    restrict,
    run_survival,
    score_nodes,
    tolerance_curve,
)
from axonem_eval.skeletons import SkeletonGraph
from axonem_eval.spec import FloatTriple

SCHEMA = "axonem-report/1"
WORST_AXONS = 20
TOP_ERRORS = 50
WORST_FIXED = 10


def full_report(
    graph: SkeletonGraph,
    sample: NodeSample,
    *,
    tolerance_nodes: int | None = None,
    variant: ScoringVariant = AXONEM,
    dense: DenseScores | None = None,
    public: bool = False,
    resamples: int = DEFAULT_RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """The score with everything derived from it, as plain JSON.

    Without ``public`` the object holds aggregates over the volume alone: no value of a single axon, no position, no
    id. They are exact, and for hidden ground truth still too fine to hand out: a server rounds them
    first (docs/metric.md). With ``public`` the worst axons and the worst errors with their positions are
    in it, as ``worst_axons`` and ``top_errors``, and in ``worst_fixed`` the ERL that fixing the worst few would give.
    """
    variant = variant.at_tolerance(tolerance_nodes)
    tolerance_nodes = variant.tolerance_nodes
    nodes = node_scores(graph, sample, variant)
    graph, sample = restrict(graph, sample, variant)
    report = score_nodes(graph, sample, variant=variant)
    table = report.table
    assert table is not None
    full: dict[str, Any] = {
        "schema": SCHEMA,
        "public": public,
        **report.to_json(),
        "erl_interval": erl_interval(table, tolerance_nodes, resamples=resamples, seed=seed).to_json(),
        "erl_lost_nm": erl_lost_nm(table, tolerance_nodes),
        "error_counts": asdict(error_counts(graph, sample, table, tolerance_nodes)),
        "tolerance_curve": [asdict(p) for p in tolerance_curve(table, graph.mean_node_spacing_nm)],
        "length_bins": [asdict(b) for b in length_bins(table, tolerance_nodes)],
        "half_cable_run_nm": half_cable_run_nm(table, tolerance_nodes),
        "run_survival": asdict(run_survival(table, tolerance_nodes)),
        "over_nodes": nodes.to_json(),
        "dense": None if dense is None else dense.to_json(),
    }
    if public:
        axons = axon_table(graph, sample, table, tolerance_nodes)
        worst = axons.worst(WORST_AXONS)
        full["worst_axons"] = json_rows({name: column[worst] for name, column in axons.columns().items()})
        errors = locate_errors(graph, sample, table, tolerance_nodes)
        full["top_errors"] = json_rows(errors.top(TOP_ERRORS).columns())
        fixed = errors.top(WORST_FIXED)
        full["worst_fixed"] = {
            "errors": len(fixed),
            "erl_nm": erl_fixed_nm(graph, sample, table, fixed, tolerance_nodes),
        }
    return full


def dense_report(
    dense: DenseScores, variant: ScoringVariant, voxel_size_nm_zyx: FloatTriple, *, public: bool = False
) -> dict[str, Any]:
    """The same of ground truth that has dense labels alone: no key that tells of skeletons."""
    return {
        "schema": SCHEMA,
        "public": public,
        "voxel_size_nm": list(voxel_size_nm_zyx),
        "metric_version": METRIC_VERSION,
        "variant": variant.to_json(),
        "dense": dense.to_json(),
    }


def json_rows(columns: dict[str, NDArray[Any]]) -> list[dict[str, Any]]:
    """Columns as a list of objects; 64-bit ids become strings."""
    lists = {
        name: [str(v) for v in column.tolist()] if column.dtype == np.uint64 else column.tolist()
        for name, column in columns.items()
    }
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
