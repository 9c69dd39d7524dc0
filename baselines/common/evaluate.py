"""Scores of a segmentation, by the scorer that the server uses: tolerant ERL, ARAND, VOI."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.sampling import PairCounter
from axonem_eval.scoring import OverlapTable, dense_scores, score_nodes
from axonem_eval.skeletons import SkeletonGraph
from axonem_eval.synthetic import write_labels
from baselines.common.config import EvaluateConfig
from baselines.common.config_types import FloatTriple
from baselines.common.data import checksum

Scores = dict[str, Any]


@dataclass(frozen=True)
class Truth:
    """Ground truth of a volume: labels (z,y,x), 0 is not scored; skeletons, or None where they cannot be made."""

    labels: NDArray[np.uint32]
    graph: SkeletonGraph | None


def make_truth(
    labels: NDArray[np.uint32], voxel_size_nm_zyx: FloatTriple, config: EvaluateConfig, folder: Path, name: str
) -> Truth:
    """Write the labels and their skeletons into a folder, once, for this and for the command-line scorer.

    Without the extra [groundtruth] (kimimaro) there are no skeletons, and scores lack the ERL.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{name}-{checksum(labels)[:12]}"  # other labels need other skeletons
    file, bundle = folder / f"{stem}-labels.h5", folder / f"{stem}-skeletons.npz"
    if not bundle.exists():
        write_labels(file, labels, voxel_size_nm_zyx)
        try:
            from axonem_eval.skeletonize import SkeletonOptions, skeletonize_labels

            graph = skeletonize_labels(
                file,
                voxel_size_nm_zyx,
                SkeletonOptions(min_length_um=config.min_length_um, target_voxel_nm=config.target_voxel_nm),
            )
        except ImportError:
            return Truth(labels, None)
        graph.save(bundle)
    return Truth(labels, SkeletonGraph.load(bundle))


def overlaps(pieces: Iterable[tuple[NDArray[Any], NDArray[Any]]]) -> OverlapTable:
    """Table of (truth, fragment) from pairs of label arrays of equal shape, block by block."""
    counter = PairCounter()
    for truth, fragments in pieces:
        counter.add(np.ascontiguousarray(truth).reshape(-1), np.ascontiguousarray(fragments).reshape(-1))
    return OverlapTable(*counter.table())


def renamed(table: OverlapTable, lookup: NDArray[np.integer]) -> OverlapTable:
    """The table after fragment k became lookup[k]."""
    segment = lookup[table.segment.astype(np.int64)].astype(np.uint64)
    order = np.lexsort((segment, table.truth))
    truth, segment, voxels = table.truth[order], segment[order], table.voxels[order]
    new = np.ones(len(truth), bool)
    new[1:] = (truth[1:] != truth[:-1]) | (segment[1:] != segment[:-1])
    start = np.flatnonzero(new)
    return OverlapTable(truth[start], segment[start], np.add.reduceat(voxels, start))


def scores(
    table: OverlapTable, graph: SkeletonGraph | None, node_segment: NDArray[Any] | None, config: EvaluateConfig
) -> Scores:
    """ARAND and VOI (bits) over voxels that the truth labels, and tolerant ERL in nm where there are skeletons."""
    dense = dense_scores(table)
    found: Scores = {
        "arand_error": dense.arand,
        "arand_one_background": dense.arand_one_background,
        "voi_split": dense.voi_split,
        "voi_merge": dense.voi_merge,
        "voi_sum": dense.voi_split + dense.voi_merge,
        "segments": dense.segments,
        "background_share": dense.background_share,
    }
    if graph is not None and node_segment is not None:
        report = score_nodes(graph, node_segment, tolerance_nodes=config.tolerance_nodes)
        found["erl"] = report.to_json()
    return found


def score_labels(truth: Truth, labels: NDArray[Any], config: EvaluateConfig) -> Scores:
    """Scores of a segmentation (z,y,x) in memory. Raises InputError where its shape is not the truth's."""
    if labels.shape != truth.labels.shape:
        raise InputError.of(
            "wrong_shape", f"the segmentation has shape {labels.shape}, the ground truth {truth.labels.shape} (z,y,x)"
        )
    nodes = None if truth.graph is None else labels[tuple(truth.graph.node_voxel_zyx.T)]
    return scores(overlaps([(truth.labels, labels)]), truth.graph, nodes, config)


def best(sweep: list[Scores], choose_by: str, *, within: float = 0.0) -> Scores:
    """The row of a sweep that is best by arand_error, voi_sum (lowest) or erl (highest).

    within : each row is judged by the mean over all thresholds this close. This takes the centre of the range of good
    thresholds: at its edge one wrong merge changes the score, and on another volume the edge lies elsewhere.
    """
    if choose_by == "erl" and not all("erl" in row for row in sweep):
        choose_by = "voi_sum"
    score = np.array([row["erl"]["erl_nm"] if choose_by == "erl" else -row[choose_by] for row in sweep])
    threshold = np.array([row["threshold"] for row in sweep])
    near = np.abs(threshold[:, None] - threshold) <= within + 1e-9
    return sweep[int(np.argmax((near * score).sum(1) / near.sum(1)))]


def lines(rows: list[tuple[str, Scores]]) -> list[str]:
    """The scores as the lines of a text table."""
    text = [f"{'':<34}{'ARAND':>8}{'VOI split':>11}{'merge':>8}{'sum':>8}{'ERL um':>9}{'% of GT':>9}{'mergers':>9}"]
    for name, row in rows:
        erl = row.get("erl")
        run = (
            f"{erl['erl_nm'] / 1e3:>9.3f}{100 * erl['normalized_erl']:>9.1f}{erl['mergers']:>9}" if erl else f"{'-':>9}"
        )
        text.append(
            f"{name:<34}{row['arand_error']:>8.4f}{row['voi_split']:>11.3f}{row['voi_merge']:>8.3f}"
            f"{row['voi_sum']:>8.3f}{run}"
        )
    return text
