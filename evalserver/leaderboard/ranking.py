"""The ranking of a phase as arrays: made from the database when it has changed, kept in the process until then.

Names are not in it: pages read those of the rows that they show, so that a rename is seen at once.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from threading import Lock

import numpy as np
from django.db.models import Count, F, Sum
from numpy.typing import NDArray

from axonem_eval.erl import METRIC_VERSION
from evalserver.benchmarks.models import GroundTruth, Phase
from evalserver.submissions.models import LISTED, Evaluation, Score, Submission

KEPT_PHASES = 32

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
# What a ranking depends on: the ruler, how many entries are listed and which, what they replace, the newest score.
Stamp = tuple[str, tuple[int, ...], tuple[int, ...], tuple[int, datetime] | None]


@dataclass(frozen=True)
class Ranking:
    """Listed entries under one ruler, best first; equal scores share a rank (1, 2, 2, 4), the earlier one first.

    superseded : a newer listed entry of the team stands in its place. Such an entry has no rank (0), and the ranks of
        the others are as if it were not there.
    place : what the rank would be if no entry were superseded.
    All arrays are (n,), but erl_nm and normalized_erl (n, n_volumes), NaN where there is no evaluation.
    submitted_at, scored_at : seconds since 1970.   low_nm, high_nm : NaN where no interval was computed.
    """

    submission: Ints
    team: Ints
    superseded: NDArray[np.bool_]
    rank: Ints
    place: Ints
    mean_erl_nm: Floats
    mean_normalized_erl: Floats
    low_nm: Floats
    high_nm: Floats
    submitted_at: Floats
    scored_at: Floats
    erl_nm: Floats
    normalized_erl: Floats

    def __len__(self) -> int:
        return len(self.submission)

    def column(self, name: str, volume_slugs: Sequence[str]) -> Floats | None:
        """Values to sort by; None for an unknown name."""
        plain = {
            "rank": self.place,
            "mean": self.mean_erl_nm,
            "percent": self.mean_normalized_erl,
            "low": self.low_nm,
            "date": self.submitted_at,
        }
        if name in plain:
            return plain[name].astype(np.float64)
        slug, _, unit = name.removeprefix("erl-").rpartition(".")
        if not name.startswith("erl-") or slug not in volume_slugs:
            return None
        table = {"um": self.erl_nm, "percent": self.normalized_erl}.get(unit)
        return None if table is None else table[:, list(volume_slugs).index(slug)]

    @cached_property
    def best_over_time(self) -> Ints:
        """Indices of the entries that were the best of all when they were submitted, oldest first.

        Also of what was superseded later: it was the best then.
        """
        if not len(self):
            return np.zeros(0, np.int64)
        order = np.lexsort((self.place, self.submitted_at))
        value = self.mean_erl_nm[order]
        before = np.concatenate([[-1.0], np.maximum.accumulate(value)[:-1]])
        return order[value > before]


def stamp(phase: Phase, ruler: str, volume_ids: Sequence[int]) -> Stamp:
    """Value that changes when the ranking may. Scores never change, so it depends on which entries are listed.

    The sums of products distinguish sets whose sums are equal.
    """
    listed = Submission.objects.filter(LISTED, phase=phase).aggregate(
        count=Count("id"),
        total=Sum("id"),
        squares=Sum(F("id") * F("id")),
        replaced=Sum("supersedes_id"),
        replacements=Sum(F("id") * F("supersedes_id")),
    )
    # Its time as well: ids begin anew where a database is restored or a test is rolled back.
    newest = Score.objects.filter(ruler=ruler).order_by("-id").values_list("id", "created_at").first()
    return (ruler, tuple(volume_ids), tuple(int(value or 0) for value in listed.values()), newest)


_kept: "OrderedDict[int, tuple[Stamp, Ranking]]" = OrderedDict()
_lock = Lock()


def ranking(phase: Phase, ruler: str, ground_truths: Sequence[GroundTruth]) -> Ranking:
    """The phase's ranking now. ground_truths : of each volume, in the order of the table."""
    wanted = stamp(phase, ruler, [g.volume_id for g in ground_truths])
    with _lock:
        known = _kept.get(phase.pk)
        if known and known[0] == wanted:
            _kept.move_to_end(phase.pk)
            return known[1]
    made = load_ranking(phase, ruler, ground_truths)
    with _lock:
        _kept[phase.pk] = (wanted, made)
        while len(_kept) > KEPT_PHASES:
            _kept.popitem(last=False)
    return made


