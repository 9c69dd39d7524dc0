"""Where a segmentation goes wrong along the ground truth: one row for each split, omission and merger.

Three kinds, after the classes of edges (docs/metric.md, "Located errors"):

    split      an edge whose ends lie in two segments
    omission   a connected stretch of background nodes, with the edges that touch it
    merger     a segment that runs along several axons, where two of them come closest; or one that covers the
               no-merge mask

Positions tell where hidden ground truth runs: only for volumes whose ground truth is public.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.sampling import NodeSample, index_pairs
from axonem_eval.scoring.erl import RunTable
from axonem_eval.scoring.merge_sites import closest_pairs
from axonem_eval.scoring.omissions import find_omissions, split_edges
from axonem_eval.skeletons import SkeletonGraph, sum_by
from axonem_eval.spec import FloatTriple

SPLIT, OMISSION, MERGER = 0, 1, 2
KINDS = ("split", "omission", "merger")
# Where errors are marked; Okabe and Ito's, told apart by colour-blind readers too.
COLORS = {"split": "#d55e00", "omission": "#56b4e9", "merger": "#cc79a7"}


@dataclass(frozen=True)
class LocatedErrors:
    """Errors as columns, one row each, splits first, then omissions, then mergers.

    kind : (n,) uint8, index into KINDS.   voxel_zyx : (n, 3) int32, full resolution.
    skeleton, other_skeleton : (n,) int32 indices into the graph's skeletons; other is -1 but for mergers of two.
    segment, other_segment : (n,) uint64. Of a split its two sides; of an omission the two neighbours with the longest
        runs, 0 where there is none; of a merger the merging segment and 0.
    length_nm : (n,) float64, cable that the error costs: the split edge; the omitted edges of the stretch; the runs of
        the merging segment in all its skeletons.
    gain_nm : (n,) float64, by how much the ERL would rise if this error alone were fixed. Edges between one pair of
        segments in one skeleton are fixed together, and so is a merger in all its skeletons; they share ``group``.
        0 for a split or omission beside a merger, which a fix would not make correct.
    group : (n,) int64, rows that one correction fixes.
    """

    kind: NDArray[np.uint8]
    voxel_zyx: NDArray[np.int32]
    skeleton: NDArray[np.int32]
    other_skeleton: NDArray[np.int32]
    segment: NDArray[np.uint64]
    other_segment: NDArray[np.uint64]
    length_nm: NDArray[np.float64]
    gain_nm: NDArray[np.float64]
    group: NDArray[np.int64]
    skeleton_id: NDArray[np.uint64]
    voxel_size_nm_zyx: FloatTriple

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.kind)

    def count(self, kind: int) -> int:
        """Number of rows of a kind."""
        return int((self.kind == kind).sum())

    def top(self, n: int) -> "LocatedErrors":
        """The n worst by ``gain_nm``, one row for each group; ties in the order of the rows."""
        order = np.argsort(-self.gain_nm, kind="stable")
        _, first = np.unique(self.group[order], return_index=True)
        return self.rows(order[np.sort(first)[:n]])

    def rows(self, index: NDArray[Any]) -> "LocatedErrors":
        """Some of the rows."""
        columns = {name: getattr(self, name)[index] for name in _ROW_FIELDS}
        return LocatedErrors(**columns, skeleton_id=self.skeleton_id, voxel_size_nm_zyx=self.voxel_size_nm_zyx)

    def columns(self) -> dict[str, NDArray[Any]]:
        """For a table: positions split into z, y, x; skeletons by their id, 0 for none."""
        position = self.voxel_zyx * np.asarray(self.voxel_size_nm_zyx)
        other = np.where(self.other_skeleton >= 0, self.skeleton_id[self.other_skeleton], np.uint64(0))
        return {
            "kind": np.array(KINDS)[self.kind],
            **{f"{axis}_voxel": values for axis, values in zip("zyx", self.voxel_zyx.T, strict=True)},
            **{f"{axis}_nm": values for axis, values in zip("zyx", position.T, strict=True)},
            "skeleton_id": self.skeleton_id[self.skeleton],
            "other_skeleton_id": other,
            "segment": self.segment,
            "other_segment": self.other_segment,
            "length_nm": self.length_nm,
            "erl_gain_nm": self.gain_nm,
            "group": self.group,
        }


_ROW_FIELDS = tuple(f.name for f in fields(LocatedErrors) if f.name not in ("skeleton_id", "voxel_size_nm_zyx"))


@dataclass(frozen=True)
class _Labelled:
    """The graph with each node's row of the table, and what counts there at the tolerance."""

    graph: SkeletonGraph
    table: RunTable
    row: NDArray[np.int32]
    merger: NDArray[np.bool_]
    run_nm: NDArray[np.float64]

    @classmethod
    def of(cls, graph: SkeletonGraph, sample: NodeSample, table: RunTable, tolerance_nodes: float) -> "_Labelled":
        # The table's rows are these pairs in this order.
        _, _, row = index_pairs(graph.node_skeleton, sample.node_segment)
        merger = table.is_merger(tolerance_nodes)
        return cls(graph, table, row, merger, np.where(merger, 0.0, table.run_nm))


