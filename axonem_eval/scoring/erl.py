"""Tolerant expected run length (ERL).

Definition: docs/metric.md, after Januszewski et al. 2018 (expected run length) and Wei et al., AxonEM,
MICCAI 2021 (tolerance of 50 nodes). Everything here follows from one table with a row for each pair
(skeleton, segment): its nodes and the length of its unbroken edges. Mergers only strike rows out, so ERL at
any tolerance is a sum over that table and needs neither nodes nor voxels again. The tolerance is applied in
`_merger_up_to` (once, for all tolerances) and `RunTable.is_merger` (for one).
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.sampling import NodeSample, index_pairs
from axonem_eval.scoring.restrict import require_same_nodes, restrict
from axonem_eval.scoring.variant import AXONEM, ScoringVariant
from axonem_eval.skeletons import SkeletonGraph, sum_by
from axonem_eval.spec import format_triple

METRIC_VERSION = "1.0"


@dataclass(frozen=True)
class RunTable:
    """What ERL depends on, one row for each (skeleton, segment) pair that shares a node.

    skeleton : (n_pairs,) int64 index of the skeleton.   segment : (n_pairs,) uint64, 0 is background.
    nodes : (n_pairs,) int64, c(s, k).   run_nm : (n_pairs,) float64, summed length of the edges of s with both ends
    in k, merger or not (0 for background).
    merger_up_to : (n_pairs,) int64, the largest tolerance at which the row's segment is a merger that loses its run in
        the row's skeleton; -1 where it never does.
    skeleton_length_nm, omitted_nm, split_nm : (n_skeletons,) float64.
    inclusive : whether a pair counts towards a merger from T nodes on, or only with more.
    """

    skeleton: NDArray[np.int64]
    segment: NDArray[np.uint64]
    nodes: NDArray[np.int64]
    run_nm: NDArray[np.float64]
    merger_up_to: NDArray[np.int64]
    skeleton_length_nm: NDArray[np.float64]
    omitted_nm: NDArray[np.float64]
    split_nm: NDArray[np.float64]
    inclusive: bool = True

    @cached_property
    def total_nm(self) -> float:
        """Cable of the ground truth."""
        return float(self.skeleton_length_nm.sum())

    @property
    def gt_erl_nm(self) -> float:
        """ERL of a perfect segmentation."""
        return float(np.square(self.skeleton_length_nm).sum()) / self.total_nm

    @property
    def mean_length_nm(self) -> float:
        """Arithmetic mean length of the skeletons that have length."""
        return self.total_nm / int((self.skeleton_length_nm > 0).sum())

    def is_merger(self, tolerance_nodes: float) -> NDArray[np.bool_]:
        """(n_pairs,) whether the row's run is lost to a merger at that tolerance (docs/metric.md, items 1 and 2).

        ``_merger_up_to`` has counted the nodes by the rule of the variant.
        """
        return self.merger_up_to >= tolerance_nodes

    def is_counted(self, tolerance_nodes: float) -> NDArray[np.bool_]:
        """(n_pairs,) whether the row's skeleton has enough nodes in the segment to make it a merger."""
        return self.nodes >= max(tolerance_nodes, 1) if self.inclusive else self.nodes > tolerance_nodes

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
    """Result of scoring one volume; lengths in nm, ``to_json`` is what the command line and the server show.

    skeletons, nodes : of the skeletons that have length; the others have no score.
    """

    erl_nm: float
    gt_erl_nm: float
    tolerance_nodes: int
    tolerance_um: float
    mean_node_spacing_nm: float
    mean_length_nm: float
    skeletons: int
    nodes: int
    mergers: int
    edges_nm: dict[str, float]
    voxel_size_nm: tuple[float, float, float]
    no_merge_mask: bool
    metric_version: str = METRIC_VERSION
    variant: ScoringVariant = AXONEM
    table: RunTable | None = field(default=None, repr=False, compare=False)

    @property
    def normalized_erl(self) -> float:
        """ERL / GT ERL, 0 to 1."""
        return self.erl_nm / self.gt_erl_nm

    @property
    def erl_by_normaliser(self) -> float:
        """ERL by the variant's normaliser: nm where it has none; by the mean length a perfect result is 1 or more."""
        if self.variant.normaliser == "mean_length":
            return self.erl_nm / self.mean_length_nm
        return self.normalized_erl if self.variant.normaliser == "ground_truth_erl" else self.erl_nm

    @property
    def normalized_erl_at(self) -> dict[str, float]:
        """Normalised ERL at the variant's further tolerances, by their names: ``5``, ``inf``."""
        table = self.table
        if table is None:
            return {}
        return {f"{t:g}": table.erl_nm(t) / self.gt_erl_nm for t in self.variant.further_tolerances}

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON; the keys are part of the command line's contract."""
        return {
            "erl_nm": self.erl_nm,
            "gt_erl_nm": self.gt_erl_nm,
            "normalized_erl": self.normalized_erl,
            "tolerance_nodes": self.tolerance_nodes,
            "tolerance_um": self.tolerance_um,
            "mean_node_spacing_nm": self.mean_node_spacing_nm,
            "mean_length_nm": self.mean_length_nm,
            "skeletons": self.skeletons,
            "nodes": self.nodes,
            "mergers": self.mergers,
            "edges_nm": self.edges_nm,
            "voxel_size_nm": list(self.voxel_size_nm),
            "no_merge_mask": self.no_merge_mask,
            "metric_version": self.metric_version,
            "variant": self.variant.to_json(),
            "erl_by_normaliser": self.erl_by_normaliser,
            "normalized_erl_at": self.normalized_erl_at,
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
            f"metric version   {self.metric_version}, variant {self.variant.name}",
        ]


