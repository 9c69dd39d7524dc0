"""Marks of an entry: what sets it apart from entries that keep to a benchmark's usual rules.

A team declares them and an organiser may change them. Boards show them in words, and readers filter by them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Mark:
    """field : of Submission, and of the API and the client's file.   label : on boards.   words : what it means."""

    field: str
    label: str
    words: str


EXTRA_DATA = Mark(
    "extra_training_data", "extra training data", "trained on more than the benchmark’s own training data"
)
FIXED_BY_HAND = Mark("manual_fixup", "manual fix-up", "somebody corrected the segmentation by hand")
MADE_GROUND_TRUTH = Mark(
    "made_ground_truth", "made the ground truth", "the ground truth began as a segmentation by this method"
)
MARKS = (EXTRA_DATA, FIXED_BY_HAND, MADE_GROUND_TRUTH)
MARK_FIELDS = tuple(mark.field for mark in MARKS)


def marks_of(values: Iterable[Any]) -> tuple[Mark, ...]:
    """The marks that are set. values : of MARK_FIELDS, in their order."""
    return tuple(mark for mark, is_set in zip(MARKS, values, strict=True) if is_set)