def locate_errors(
    graph: SkeletonGraph, sample: NodeSample, table: RunTable, tolerance_nodes: float = 50
) -> LocatedErrors:
    """Every split, omission and merger of a segmentation with its place; ``table`` is run_table(graph, sample)."""
    labelled = _Labelled.of(graph, sample, table, tolerance_nodes)
    parts = [
        _splits(labelled, sample.node_segment),
        _omissions(labelled, sample.node_segment),
        _mergers(labelled, tolerance_nodes),
    ]
    group, next_group = [], 0
    for part in parts:
        _, number = np.unique(part["group"], return_inverse=True)
        group.append(number + next_group)
        next_group += int(number.max(initial=-1)) + 1
    columns = {name: np.concatenate([part[name] for part in parts]) for name in _ROW_FIELDS if name != "group"}
    return LocatedErrors(
        **columns,
        group=np.concatenate(group).astype(np.int64),
        skeleton_id=graph.skeleton_id,
        voxel_size_nm_zyx=graph.voxel_size_nm_zyx,
    )


def _rows(kind: int, n: int, **columns: NDArray[Any]) -> dict[str, NDArray[Any]]:
    dtypes = {"skeleton": np.int32, "other_skeleton": np.int32, "voxel_zyx": np.int32}
    given = {"other_skeleton": np.full(n, -1), **columns}
    return {"kind": np.full(n, kind, np.uint8)} | {k: v.astype(dtypes.get(k, v.dtype)) for k, v in given.items()}


def _splits(labelled: _Labelled, segment: NDArray[np.uint64]) -> dict[str, NDArray[Any]]:
    graph, table = labelled.graph, labelled.table
    edge = split_edges(graph, segment)
    u, v = graph.edge_u[edge], graph.edge_v[edge]
    low = np.minimum(labelled.row[u], labelled.row[v]).astype(np.int64)
    high = np.maximum(labelled.row[u], labelled.row[v]).astype(np.int64)
    _, first, group = np.unique(low * len(table.segment) + high, return_index=True, return_inverse=True)
    length = graph.edge_length_nm[edge]
    glued = sum_by(group, length, len(first))
    a, b = low[first], high[first]
    run_a, run_b = labelled.run_nm[a], labelled.run_nm[b]
    gain = ((run_a + run_b + glued) ** 2 - run_a**2 - run_b**2) / table.total_nm
    gain[labelled.merger[a] | labelled.merger[b]] = 0.0
    return _rows(
        SPLIT,
        len(edge),
        voxel_zyx=_middle(graph, u, v),
        skeleton=graph.edge_skeleton[edge],
        segment=segment[u],
        other_segment=segment[v],
        length_nm=length,
        gain_nm=gain[group],
        group=group,
    )


