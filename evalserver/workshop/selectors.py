"""What the pages of a workshop read."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from django.db.models import Prefetch, Q, QuerySet

from axonem_eval.workshop import (
    Batches,
    Consensus,
    SegmentLabel,
    Segments,
    Suggestion,
    accepted,
    candidate_of_json,
    long_joins,
    suggest,
)
from axonem_eval.workshop import (
    Decision as LibraryDecision,
)
from evalserver.accounts.models import User
from evalserver.workshop.models import Candidate, Decision, Label, Segment, Workshop


def labels_of(workshop: Workshop) -> list[SegmentLabel]:
    """All labels as the library takes them."""
    rows = Label.objects.filter(segment__workshop=workshop).select_related("segment", "annotator")
    return [
        SegmentLabel(
            int(row.segment.name),
            tuple(row.segment.anchor_zyx),
            row.label,
            row.annotator.email,
            row.at.isoformat(),
            row.settles,
        )
        for row in rows
    ]


def decisions_of(workshop: Workshop) -> list[LibraryDecision]:
    """All decisions as the library takes them, in their order."""
    rows = Decision.objects.filter(candidate__workshop=workshop).select_related("candidate", "author")
    return [
        LibraryDecision(
            candidate_of_json(row.candidate.data).correction, row.verdict, row.author.email, row.at.isoformat()
        )
        for row in rows.order_by("at", "number")
    ]


def suggestions(workshop: Workshop, label_of: dict[int, str]) -> dict[int, Suggestion]:
    """What each batch probably is, from what is labelled."""
    columns = ("name", "batch", "volume_um3", "length_um", "width_nm")
    rows = list(workshop.segments.exclude(batch=None).order_by("position").values_list(*columns))
    if not rows:
        return {}
    name, batch, volume, length, width = zip(*rows, strict=True)
    table = Segments(
        np.array([int(n) for n in name], np.uint64),
        np.zeros(len(rows), np.int64),
        np.array(volume),
        np.array(length) * 1000.0,
        np.array(width),
        np.zeros((len(rows), 3), np.int32),
    )
    batches = Batches(np.zeros(len(rows), np.int64), np.array(batch, np.int64), np.arange(len(rows)))
    return suggest(table, batches, label_of)


def batch_rows(workshop: Workshop, agreed: Consensus) -> list[dict[str, Any]]:
    """Each batch: number, segments, and how many of them have no agreed label."""
    rows: dict[int, dict[str, Any]] = {}
    for batch, name in workshop.segments.order_by("batch").values_list("batch", "name"):
        if batch is None:
            continue
        row = rows.setdefault(batch, {"batch": batch, "segments": 0, "left": 0})
        row["segments"] += 1
        row["left"] += int(name) not in agreed.label
    return list(rows.values())


def segments_of(workshop: Workshop, batch: int) -> QuerySet[Segment]:
    """The segments of a batch with their labels, without the pictures."""
    labels = Prefetch("labels", Label.objects.select_related("annotator"))
    return workshop.segments.filter(batch=batch).defer("picture").prefetch_related(labels)


def unlabelled_joins(workshop: Workshop, agreed: Consensus) -> list[dict[str, Any]]:
    """Segments that are long only since they were joined, none of which has a label: `segments` and `length_um`."""
    corrections = accepted(decisions_of(workshop))
    names = {str(name) for correction in corrections for name in correction.segments}
    rows = {int(row.name): row for row in workshop.segments.filter(name__in=names).defer("picture")}
    groups = long_joins(corrections, {name: row.length_um * 1000 for name, row in rows.items()})
    answered = agreed.label.keys() | {row.segment for row in agreed.disagreements}
    found = [[rows[name] for name in group if name in rows] for group in groups if answered.isdisjoint(group)]
    return [{"segments": group, "length_um": sum(row.length_um for row in group)} for group in found if group]


def with_choice(segments: Iterable[Segment], user: User) -> list[Segment]:
    """Segments with `chosen`: whether this annotator has not labelled it yet; all of them where all are labelled."""
    rows = list(segments)
    left = [all(label.annotator_id != user.pk for label in row.labels.all()) for row in rows]
    for row, is_left in zip(rows, left, strict=True):
        row.chosen = is_left or not any(left)  # type: ignore[attr-defined]
    return rows


def is_labelled(workshop: Workshop, batch: int, user: User) -> bool:
    """Whether an annotator has labelled all segments of a batch."""
    return not workshop.segments.filter(batch=batch).exclude(labels__annotator=user).exists()


def with_decision(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Candidates with `last`, the decision that holds, and `seen`, the number of the last one."""
    found = []
    for row in candidates:
        decisions = list(row.decisions.all())
        row.seen = decisions[-1].number if decisions else 0  # type: ignore[attr-defined]
        holds = bool(decisions) and decisions[-1].verdict != "undone"
        row.last = decisions[-1] if holds else None  # type: ignore[attr-defined]
        found.append(row)
    return found


def candidates_of(workshop: Workshop, kind: str) -> QuerySet[Candidate]:
    """Likely errors of a kind with their decisions."""
    decisions = Prefetch("decisions", Decision.objects.select_related("author").order_by("number"))
    rows = workshop.candidates.filter(kind=kind).annotate(has_picture=~Q(picture=b"")).defer("picture")
    return rows.order_by("place").prefetch_related(decisions)
