"""What was decided about each candidate, by whom and when; and what of it holds now.

A decision says by itself what is to be done: the table of decisions can be applied, exported and imported without the
list of candidates. Decisions are added and never changed: undoing one is another row.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from axonem_eval.spec import FloatTriple, Triple

SPLIT, MERGER = "split", "merger"
KINDS = (SPLIT, MERGER)
VERDICTS = ("accepted", "rejected", "postponed", "undone")


@dataclass(frozen=True)
class Cut:
    """A plane across a segment, z,y,x: voxels nearer than ``radius_nm`` to the point part where the plane lies."""

    point_zyx: Triple
    normal_zyx: FloatTriple
    radius_nm: float


@dataclass(frozen=True)
class Correction:
    """How a likely error is corrected: a split by joining two segments, a merger by cutting one.

    segments : the two that are joined, or the one that is cut.
    this_side, other_side : voxels z,y,x. Of a split one in each segment. Of a merger those of the one axon and those of
        the other: each side stays whole, and both are parted.
    cut : of a merger, the plane; None where the voxels of both sides alone say how it is cut (``part_by_points``).
    """

    kind: str
    segments: tuple[int, ...]
    this_side: tuple[Triple, ...]
    other_side: tuple[Triple, ...]
    cut: Cut | None = None

    @property
    def is_by_points(self) -> bool:
        """Whether it cuts a segment by the voxels of its two sides."""
        return self.kind == MERGER and self.cut is None

    @property
    def name(self) -> str:
        """Names the candidate in lists, tables and addresses; the same correction always has the same name."""
        if self.is_by_points:
            sides = str((sorted(self.this_side), sorted(self.other_side)))
            return f"{self.kind}-{self.segments[0]}-points-{hashlib.sha256(sides.encode()).hexdigest()[:12]}"
        at = self.cut.point_zyx if self.cut else self.this_side[0]
        return "-".join([self.kind, *map(str, self.segments), ".".join(map(str, at))])


@dataclass(frozen=True)
class Decision:
    """One verdict on one candidate. at : time, ISO 8601 in UTC."""

    correction: Correction
    verdict: str
    author: str
    at: str


def standing(decisions: Iterable[Decision]) -> dict[str, Decision]:
    """The decision that holds for each candidate by name: the latest, if it is not undone.

    decisions : in the order in which they were made; two tables that were joined are sorted by time first.
    """
    latest = {}
    for decision in sorted(decisions, key=lambda d: d.at):
        latest[decision.correction.name] = decision
    return {name: decision for name, decision in latest.items() if decision.verdict != "undone"}


def accepted(decisions: Iterable[Decision]) -> list[Correction]:
    """The corrections to apply."""
    return [d.correction for d in standing(decisions).values() if d.verdict == "accepted"]