def _middle(graph: SkeletonGraph, u: NDArray[Any], v: NDArray[Any]) -> NDArray[np.int32]:
    return np.asarray((graph.node_voxel_zyx[u] + graph.node_voxel_zyx[v]) // 2, np.int32)


def _omissions(labelled: _Labelled, segment: NDArray[np.uint64]) -> dict[str, NDArray[Any]]:
    graph, table = labelled.graph, labelled.table
    omissions = find_omissions(graph, segment)
    n = len(omissions.skeleton)
    omission_u, omission_v = omissions.node_omission[graph.edge_u], omissions.node_omission[graph.edge_v]
    touching = np.flatnonzero((omission_u >= 0) | (omission_v >= 0))
    omission_u, omission_v = omission_u[touching], omission_v[touching]
    length = sum_by(np.maximum(omission_u, omission_v), graph.edge_length_nm[touching], n)

    border = (omission_u < 0) | (omission_v < 0)
    outside = np.where(omission_u < 0, graph.edge_u[touching], graph.edge_v[touching])[border]
    n_rows = len(table.segment)
    key = np.unique(np.maximum(omission_u, omission_v)[border].astype(np.int64) * n_rows + labelled.row[outside])
    omission, row = key // n_rows, key % n_rows
    run = labelled.run_nm[row]
    together = sum_by(omission, run, n) + length
    gain = (together**2 - sum_by(omission, run * run, n)) / table.total_nm
    gain[omission[labelled.merger[row]]] = 0.0

    neighbours = np.zeros((2, n), np.uint64)
    order = np.lexsort((-table.run_nm[row], omission))
    omission, row = omission[order], row[order]
    start = np.searchsorted(omission, np.arange(n + 1))
    for place in range(2):
        has = start[:-1] + place < start[1:]
        neighbours[place, has] = table.segment[row[start[:-1][has] + place]]
    return _rows(
        OMISSION,
        n,
        voxel_zyx=graph.node_voxel_zyx[_middle_node(omissions.node_omission, n)],
        skeleton=omissions.skeleton,
        segment=neighbours[0],
        other_segment=neighbours[1],
        length_nm=length,
        gain_nm=gain,
        group=np.arange(n),
    )


def _middle_node(group_of_node: NDArray[np.int32], n_groups: int) -> NDArray[np.intp]:
    """For each group the node in the middle of its nodes, in the order of the graph."""
    order = np.argsort(group_of_node, kind="stable")
    start = np.searchsorted(group_of_node[order], np.arange(n_groups + 1))
    return np.asarray(order[(start[:-1] + start[1:] - 1) // 2], np.intp)


def _mergers(labelled: _Labelled, tolerance_nodes: float) -> dict[str, NDArray[Any]]:
    graph, table = labelled.graph, labelled.table
    # Loss by segment: were it cut into one part for each skeleton, each part would be a run of its own.
    merging, row_segment = np.unique(table.segment, return_inverse=True)
    struck = np.where(labelled.merger, table.run_nm, 0.0)
    lost = sum_by(row_segment, struck, len(merging))
    gain = sum_by(row_segment, struck**2, len(merging)) / table.total_nm

    culprit = labelled.merger & table.is_counted(tolerance_nodes)
    several = np.bincount(row_segment[culprit], minlength=len(merging)) > 1
    joining = culprit & several[row_segment]
    node = np.flatnonzero(joining[labelled.row])
    position = graph.node_voxel_zyx[node] * np.asarray(graph.voxel_size_nm_zyx)
    site = node[closest_pairs(position, labelled.row[node], table.segment[labelled.row[node]])]
    by_mask = np.flatnonzero(labelled.merger & (table.nodes > 0) & ~several[row_segment])
    # One place for a segment that only the mask makes a merger: the middle of its longest part.
    by_mask = by_mask[np.lexsort((-table.nodes[by_mask], row_segment[by_mask]))]
    by_mask = by_mask[np.unique(row_segment[by_mask], return_index=True)[1]]
    mask_node = _middle_node_row_segments(labelled.row, by_mask)

    row = np.concatenate([labelled.row[site[:, 0]], by_mask])
    u, v = np.concatenate([site[:, 0], mask_node]), np.concatenate([site[:, 1], mask_node])
    other = np.where(u == v, -1, graph.node_skeleton[v])
    return _rows(
        MERGER,
        len(row),
        voxel_zyx=_middle(graph, u, v),
        skeleton=table.skeleton[row],
        other_skeleton=other,
        segment=table.segment[row],
        other_segment=np.zeros(len(row), np.uint64),
        length_nm=lost[row_segment[row]],
        gain_nm=gain[row_segment[row]],
        group=row_segment[row],
    )


def _middle_node_row_segments(row_of_node: NDArray[np.int32], rows: NDArray[np.intp]) -> NDArray[np.intp]:
    place = np.full(int(row_of_node.max(initial=-1)) + 1, -1, np.int32)
    place[rows] = np.arange(len(rows), dtype=np.int32)
    return _middle_node(place[row_of_node], len(rows))
