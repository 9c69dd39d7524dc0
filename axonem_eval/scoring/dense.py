"""Adapted Rand error and variation of information against dense ground truth.

Both follow from one sparse table: how many voxels carry each pair (ground-truth label, segment). It is counted while
chunks stream by, one hash table a thread; nothing dense is ever built. Formulas: docs/metric.md, "Dense metrics".
"""

import math
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError, of_ground_truth
from axonem_eval.files import read_npz, write_atomically
from axonem_eval.sampling import PairCounter
from axonem_eval.scoring.overlap import Overlap, squares
from axonem_eval.scoring.scored_truth import ScoredTruth
from axonem_eval.scoring.variant import ALL_VOXELS, DenseRule
from axonem_eval.spec import format_triple
from axonem_eval.volumes import Labels, LabelVolume, for_each_chunk, native_unsigned

KEPT_BYTES = 512 << 20
# A segmentation of 200 Mvoxel into supervoxels of 1,000 voxels has about a million.
MAX_PAIRS = 20_000_000


@dataclass(frozen=True)
class OverlapTable:
    """Voxels of each pair of labels that occurs; label 0 is background on either side.

    truth, segment : (n,) uint64.   voxels : (n,) int64.
    """

    truth: NDArray[np.uint64]
    segment: NDArray[np.uint64]
    voxels: NDArray[np.int64]

    def save(self, path: str | Path) -> None:
        """Store the table in one .npz file, compressed."""
        arrays = {"truth": self.truth, "segment": self.segment, "voxels": self.voxels}
        write_atomically(Path(path), lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))

    @classmethod
    def load(cls, path: str | Path) -> "OverlapTable":
        """Read what ``save`` wrote. Raises InputError for a damaged file."""
        arrays = read_npz(Path(path))
        return cls(arrays["truth"], arrays["segment"], arrays["voxels"])


@dataclass(frozen=True)
class DenseScores:
    """Errors over the voxels that the ground truth labels; 0 is perfect.

    arand : adapted Rand error as the SNEMI3D script computes it, 0 to 1: a background voxel of the segmentation is a
        segment of its own.   arand_one_background : the same with all background of the segmentation taken as one
        segment, as scikit-image does.   The two agree where the segmentation leaves nothing unlabelled.
    arand_precision, arand_recall : of ``arand``; mergers lower the first, splits the second.
    voi_split, voi_merge : bits, H(segment | truth) and H(truth | segment), background of the segmentation as one
        segment.
    voxels : how many were scored.   background_share : the share of them without a segment.
    cremi_score : sqrt((voi_split + voi_merge) * arand).
    """

    arand: float
    arand_precision: float
    arand_recall: float
    arand_one_background: float
    voi_split: float
    voi_merge: float
    voxels: int
    background_share: float
    truth_labels: int
    segments: int

    @property
    def cremi_score(self) -> float:
        """Geometric mean of VOI and ARAND; 0 is perfect."""
        return math.sqrt((self.voi_split + self.voi_merge) * self.arand)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "cremi_score": self.cremi_score}

    def lines(self) -> list[str]:
        """For people."""
        return [
            f"ARAND            {self.arand:.4f} (SNEMI3D; {self.arand_one_background:.4f} with the background as one "
            "segment)",
            f"VOI              {self.voi_split:.4f} split, {self.voi_merge:.4f} merge (bits)",
            f"CREMI score      {self.cremi_score:.4f}",
            f"dense            {self.voxels:,} voxels, {self.truth_labels:,} labels, {self.segments:,} segments, "
            f"{100 * self.background_share:.2f}% without a segment",
        ]


def dense_scores(table: OverlapTable) -> DenseScores:
    """ARAND and VOI of a table of overlaps.

    Raises InputError where the ground truth has no label.
    """
    in_truth = table.truth != 0
    all_voxels = float(table.voxels.sum())
    if not in_truth.any():
        raise InputError.of(
            "empty_dense_ground_truth",
            "the dense ground truth has no voxel to score: all are background throughout, or left out by the border or "
            "the region of the scoring variant. Check that the file holds labels, and that the variant is its own",
        )
    overlap = Overlap.of(table.truth[in_truth], table.segment[in_truth], table.voxels[in_truth])
    n_ij = overlap.count
    labelled = table.segment[in_truth] != 0
    background = float(n_ij[~labelled].sum())
    of_background = np.zeros(len(overlap.per_segment), bool)
    of_background[overlap.segment_label[~labelled]] = True

    # A voxel that is a segment of its own is one pair with itself; the script adds their share of the volume instead.
    alone = background / all_voxels
    both = squares(n_ij[labelled]) + alone
    in_segment = squares(overlap.per_segment[~of_background]) + alone
    in_truth_label = squares(overlap.per_truth)
    precision, recall = both / in_segment if in_segment else 0.0, both / in_truth_label
    return DenseScores(
        arand=1.0 - 2.0 * both / (in_segment + in_truth_label),
        arand_precision=precision,
        arand_recall=recall,
        arand_one_background=1.0 - 2.0 * squares(n_ij) / (squares(overlap.per_segment) + in_truth_label),
        voi_split=overlap.voi_split,
        voi_merge=overlap.voi_merge,
        voxels=int(n_ij.sum()),
        background_share=background / float(n_ij.sum()),
        truth_labels=len(overlap.per_truth),
        segments=int((~of_background).sum()),
    )


