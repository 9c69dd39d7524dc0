"""Tolerant expected run length (ERL).

Definition: docs/metric.md, after Januszewski et al. 2018 (expected run length) and Wei et al., AxonEM,
MICCAI 2021 (tolerance of 50 nodes). Everything here follows from one table with a row for each pair
(skeleton, segment): its nodes and the length of its unbroken edges. Mergers only strike rows out, so ERL at
any tolerance is a sum over that table and needs neither nodes nor voxels again.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.sampling import NodeSample, index_pairs
from axonem_eval.skeletons import SkeletonGraph, sum_by
from axonem_eval.spec import format_triple

METRIC_VERSION = "1.0"
DEFAULT_TOLERANCE_NODES = 50


@dataclass(frozen=True)
class RunTable:
    """What ERL depends on, one row for each (skeleton, segment) pair that shares a node.

    skeleton : (n_pairs,) int64 index of the skeleton.   segment : (n_pairs,) uint64, 0 is background.
    nodes : (n_pairs,) int64, c(s, k).   run_nm : (n_pairs,) float64, summed length of the edges of s with both ends
    in k, merger or not (0 for background).
    merger_up_to : (n_pairs,) int64, the largest tolerance at which the row's segment is a merger; -1 where it never is.
    skeleton_length_nm, omitted_nm, split_nm : (n_skeletons,) float64.
    """

    skeleton: NDArray[np.int64]
    segment: NDArray[np.uint64]
    nodes: NDArray[np.int64]
    run_nm: NDArray[np.float64]
    merger_up_to: NDArray[np.int64]
    skeleton_length_nm: NDArray[np.float64]
    omitted_nm: NDArray[np.float64]
    split_nm: NDArray[np.float64]

    @cached_property
    def total_nm(self) -> float:
        """Cable of the ground truth."""
        return float(self.skeleton_length_nm.sum())

    @property
    def gt_erl_nm(self) -> float:
        """ERL of a perfect segmentation."""
        return float(np.square(self.skeleton_length_nm).sum()) / self.total_nm

    def is_merger(self, tolerance_nodes: float) -> NDArray[np.bool_]:
        """(n_pairs,) whether the row's segment is a merger at that tolerance (docs/metric.md, items 1 and 2)."""
        return self.merger_up_to >= tolerance_nodes

    def skeleton_erl_nm(self, tolerance_nodes: float) -> NDArray[np.float64]:
        """(n_skeletons,) ERL(s) = sum_k L(s,k)^2 / L(s); 0 for a skeleton without length."""
        run = np.where(self.is_merger(tolerance_nodes), 0.0, self.run_nm)
        squares = sum_by(self.skeleton, run * run, len(self.skeleton_length_nm))
        length = self.skeleton_length_nm
        return np.divide(squares, length, out=np.zeros_like(squares), where=length > 0)

    def erl_nm(self, tolerance_nodes: float) -> float:
        """ERL of the volume, sum_s sum_k L(s,k)^2 / sum_s L(s)."""
        run = self.run_nm[~self.is_merger(tolerance_nodes)]
        return float(np.square(run).sum()) / self.total_nm


@dataclass(frozen=True)
class ErlReport:
    """Result of scoring one volume; lengths in nm, ``to_json`` is what the command line and the server show."""

    erl_nm: float
    gt_erl_nm: float
    tolerance_nodes: int
    tolerance_um: float
    mean_node_spacing_nm: float
    skeletons: int
    nodes: int
    mergers: int
    edges_nm: dict[str, float]
    voxel_size_nm: tuple[float, float, float]
    no_merge_mask: bool
    metric_version: str = METRIC_VERSION
    table: RunTable | None = field(default=None, repr=False, compare=False)

    @property
    def normalized_erl(self) -> float:
        """ERL / GT ERL, 0 to 1."""
        return self.erl_nm / self.gt_erl_nm

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON; the keys are part of the command line's contract."""
        return {
            "erl_nm": self.erl_nm,
            "gt_erl_nm": self.gt_erl_nm,
            "normalized_erl": self.normalized_erl,
            "tolerance_nodes": self.tolerance_nodes,
            "tolerance_um": self.tolerance_um,
            "mean_node_spacing_nm": self.mean_node_spacing_nm,
            "skeletons": self.skeletons,
            "nodes": self.nodes,
            "mergers": self.mergers,
            "edges_nm": self.edges_nm,
            "voxel_size_nm": list(self.voxel_size_nm),
            "no_merge_mask": self.no_merge_mask,
            "metric_version": self.metric_version,
        }

    def lines(self) -> list[str]:
        """The report for people: um and percent."""
        edges = self.edges_nm
        mask = ", with a no-merge mask" if self.no_merge_mask else ""
        size = format_triple(self.voxel_size_nm)
        return [
            f"ERL              {self.erl_nm / 1e3:.3f} um, {100 * self.normalized_erl:.2f}% of the ground truth's "
            f"{self.gt_erl_nm / 1e3:.3f} um",
            f"tolerance        {self.tolerance_nodes} nodes (about {self.tolerance_um:.2f} um){mask}",
            f"ground truth     {self.skeletons:,} skeletons, {self.nodes:,} nodes, voxel {size} nm (z,y,x)",
            f"mergers          {self.mergers:,} segments",
            *(
                f"{name:<16} {edges[name] / 1e3:,.2f} um, {100 * edges[name] / edges['total']:.2f}% of the cable"
                for name in ("correct", "omitted", "split", "merged")
            ),
            f"metric version   {self.metric_version}",
        ]


