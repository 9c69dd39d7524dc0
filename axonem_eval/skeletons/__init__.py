"""Skeletons as flat arrays of nodes and edges; their arms; import and export."""

from axonem_eval.skeletons.arms import Arms, arms_of, without_ticks
from axonem_eval.skeletons.exporters import export_precomputed, export_swc
from axonem_eval.skeletons.foreign import ForeignGraph, foreign_graph, read_hdf5_groups
from axonem_eval.skeletons.graph import (
    PerSkeleton,
    SkeletonGraph,
    connected_pieces,
    doubled_edges,
    doubled_ids,
    sum_by,
)
from axonem_eval.skeletons.grid import place_on_grid
from axonem_eval.skeletons.import_any import import_any
from axonem_eval.skeletons.imported_graph import ImportOptions
from axonem_eval.skeletons.importers import from_em_erl, import_skeletons

__all__ = [
    "Arms",
    "ForeignGraph",
    "ImportOptions",
    "PerSkeleton",
    "SkeletonGraph",
    "arms_of",
    "connected_pieces",
    "doubled_edges",
    "doubled_ids",
    "export_precomputed",
    "export_swc",
    "foreign_graph",
    "from_em_erl",
    "import_any",
    "import_skeletons",
    "place_on_grid",
    "read_hdf5_groups",
    "sum_by",
    "without_ticks",
]