def run_table(graph: SkeletonGraph, sample: NodeSample, variant: ScoringVariant = AXONEM) -> RunTable:
    """The (skeleton, segment) table of a segmentation sampled at the nodes of ``graph``.

    variant : a rule that leaves the skeletons as they are, or one whose changes ``restrict`` has made.
    Raises InputError for a ground truth without length and for a sample of other nodes.
    """
    if graph.n_edges == 0 or float(graph.skeleton_length_nm.sum()) <= 0:
        raise InputError.of(
            "empty_ground_truth",
            "the ground truth has no skeleton with an edge, so there is nothing to score; lower the minimum length or "
            "check the labels that it was made from",
        )
    require_same_nodes(graph, sample)
    # By our own rule a skeleton without length takes no part, not even in making mergers.
    has_length = graph.skeleton_length_nm > 0
    skeleton_of_pair, segment, pair_of_node = index_pairs(graph.node_skeleton, sample.node_segment)
    skeleton = skeleton_of_pair.astype(np.int64)
    nodes = np.bincount(pair_of_node, minlength=len(skeleton))
    if not variant.isolated_nodes_merge:
        nodes[~has_length[skeleton]] = 0
    run_nm, omitted_nm, split_nm = _sum_edges(
        graph.edge_u, graph.edge_v, graph.edge_length_nm, pair_of_node, skeleton, segment == 0, graph.n_skeletons
    )
    return RunTable(
        skeleton=skeleton,
        segment=segment,
        nodes=nodes,
        run_nm=run_nm,
        merger_up_to=_merger_up_to(skeleton, segment, nodes, sample, variant),
        skeleton_length_nm=graph.skeleton_length_nm,
        omitted_nm=omitted_nm,
        split_nm=split_nm,
        inclusive=variant.inclusive,
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


def _merger_up_to(
    skeleton: NDArray[np.int64],
    segment: NDArray[np.uint64],
    nodes: NDArray[np.int64],
    sample: NodeSample,
    variant: ScoringVariant,
) -> NDArray[np.int64]:
    """For each row, the largest tolerance T at which its segment is a merger that loses its run here, or -1.

    Two skeletons with c >= max(T, 1): holds up to the second largest count of the segment; with c > T up to one less.
    More than T mask voxels: holds up to that number less one.
    By the rule of 2021 only in skeletons with a counted pair in some merger, which background can be too.
    """
    ids, row_segment = np.unique(segment, return_inverse=True)
    order = np.lexsort((-nodes, row_segment))
    first = np.searchsorted(row_segment[order], np.arange(len(ids)))
    second = first + 1
    counts_up_to = np.where(nodes > 0, nodes if variant.inclusive else nodes - 1, -1)
    limit = np.full(len(ids), -1, np.int64)
    has_second = second < np.append(first[1:], len(order))
    limit[has_second] = counts_up_to[order[second[has_second]]]
    if variant.no_merge_mask and sample.mask_segment is not None and sample.mask_voxels is not None:
        touched = np.bincount(row_segment, weights=nodes, minlength=len(ids)) > 0
        place = np.searchsorted(ids, sample.mask_segment)
        known = (place < len(ids)) & (ids[np.minimum(place, len(ids) - 1)] == sample.mask_segment)
        by_mask = np.full(len(ids), -1, np.int64)
        by_mask[place[known]] = sample.mask_voxels[known].astype(np.int64) - 1
        limit = np.maximum(limit, np.where(touched, by_mask, -1))
    lost_up_to = limit[row_segment]
    if variant.strike == "counted_pairs":
        reach = np.full(int(skeleton.max(initial=-1)) + 1, -1, np.int64)
        np.maximum.at(reach, skeleton, np.minimum(lost_up_to, counts_up_to))
        lost_up_to = np.minimum(lost_up_to, reach[skeleton])
    lost_up_to[segment == 0] = -1  # background is never a merger
    return lost_up_to


def score_nodes(
    graph: SkeletonGraph,
    sample: NodeSample | NDArray[Any],
    *,
    tolerance_nodes: int | None = None,
    variant: ScoringVariant = AXONEM,
) -> ErlReport:
    """Score the labels of a segmentation at the nodes of the ground truth.

    sample : a NodeSample, or (n_nodes,) integer labels exact up to uint64, 0 is background.
    tolerance_nodes : T >= 0; T = 1 (or 0) is the strict ERL. None is the variant's own.
    variant : the rule; the skeletons are cut, and background is numbered, where it says so.
    Raises InputError for an empty ground truth, other nodes, or a negative tolerance.
    """
    variant = variant.at_tolerance(tolerance_nodes)
    tolerance_nodes = variant.tolerance_nodes
    if not isinstance(sample, NodeSample):
        sample = NodeSample.of_labels(sample)
    graph, sample = restrict(graph, sample, variant)
    table = run_table(graph, sample, variant)
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
        mean_length_nm=table.mean_length_nm,
        skeletons=int((table.skeleton_length_nm > 0).sum()),
        nodes=int((table.skeleton_length_nm > 0)[graph.node_skeleton].sum()),
        mergers=len(np.unique(table.segment[merger])),
        edges_nm=edges,
        voxel_size_nm=graph.voxel_size_nm_zyx,
        no_merge_mask=variant.no_merge_mask and sample.mask_segment is not None,
        variant=variant,
        table=table,
    )