def run_table(graph: SkeletonGraph, sample: NodeSample) -> RunTable:
    """The (skeleton, segment) table of a segmentation sampled at the nodes of ``graph``.

    Raises InputError for a ground truth without length and for a sample of other nodes.
    """
    if graph.n_edges == 0 or float(graph.skeleton_length_nm.sum()) <= 0:
        raise InputError.of(
            "empty_ground_truth",
            "the ground truth has no skeleton with an edge, so there is nothing to score; lower the minimum length or "
            "check the labels that it was made from",
        )
    if len(sample.node_segment) != graph.n_nodes:
        raise InputError.of(
            "other_nodes",
            f"the sample has {len(sample.node_segment):,} node labels, the ground truth {graph.n_nodes:,} nodes; "
            "sample the segmentation again with this ground truth",
        )
    # A skeleton without an edge has no length and takes no part, not even in making mergers.
    has_length = graph.skeleton_length_nm > 0
    skeleton_of_pair, segment, pair_of_node = index_pairs(graph.node_skeleton, sample.node_segment)
    skeleton = skeleton_of_pair.astype(np.int64)
    nodes = np.bincount(pair_of_node, minlength=len(skeleton))
    nodes[~has_length[skeleton]] = 0
    run_nm, omitted_nm, split_nm = _sum_edges(
        graph.edge_u, graph.edge_v, graph.edge_length_nm, pair_of_node, skeleton, segment == 0, graph.n_skeletons
    )
    return RunTable(
        skeleton=skeleton,
        segment=segment,
        nodes=nodes,
        run_nm=run_nm,
        merger_up_to=_merger_up_to(segment, nodes, sample),
        skeleton_length_nm=graph.skeleton_length_nm,
        omitted_nm=omitted_nm,
        split_nm=split_nm,
    )


@numba.njit(nogil=True, cache=True)
def _sum_edges(edge_u, edge_v, length, pair_of_node, skeleton, background, n_skeletons):  # type: ignore[no-untyped-def]
    """Lengths by class: unbroken ones by pair, omitted and split ones by skeleton; edges are summed in their order."""
    run, omitted, split = np.zeros(len(skeleton)), np.zeros(n_skeletons), np.zeros(n_skeletons)
    for e in range(len(edge_u)):
        u, v = pair_of_node[edge_u[e]], pair_of_node[edge_v[e]]
        if background[u] or background[v]:
            omitted[skeleton[u]] += length[e]
        elif u != v:
            split[skeleton[u]] += length[e]
        else:
            run[u] += length[e]
    return run, omitted, split


def _merger_up_to(segment: NDArray[np.uint64], nodes: NDArray[np.int64], sample: NodeSample) -> NDArray[np.int64]:
    """For each row, the largest tolerance T at which its segment is a merger, or -1.

    Two skeletons with c >= max(T, 1): holds up to the second largest count of the segment.
    More than T mask voxels: holds up to that number less one.
    """
    ids, row_segment = np.unique(segment, return_inverse=True)
    order = np.lexsort((-nodes, row_segment))
    first = np.searchsorted(row_segment[order], np.arange(len(ids)))
    second = first + 1
    limit = np.full(len(ids), -1, np.int64)
    has_second = second < np.append(first[1:], len(order))
    limit[has_second] = nodes[order[second[has_second]]]
    limit[limit == 0] = -1
    if sample.mask_segment is not None and sample.mask_voxels is not None:
        touched = np.bincount(row_segment, weights=nodes, minlength=len(ids)) > 0
        place = np.searchsorted(ids, sample.mask_segment)
        known = (place < len(ids)) & (ids[np.minimum(place, len(ids) - 1)] == sample.mask_segment)
        by_mask = np.full(len(ids), -1, np.int64)
        by_mask[place[known]] = sample.mask_voxels[known].astype(np.int64) - 1
        limit = np.maximum(limit, np.where(touched, by_mask, -1))
    limit[ids == 0] = -1  # background is never a merger
    return limit[row_segment]


def score_nodes(
    graph: SkeletonGraph,
    sample: NodeSample | NDArray[Any],
    *,
    tolerance_nodes: int = DEFAULT_TOLERANCE_NODES,
) -> ErlReport:
    """Score the labels of a segmentation at the nodes of the ground truth.

    sample : a NodeSample, or (n_nodes,) integer labels exact up to uint64, 0 is background.
    tolerance_nodes : T >= 0; T = 1 (or 0) is the strict ERL.
    Raises InputError for an empty ground truth, other nodes, or a negative tolerance.
    """
    if tolerance_nodes < 0:
        raise InputError.of("bad_tolerance", f"tolerance {tolerance_nodes} nodes is negative; expected 0 or more")
    if not isinstance(sample, NodeSample):
        sample = NodeSample.of_labels(sample)
    table = run_table(graph, sample)
    merger = table.is_merger(tolerance_nodes)
    edges = {
        "correct": float(table.run_nm[~merger].sum()),
        "omitted": float(table.omitted_nm.sum()),
        "split": float(table.split_nm.sum()),
        "merged": float(table.run_nm[merger].sum()),
        "total": table.total_nm,
    }
    return ErlReport(
        erl_nm=table.erl_nm(tolerance_nodes),
        gt_erl_nm=table.gt_erl_nm,
        tolerance_nodes=tolerance_nodes,
        tolerance_um=tolerance_nodes * graph.mean_node_spacing_nm / 1000.0,
        mean_node_spacing_nm=graph.mean_node_spacing_nm,
        skeletons=int((table.skeleton_length_nm > 0).sum()),
        nodes=graph.n_nodes,
        mergers=len(np.unique(table.segment[merger])),
        edges_nm=edges,
        voxel_size_nm=graph.voxel_size_nm_zyx,
        no_merge_mask=sample.mask_segment is not None,
        table=table,
    )
