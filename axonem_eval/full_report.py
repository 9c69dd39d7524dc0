"""Everything about one result as one JSON object: what a server stores, and what the HTML report shows.

Keys are stable under ``schema``; a change of meaning raises its number. Lengths are nm, shares 0 to 1. Ids are
strings, because JSON numbers in a browser are exact only to 2^53.
"""

import math
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.analysis import (
    axon_table,
    erl_lost_nm,
    error_counts,
    half_cable_run_nm,
    length_bins,
    run_survival,
    tolerance_curve,
)
from axonem_eval.bootstrap import DEFAULT_RESAMPLES, erl_interval
from axonem_eval.dense import DenseScores
from axonem_eval.erl import DEFAULT_TOLERANCE_NODES, score_nodes
from axonem_eval.errors_located import locate_errors
from axonem_eval.sample import NodeSample
from axonem_eval.skeletons import SkeletonGraph

SCHEMA = "axonem-report/1"
WORST_AXONS = 20
TOP_ERRORS = 50

# A figure over fewer axons than this says too much about each of them to be shown of hidden ground truth.
MIN_AXONS_SHOWN = 10
HIDDEN_DIGITS = 3


def full_report(
    graph: SkeletonGraph,
    sample: NodeSample,
    *,
    tolerance_nodes: int = DEFAULT_TOLERANCE_NODES,
    dense: DenseScores | None = None,
    public: bool = False,
    resamples: int = DEFAULT_RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """The score with everything derived from it, as plain JSON.

    Without ``public`` the object holds aggregates over the volume alone: no value of a single axon, no position, no
    id. They are exact, and for hidden ground truth still too fine to hand out: pass them through
    ``for_hidden_ground_truth`` first. With ``public`` the worst axons and the worst errors with their positions are
    in it, as ``worst_axons`` and ``top_errors``.
    """
    report = score_nodes(graph, sample, tolerance_nodes=tolerance_nodes)
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
        "dense": None if dense is None else dense.to_json(),
    }
    if public:
        axons = axon_table(graph, sample, table, tolerance_nodes)
        worst = axons.worst(WORST_AXONS)
        full["worst_axons"] = json_rows({name: column[worst] for name, column in axons.columns().items()})
        top = locate_errors(graph, sample, table, tolerance_nodes).top(TOP_ERRORS)
        full["top_errors"] = json_rows(top.columns())
    return full


def json_rows(columns: dict[str, NDArray[Any]]) -> list[dict[str, Any]]:
    """Columns as a list of objects; 64-bit ids become strings."""
    lists = {
        name: [str(v) for v in column.tolist()] if column.dtype == np.uint64 else column.tolist()
        for name, column in columns.items()
    }
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def for_hidden_ground_truth(report: dict[str, Any], digits: int = HIDDEN_DIGITS) -> dict[str, Any]:
    """What may be shown of a result on hidden ground truth: aggregates to ``digits`` significant digits.

    Length bins with fewer than MIN_AXONS_SHOWN axons lose their ERL and cable, the run-length distribution ends where
    fewer axons are that long, and per-axon parts are taken out. The setting (tolerance, voxel size, metric version)
    stays exact.
    """
    exact = {"schema", "public", "tolerance_nodes", "tolerance_um", "voxel_size_nm", "no_merge_mask", "metric_version"}
    shown = {k: v for k, v in report.items() if k not in ("worst_axons", "top_errors")}
    shown["public"] = False
    shown["length_bins"] = [_coarse_bin(b) for b in report["length_bins"]]
    shown["run_survival"] = _cut_survival(report["run_survival"])
    return {k: v if k in exact else _rounded(v, digits) for k, v in shown.items()}


def _coarse_bin(bin_: dict[str, Any]) -> dict[str, Any]:
    if bin_["axons"] >= MIN_AXONS_SHOWN:
        return bin_
    kept = {"lower_um": bin_["lower_um"], "upper_um": bin_["upper_um"], "axons": None}
    return {name: kept.get(name) for name in bin_}


def _cut_survival(survival: dict[str, list[Any]]) -> dict[str, list[Any]]:
    n = sum(axons >= MIN_AXONS_SHOWN for axons in survival["axons"])
    return {name: values[:n] for name, values in survival.items()}


def _rounded(value: Any, digits: int) -> Any:
    if isinstance(value, dict):
        return {k: _rounded(v, digits) for k, v in value.items()}
    if isinstance(value, list):
        return [_rounded(v, digits) for v in value]
    if isinstance(value, bool) or value is None or isinstance(value, str) or value == 0:
        return value
    places = digits - 1 - math.floor(math.log10(abs(value)))
    return round(value, places)