def load_ranking(phase: Phase, ruler: str, ground_truths: Sequence[GroundTruth]) -> Ranking:
    """Read it from the database, in three queries."""
    rows = list(
        Score.objects.filter(
            ruler=ruler,
            submission__in=Submission.objects.filter(LISTED, phase=phase),
        )
        .order_by("-mean_erl_nm", "submission__created_at", "pk")
        .values_list(
            *("submission_id", "submission__team_id", "mean_erl_nm", "mean_normalized_erl"),
            *("erl_low_nm", "erl_high_nm", "submission__created_at", "created_at"),
        )
    )
    submission = np.array([row[0] for row in rows], np.int64)
    mean = np.array([row[2] for row in rows], np.float64)
    erl, normalized = _volume_scores(phase, submission, ground_truths)
    superseded = _superseded(phase, submission)
    rank = np.zeros(len(rows), np.int64)
    rank[~superseded] = _ranks(mean[~superseded])
    return Ranking(
        submission=submission,
        team=np.array([row[1] for row in rows], np.int64),
        superseded=superseded,
        rank=rank,
        place=_ranks(mean),
        mean_erl_nm=mean,
        mean_normalized_erl=np.array([row[3] for row in rows], np.float64),
        low_nm=np.array([row[4] for row in rows], np.float64),
        high_nm=np.array([row[5] for row in rows], np.float64),
        submitted_at=np.array([row[6].timestamp() for row in rows], np.float64),
        scored_at=np.array([row[7].timestamp() for row in rows], np.float64),
        erl_nm=erl,
        normalized_erl=normalized,
    )


def _superseded(phase: Phase, submission: Ints) -> NDArray[np.bool_]:
    """Which of the ranked entries another ranked one replaces, also by way of one that is not listed any more."""
    pairs = Submission.objects.filter(phase=phase, supersedes__isnull=False).values_list("id", "supersedes_id")
    replaces = dict(pairs)
    gone: set[int] = set()
    for pk in submission.tolist():
        earlier = replaces.get(pk)
        while earlier is not None and earlier not in gone:
            gone.add(earlier)
            earlier = replaces.get(earlier)
    return np.isin(submission, np.array(sorted(gone), np.int64))


def _ranks(descending: Floats) -> Ints:
    """1, 2, 2, 4 for values in falling order."""
    if not len(descending):
        return np.zeros(0, np.int64)
    starts = np.concatenate([[True], descending[1:] != descending[:-1]])
    return np.maximum.accumulate(np.where(starts, np.arange(1, len(descending) + 1), 0))


def _volume_scores(phase: Phase, submission: Ints, ground_truths: Sequence[GroundTruth]) -> tuple[Floats, Floats]:
    erl = np.full((len(submission), len(ground_truths)), np.nan)
    normalized = erl.copy()
    row_of = {pk: row for row, pk in enumerate(submission.tolist())}
    column_of = {g.pk: column for column, g in enumerate(ground_truths)}
    found = Evaluation.objects.filter(
        volume_file__submission__phase=phase,
        ground_truth__in=list(column_of),
        metric_version=METRIC_VERSION,
        tolerance_nodes=F("volume_file__volume__tolerance_nodes"),
    ).values_list("volume_file__submission_id", "ground_truth_id", "erl_nm", "normalized_erl")
    for submission_id, ground_truth_id, erl_nm, share in found.iterator(5000):
        row = row_of.get(submission_id)
        if row is not None:
            erl[row, column_of[ground_truth_id]] = erl_nm
            normalized[row, column_of[ground_truth_id]] = share
    return erl, normalized
