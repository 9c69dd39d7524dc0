"""What annotators say a segment is: the table, what they agree on, and where they differ."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from axonem_eval.spec import Triple

CLASSES = ("axon", "dendrite", "glia", "uncertain")


@dataclass(frozen=True)
class SegmentLabel:
    """One annotator's label of one segment. at : time, ISO 8601 in UTC.   anchor_zyx : a voxel of the segment.

    settles : the label ends a disagreement: it overrides all labels before it.
    """

    segment: int
    anchor_zyx: Triple
    label: str
    annotator: str
    at: str
    settles: bool = False


@dataclass(frozen=True)
class Disagreement:
    """A segment with several labels. votes : annotator -> label."""

    segment: int
    anchor_zyx: Triple
    votes: dict[str, str]


@dataclass(frozen=True)
class Consensus:
    """What the annotators agree on.

    label : segment id -> the label that all who labelled it gave.   anchor_zyx : segment id -> a voxel of it.
    """

    label: dict[int, str]
    anchor_zyx: dict[int, Triple]
    disagreements: list[Disagreement]


@dataclass(frozen=True)
class Agreement:
    """Two annotators on the segments that both labelled, settling labels apart.

    same : segments with the same label.   kappa : Cohen's kappa, 1 perfect, 0 chance; None where chance alone gives it.
    """

    annotators: tuple[str, str]
    segments: int
    same: int
    kappa: float | None


def consensus(rows: Iterable[SegmentLabel]) -> Consensus:
    """Take the latest label of each annotator; a settling label removes those before it.

    rows : in any order; those of equal time in the order given.
    """
    votes: dict[int, dict[str, str]] = defaultdict(dict)
    anchor: dict[int, Triple] = {}
    for row in sorted(rows, key=lambda row: row.at):
        if row.settles:
            votes[row.segment].clear()
        votes[row.segment][row.annotator] = row.label
        anchor[row.segment] = row.anchor_zyx
    agreed = {segment: next(iter(of.values())) for segment, of in votes.items() if len(set(of.values())) == 1}
    differ = [Disagreement(s, anchor[s], of) for s, of in sorted(votes.items()) if len(set(of.values())) > 1]
    return Consensus(agreed, anchor, differ)


def agreement(rows: Sequence[SegmentLabel]) -> list[Agreement]:
    """Agreement of each pair of annotators, by their latest labels. Cohen, Educ. Psychol. Meas. 20:37, 1960."""
    of: dict[str, dict[int, str]] = defaultdict(dict)
    for row in sorted(rows, key=lambda row: row.at):
        if not row.settles:
            of[row.annotator][row.segment] = row.label
    found = []
    for first, second in combinations(sorted(of), 2):
        shared = of[first].keys() & of[second].keys()
        if not shared:
            continue
        pairs = [(of[first][s], of[second][s]) for s in shared]
        same, n = sum(a == b for a, b in pairs), len(pairs)
        one, other = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
        chance = sum(one[label] * other[label] for label in one) / n**2
        kappa = None if chance == 1 else (same / n - chance) / (1 - chance)
        found.append(Agreement((first, second), n, same, kappa))
    return found
