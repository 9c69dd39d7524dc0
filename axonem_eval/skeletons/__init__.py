"""Skeletons as flat arrays of nodes and edges; their arms; import and export."""

from axonem_eval.skeletons.arms import Arms, arms_of, without_ticks
from axonem_eval.skeletons.exporters import export_precomputed, export_swc
from axonem_eval.skeletons.graph import PerSkeleton, SkeletonGraph, doubled_edges, doubled_ids, sum_by
from axonem_eval.skeletons.importers import from_em_erl, import_skeletons

__all__ = [
    "Arms",
    "PerSkeleton",
    "SkeletonGraph",
    "arms_of",
    "doubled_edges",
    "doubled_ids",
    "export_precomputed",
    "export_swc",
    "from_em_erl",
    "import_skeletons",
    "sum_by",
    "without_ticks",
]
