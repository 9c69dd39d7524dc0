"""What the score would be if some errors were fixed together: gains of single errors do not add up."""

import numpy as np
from numpy.typing import NDArray

from axonem_eval.sampling import NodeSample, index_pairs
from axonem_eval.scoring.erl import RunTable
from axonem_eval.scoring.located_errors import MERGER, OMISSION, SPLIT, LocatedErrors
from axonem_eval.scoring.omissions import find_omissions
from axonem_eval.skeletons import SkeletonGraph, sum_by
from axonem_eval.union_find import join, root


def erl_fixed_nm(
    graph: SkeletonGraph, sample: NodeSample, table: RunTable, errors: LocatedErrors, tolerance_nodes: float = 50
) -> float:
    """ERL in nm with all of ``errors`` fixed, as ``LocatedErrors.gain_nm`` fixes one.

    ``table`` is run_table(graph, sample). A merger is cut into one segment for each axon. A split makes its two
    segments one in that axon, an omission all its neighbours and itself. A split or omission beside a merger that
    stays is not fixed. Meant for few errors: each omission takes a pass over the nodes.
    """
    _, _, row = index_pairs(graph.node_skeleton, sample.node_segment)
    cut = np.unique(errors.segment[errors.kind == MERGER])
    struck = table.is_merger(tolerance_nodes) & ~np.isin(table.segment, cut)
    omissions = find_omissions(graph, sample.node_segment)
    # A set for each row of the table and for each omission; those that a fix joins become one.
    n_rows = len(table.segment)
    part = np.where(sample.node_segment == 0, -1, row.astype(np.int64))
    parent = np.arange(n_rows + len(omissions.skeleton), dtype=np.int64)
    for i in np.flatnonzero(errors.kind == SPLIT).tolist():
        _join(parent, _rows_of(table, int(errors.skeleton[i]), errors.segment[i], errors.other_segment[i]), struck)
    for i in np.flatnonzero(errors.kind == OMISSION).tolist():
        number = _omission_at(graph, omissions.node_omission, errors.voxel_zyx[i], int(errors.skeleton[i]))
        inside = omissions.node_omission == number
        at_u, at_v = inside[graph.edge_u], inside[graph.edge_v]
        border = np.concatenate([graph.edge_v[at_u & ~at_v], graph.edge_u[at_v & ~at_u]])
        if _join(parent, [n_rows + number, *np.unique(row[border]).tolist()], struck):
            part[inside] = n_rows + number
    roots = np.array([root(parent, p) for p in range(len(parent))], np.int64)
    part = np.where(part >= 0, roots[part], -1)
    part[(part >= 0) & (part < n_rows) & struck[np.clip(part, 0, n_rows - 1)]] = -1
    whole = (part[graph.edge_u] == part[graph.edge_v]) & (part[graph.edge_u] >= 0)
    run = sum_by(part[graph.edge_u[whole]], graph.edge_length_nm[whole], len(parent))
    return float(np.square(run).sum()) / table.total_nm


def _rows_of(table: RunTable, skeleton: int, *segments: np.uint64) -> list[int]:
    low, high = np.searchsorted(table.skeleton, [skeleton, skeleton + 1])
    return [int(low + np.searchsorted(table.segment[low:high], segment)) for segment in segments]


def _join(parent: NDArray[np.int64], parts: list[int], struck: NDArray[np.bool_]) -> bool:
    """Make the parts one, unless one of them is a merger; whether they are one now."""
    if any(part < len(struck) and struck[part] for part in parts):
        return False
    for part in parts[1:]:
        a, b = root(parent, parts[0]), root(parent, part)
        if a != b:
            join(parent, a, b)
    return True


def _omission_at(
    graph: SkeletonGraph, node_omission: NDArray[np.int32], voxel_zyx: NDArray[np.int32], skeleton: int
) -> int:
    here = (graph.node_voxel_zyx == voxel_zyx).all(axis=1) & (graph.node_skeleton == skeleton) & (node_omission >= 0)
    return int(node_omission[np.argmax(here)])
