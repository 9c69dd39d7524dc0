"""A folder with all of one workshop: what was measured, what annotators said and what was decided.

workshop.json      the segmentation that it is about: file, dataset and voxel size
work/              what the skeletons were made from, with the checksum of the file; `new` goes on from it
skeletons.npz      skeletons of its segments
batches.npz        group and batch of each segment of ``LONG_UM`` and longer
candidates.json    likely errors with the corrections that they propose
labels.csv         one row for each label given; decisions.csv one for each decision. Rows are only ever added.
"""

import fcntl
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from axonem_eval.errors import InputError
from axonem_eval.files import read_npz, write_atomically
from axonem_eval.progress import StageProgress
from axonem_eval.skeletonize import skeletonize_labels
from axonem_eval.skeletons import SkeletonGraph
from axonem_eval.spec import FloatTriple
from axonem_eval.submission_rule import FileRule
from axonem_eval.volumes import ReadOptions, open_labels
from axonem_eval.workshop.candidates import Candidate, find_candidates
from axonem_eval.workshop.contacts import find_contacts
from axonem_eval.workshop.decisions import Correction, Cut, Decision
from axonem_eval.workshop.identify import Batches, make_batches
from axonem_eval.workshop.labels import SegmentLabel
from axonem_eval.workshop.segments import LONG_UM, Segments, Source, measure_segments
from axonem_eval.workshop.tables import decisions_csv, labels_csv, read_decisions, read_labels

VERSION = 1
_HEADER, _SKELETONS, _BATCHES, _CANDIDATES = "workshop.json", "skeletons.npz", "batches.npz", "candidates.json"
_LABELS, _DECISIONS, _WORK = "labels.csv", "decisions.csv", "work"


@dataclass(frozen=True)
class Workshop:
    """An opened folder."""

    folder: Path
    source: Source
    skeletons: SkeletonGraph
    segments: Segments
    batches: Batches
    candidates: list[Candidate]

    @classmethod
    def open(cls, folder: str | Path) -> "Workshop":
        """Read a folder that ``prepare_workshop`` wrote. Raises InputError for any other."""
        folder = Path(folder)
        try:
            header = json.loads((folder / _HEADER).read_text())
            if header["version"] != VERSION:
                raise ValueError
            z, y, x = (float(v) for v in header["voxel_size_nm_zyx"])
            path, dataset = str(header["labels"]), str(header["dataset"])
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError.of(
                "no_workshop", f"{folder}: no workshop of this version; make one with `axonem-eval workshop new`"
            ) from None
        skeletons = SkeletonGraph.load(folder / _SKELETONS)
        segments = measure_segments(skeletons, LONG_UM)
        stored = read_npz(folder / _BATCHES)
        batches = Batches(stored["group"], stored["batch"], stored["order"])
        rows = json.loads((folder / _CANDIDATES).read_text())
        return cls(
            folder,
            Source(path, (z, y, x), dataset or None),
            skeletons,
            segments,
            batches,
            list(map(candidate_of_json, rows)),
        )

    def labels(self) -> list[SegmentLabel]:
        """All labels that were given, in their order."""
        path = self.folder / _LABELS
        return read_labels(path) if path.exists() else []

    def decisions(self) -> list[Decision]:
        """All decisions, in their order."""
        path = self.folder / _DECISIONS
        return read_decisions(path) if path.exists() else []

    def add_labels(self, rows: Sequence[SegmentLabel]) -> None:
        """Store labels; several processes may do so at once."""
        _append(self.folder / _LABELS, labels_csv(rows))

    def add_decisions(self, rows: Sequence[Decision]) -> None:
        """Store decisions; several processes may do so at once."""
        _append(self.folder / _DECISIONS, decisions_csv(rows))

    def correction(self, name: str) -> Correction:
        """The correction of that name, of a candidate or of a decision. Raises InputError where there is none."""
        decided = (d.correction for d in self.decisions())
        found = next((c for c in (*(c.correction for c in self.candidates), *decided) if c.name == name), None)
        if found is None:
            raise InputError.of(
                "no_candidate", f"{name}: no such candidate; `axonem-eval workshop candidates {self.folder}` lists them"
            )
        return found

    def require_known(self, labels: Sequence[SegmentLabel], decisions: Sequence[Decision]) -> None:
        """Raise InputError where tables are of another segmentation: other segments, or places outside the volume."""
        known = set(self.segments.segment.tolist())
        other = [f"segment {row.segment}" for row in labels if row.segment not in known]
        places = [(row.segment, row.anchor_zyx) for row in labels]
        for decision in decisions:
            c = decision.correction
            places += [(c.segments[0], zyx) for zyx in (*c.this_side, *c.other_side)]
        shape = self.skeletons.shape_zyx
        other += [
            f"voxel {' '.join(map(str, zyx))} (of segment {segment})"
            for segment, zyx in places
            if any(v >= n for v, n in zip(zyx, shape, strict=True))
        ]
        if other:
            raise InputError.of(
                "other_segmentation",
                f"{other[0]} ({len(other):,} such) is not in this workshop, of {len(known):,} segments in a volume of "
                f"{' x '.join(map(str, shape))} voxels; import tables of the same segmentation. Nothing was added",
            )

    def label_rows(self, segments: Sequence[int], label: str, annotator: str, *, settles: bool) -> list[SegmentLabel]:
        """Rows that label segments now. Raises InputError where one of them is not to be identified."""
        row_of = {segment: row for row, segment in enumerate(self.segments.segment.tolist())}
        unknown = [segment for segment in segments if segment not in row_of]
        if unknown:
            raise InputError.of(
                "no_segment",
                f"segment {unknown[0]} ({len(unknown)} of {len(segments)}) is not among the {len(row_of):,} segments "
                f"of {LONG_UM:g} um and longer; `axonem-eval workshop batches {self.folder}` lists them",
            )
        anchors = self.segments.anchor_zyx.tolist()
        return [SegmentLabel(s, tuple(anchors[row_of[s]]), label, annotator, now(), settles) for s in segments]