class OverlapCounter:
    """Counts the overlaps of a segmentation with dense ground truth, chunk by chunk, from any number of threads."""

    def __init__(
        self,
        segmentation: LabelVolume,
        ground_truth: LabelVolume,
        rule: DenseRule = ALL_VOXELS,
        *,
        max_pairs: int = MAX_PAIRS,
    ) -> None:
        """Raises InputError where the two differ in shape, or do not allow the rule.

        max_pairs : pairs of a label and a segment that are kept in memory, at 48 bytes and more each.
        """
        if ground_truth.shape_zyx != segmentation.shape_zyx:
            raise InputError.of(
                "dense_shape",
                f"the dense ground truth has shape {format_triple(ground_truth.shape_zyx)}, the segmentation "
                f"{format_triple(segmentation.shape_zyx)} (z,y,x); they must cover the same voxels",
            )
        self._segmentation = segmentation
        self._truth = ScoredTruth(ground_truth, rule)
        if self._truth.reads_beyond or ground_truth.chunk_shape_zyx != segmentation.chunk_shape_zyx:
            ground_truth.kept_bytes = KEPT_BYTES
        self._local = threading.local()
        self._counters: list[PairCounter] = []
        self._max_pairs = max_pairs

    def add(self, chunk: int, labels: Labels) -> None:
        """Count a chunk of the segmentation, given by its index and its labels (clipped to the volume or not).

        Raises InputError where there are more pairs than ``max_pairs``, and GroundTruthError where the ground truth is
        damaged.
        """
        box = self._truth.scored(self._segmentation.chunk_box(chunk))
        if box is None:
            return
        origin = self._segmentation.chunk_origin(chunk)
        inside = tuple(slice(s.start - o, s.stop - o) for s, o in zip(box, origin, strict=True))
        with of_ground_truth():
            truth = _flat(self._truth.read(box))
        self._counter().add(
            truth,
            _flat(native_unsigned(self._segmentation, labels[inside], origin)),
        )
        if sum(len(counter) for counter in self._counters) > self._max_pairs:
            # No number: how many pairs there are tells something of the ground truth.
            raise InputError.of(
                "too_many_segments",
                f"{self._segmentation.path.name}: the segments are so many that their overlaps with the ground truth "
                "do not fit in memory. Join or remove fragments of a few voxels",
            )

    def _counter(self) -> PairCounter:
        if not hasattr(self._local, "counter"):
            self._local.counter = PairCounter()
            self._counters.append(self._local.counter)
        counter: PairCounter = self._local.counter
        return counter

    def table(self) -> OverlapTable:
        """All that was counted; call it when no thread adds any more."""
        total = PairCounter()
        for counter in self._counters:
            total.merge(counter)
        return OverlapTable(*total.table())


def truth_table(ground_truth: LabelVolume, rule: DenseRule = ALL_VOXELS, **options: Any) -> OverlapTable:
    """Voxels of each label of a dense ground truth that a rule scores, as its overlap with itself.

    options : those of ``for_each_chunk``.
    Raises InputError for a damaged chunk, where the volume does not allow the rule, and where no voxel is scored.
    """
    counter = OverlapCounter(ground_truth, ground_truth, rule)
    order = np.argsort(ground_truth.storage_rank(), kind="stable")
    for_each_chunk(ground_truth, order, lambda i, labels: counter.add(int(order[i]), labels), **options)
    table = counter.table()
    dense_scores(table)
    return table


def _flat(labels: Labels) -> Labels:
    """One-dimensional and read-only, so that one kernel is compiled for each pair of widths."""
    flat = np.ascontiguousarray(labels).reshape(-1)
    flat.flags.writeable = False
    return flat
