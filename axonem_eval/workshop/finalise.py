"""From identified and proofread segments to a benchmark volume: axons, no-merge mask, skeletons and a data sheet."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from axonem_eval.errors import Complaint, raise_all
from axonem_eval.files import write_atomically
from axonem_eval.progress import StageProgress
from axonem_eval.sampling import sample_nodes
from axonem_eval.skeletonize import SkeletonOptions, skeletonize_labels
from axonem_eval.skeletons import SkeletonGraph, connected_pieces
from axonem_eval.spec import FloatTriple
from axonem_eval.volumes import LabelVolume, label_file, open_labels, read_small
from axonem_eval.workshop.apply import CHUNK_ZYX, Applied, apply_corrections
from axonem_eval.workshop.cut_pieces import boxes_of
from axonem_eval.workshop.decisions import SPLIT, Correction, Decision, accepted, standing
from axonem_eval.workshop.labels import SegmentLabel, agreement, consensus
from axonem_eval.workshop.relabel import substitute
from axonem_eval.workshop.segments import LONG_UM, Segments, Source, measure_segments

AXONS, MASK, BUNDLE, SHEET = "axons.h5", "no_merge_mask.h5", "skeletons.npz", "data_sheet.json"
SHEET_SCHEMA = "axonem-data-sheet"
# Of segments that stand in the way so many are named.
MOST_NAMED = 10


@dataclass(frozen=True)
class Finalised:
    """A benchmark volume in a folder: AXONS, MASK, BUNDLE and SHEET."""

    skeletons: SkeletonGraph = field(repr=False)
    applied: Applied
    sheet: dict[str, Any] = field(repr=False)


def finalise(
    source: Source,
    measured: SkeletonGraph,
    labels: Sequence[SegmentLabel],
    decisions: Sequence[Decision],
    folder: str | Path,
    *,
    processes: int = 1,
    on_progress: StageProgress | None = None,
) -> Finalised:
    """Write a benchmark volume into an existing folder.

    The accepted decisions are applied to the labels of ``source``. A segment that was joined or cut keeps what it was
    labelled as. Axons of at least ``LONG_UM`` get skeletons. The no-merge mask holds dendrites and glia; uncertain and
    short segments are in neither, because they may be parts of an axon.
    measured : skeletons of all segments of ``source``.
    Raises InputError while a long segment is not labelled, annotators disagree or joined segments differ in label.
    """
    folder, size = Path(folder), source.voxel_size_nm_zyx
    agreed = consensus(labels)
    segments = measure_segments(measured, LONG_UM)
    open_work = _open_work(segments, agreed.label, len(agreed.disagreements))
    raise_all([*open_work, *_unlabelled_joins(measured, agreed.label, accepted(decisions))])
    corrected = folder / ".corrected.h5"
    try:
        applied = apply_corrections(
            source.path, accepted(decisions), corrected, size, dataset=source.dataset, on_progress=on_progress
        )
        with open_labels(corrected) as volume:
            label_of = _labels_after(volume, agreed.label, agreed.anchor_zyx, applied)
            _write_axons_and_mask(volume, folder, size, label_of, on_progress)
        graph = skeletonize_labels(
            folder / AXONS,
            size,
            SkeletonOptions(min_length_um=LONG_UM),
            processes=processes,
            on_progress=on_progress,
        )
    finally:
        corrected.unlink(missing_ok=True)
    graph.save(folder / BUNDLE)
    sheet = data_sheet(segments, labels, decisions, graph, label_of)
    text = json.dumps(sheet, indent=2)
    write_atomically(folder / SHEET, lambda file: file.write(text.encode()))
    return Finalised(graph, applied, sheet)


def _open_work(segments: Segments, label_of: dict[int, str], disagreements: int) -> list[Complaint]:
    complaints = []
    if disagreements:
        words = f"annotators disagree on {disagreements:,} segments; settle each of them first"
        complaints.append(Complaint("disagreement", words))
    missing = [i for i in segments.segment.tolist() if i not in label_of]
    if len(missing) > disagreements:
        named = ", ".join(map(str, missing[:MOST_NAMED]))
        words = (
            f"{len(missing) - disagreements:,} of {len(segments):,} segments have no label, such as {named}; label them"
        )
        complaints.append(Complaint("unlabelled", words))
    return complaints


def _unlabelled_joins(
    measured: SkeletonGraph, label_of: dict[int, str], corrections: Sequence[Correction]
) -> list[Complaint]:
    """Joined segments that are long only together, so that nobody was asked what they are."""
    pairs = np.array([c.segments for c in corrections if c.kind == SPLIT], np.uint64).reshape(-1, 2)
    ids, place = np.unique(pairs, return_inverse=True)
    a, b = place.reshape(-1, 2).T
    group = connected_pieces(len(ids), a, b)
    length = dict(zip(measured.skeleton_id.tolist(), measured.skeleton_length_nm.tolist(), strict=True))
    total = np.bincount(group, weights=[length.get(i, 0.0) for i in ids.tolist()])
    named = np.bincount(group, weights=[i in label_of for i in ids.tolist()])
    found = np.flatnonzero((total >= LONG_UM * 1000) & (named == 0))
    if not len(found):
        return []
    example = " and ".join(map(str, ids[group == found[0]].tolist()[:3]))
    words = (
        f"{len(found):,} joined segments of {LONG_UM:g} um and longer have no label, such as that of {example}; write "
        "the corrected labels (`axonem-eval workshop apply`) and begin a new workshop on them"
    )
    return [Complaint("unlabelled_join", words)]


def _labels_after(
    volume: LabelVolume, label_of: dict[int, str], anchor_of: dict[int, tuple[int, int, int]], applied: Applied
) -> dict[int, str]:
    """Label of each segment of the corrected volume. Raises InputError where segments of two kinds were joined."""
    ids = sorted(label_of)
    anchors = np.array([anchor_of[i] for i in ids], np.int32).reshape(-1, 3)
    after = sample_nodes(volume, anchors).node_segment.tolist() if ids else []
    found: dict[int, dict[str, int]] = {}
    for segment, now in zip(ids, after, strict=True):
        found.setdefault(now, {}).setdefault(label_of[segment], segment)
    for part, segment in applied.parts.items():
        if segment in label_of and part not in found:
            found[part] = {label_of[segment]: segment}
    complaints = [
        Complaint(
            "joined_kinds",
            "segments "
            + " and ".join(f"{of[label]} ({label})" for label in of)
            + " were joined: undo the join, or give "
            "them one label",
        )
        for of in found.values()
        if len(of) > 1
    ]
    raise_all(complaints[:MOST_NAMED])
    return {now: next(iter(of)) for now, of in found.items()}


def _write_axons_and_mask(
    volume: LabelVolume,
    folder: Path,
    voxel_size_nm_zyx: FloatTriple,
    label_of: dict[int, str],
    on_progress: StageProgress | None,
) -> None:
    """Write AXONS, the labels of the axons, and MASK, 1 on dendrites and glia; both are 0 elsewhere."""
    axon, other = (
        np.array(sorted(i for i, label in label_of.items() if label in kinds), np.uint64)
        for kinds in (("axon",), ("dendrite", "glia"))
    )
    dtype, shape, boxes = np.dtype(volume.dtype), volume.shape_zyx, boxes_of(volume)
    with (
        label_file(folder / AXONS, shape, dtype, voxel_size_nm_zyx, chunk_zyx=CHUNK_ZYX) as axons,
        label_file(folder / MASK, shape, np.uint8, voxel_size_nm_zyx, chunk_zyx=CHUNK_ZYX) as mask,
    ):
        for done, box in enumerate(boxes, start=1):
            labels = read_small(volume, box, (1, 1, 1))
            axons[box] = substitute(labels, axon, axon, others=0).astype(dtype)
            mask[box] = substitute(labels, other, np.ones_like(other), others=0).astype(np.uint8)
            if on_progress:
                on_progress("write", done, len(boxes))


def data_sheet(
    segments: Segments,
    labels: Sequence[SegmentLabel],
    decisions: Sequence[Decision],
    graph: SkeletonGraph,
    label_of: dict[int, str],
) -> dict[str, Any]:
    """How a volume was made: counts, annotators, their agreement, decisions. Plain data with a stable schema."""
    hold = standing(decisions)
    length = graph.skeleton_length_nm
    return {
        "schema": SHEET_SCHEMA,
        "schema_version": 1,
        "shape": list(graph.shape_zyx),
        "voxel_size_nm": list(graph.voxel_size_nm_zyx),
        "min_length_um": LONG_UM,
        "segments_identified": len(segments),
        "segments_by_label": dict(sorted(Counter(label_of.values()).items())),
        "annotators": dict(sorted(Counter(row.annotator for row in labels).items())),
        "settled_disagreements": sum(row.settles for row in labels),
        "agreement": [asdict(pair) for pair in agreement(labels)],
        "decisions": {
            f"{kind} {verdict}": n
            for (kind, verdict), n in sorted(Counter((d.correction.kind, d.verdict) for d in hold.values()).items())
        },
        "decided_by": dict(sorted(Counter(d.author for d in hold.values()).items())),
        "axons": graph.n_skeletons,
        "cable_nm": float(length.sum()),
        "median_length_nm": float(np.median(length)),
        "longest_nm": float(length.max()),
        "gt_erl_nm": graph.gt_erl_nm,
        "traced_coarsely": graph.traced_coarsely,
        "skeletons_sha256": graph.checksum(),
    }