def prepare_workshop(
    folder: str | Path,
    path: str | Path,
    voxel_size_nm_zyx: FloatTriple,
    *,
    dataset: str | None = None,
    trust_voxel_size: bool = False,
    processes: int = 1,
    on_progress: StageProgress | None = None,
) -> Workshop:
    """Measure a segmentation and write a new workshop; a call that was killed goes on where it stood.

    Raises InputError where the folder is another segmentation's workshop, and as ``skeletonize_labels`` does.
    """
    folder = Path(folder)
    if (folder / _HEADER).exists():
        raise InputError.of("workshop_exists", f"{folder}: is a workshop already; name a new folder")
    if folder.exists() and not folder.is_dir():
        raise InputError.of("no_folder", f"{folder}: this is a file; name a new folder")
    if folder.exists() and any(folder.iterdir()) and not (folder / _WORK).is_dir():
        raise InputError.of("folder_exists", f"{folder}: is not empty and no workshop; name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    graph = skeletonize_labels(
        path,
        voxel_size_nm_zyx,
        reading=ReadOptions(FileRule(dataset=dataset or ""), trust_voxel_size=trust_voxel_size),
        processes=processes,
        work_dir=folder / _WORK,
        on_progress=on_progress,
    )
    graph.save(folder / _SKELETONS)
    batches = make_batches(measure_segments(graph, LONG_UM))
    write_atomically(folder / _BATCHES, lambda file: np.savez(file, **vars(batches)))
    contacts = find_contacts(
        path,
        voxel_size_nm_zyx,
        dataset=dataset,
        on_progress=(lambda done, total: on_progress("contacts", done, total)) if on_progress else None,
    )
    found = find_candidates(path, graph, contacts, dataset=dataset)
    _write_json(folder / _CANDIDATES, [candidate_json(candidate) for candidate in found])
    with open_labels(path, dataset) as volume:
        header = {"labels": str(volume.path.resolve()), "dataset": volume.info.dataset}
    # Last: with it the folder is a workshop.
    _write_json(folder / _HEADER, {"version": VERSION, **header, "voxel_size_nm_zyx": list(voxel_size_nm_zyx)})
    return Workshop.open(folder)


def candidate_json(candidate: Candidate) -> dict[str, Any]:
    """A candidate as plain data; ids are decimal strings."""
    data = asdict(candidate)
    data["correction"]["segments"] = [str(segment) for segment in candidate.correction.segments]
    return {**data, "name": candidate.correction.name}


def candidate_of_json(data: dict[str, Any]) -> Candidate:
    """What ``candidate_json`` wrote."""
    row = data["correction"]
    cut = row["cut"] and Cut(tuple(row["cut"]["point_zyx"]), tuple(row["cut"]["normal_zyx"]), row["cut"]["radius_nm"])
    this_side, other_side = (tuple(tuple(voxel) for voxel in row[side]) for side in ("this_side", "other_side"))
    segments = tuple(int(segment) for segment in row["segments"])
    correction = Correction(row["kind"], segments, this_side, other_side, cut or None)
    return Candidate(correction, data["score"], data["ranked_by"], data["gain"])


def now() -> str:
    """The time as tables hold it."""
    return datetime.now(UTC).isoformat()


def _write_json(path: Path, data: Any) -> None:
    text = json.dumps(data)
    write_atomically(path, lambda file: file.write(text.encode()))


def _append(path: Path, table: str) -> None:
    """Add the rows of a table to a file, with its first line where the file is new."""
    with open(path, "a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        header, _, rows = table.partition("\n")
        file.write(rows if file.tell() else f"{header}\n{rows}")
        file.flush()
        os.fsync(file.fileno())
