"""The ranking of a phase as arrays: made from the database when it has changed, kept in the process until then.

Names are not in it: pages read those of the rows that they show, so that a rename is seen at once.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np
from django.db.models import Count, F, Q, QuerySet, Sum
from numpy.typing import NDArray

from axonem_eval.scoring import METRIC_VERSION
from evalserver.benchmarks.disclosure_rule import Disclosure, to_step
from evalserver.benchmarks.models import GroundTruth, Phase
from evalserver.leaderboard.cache import KEPT_PHASES
from evalserver.submissions.models import LISTED, Evaluation, Score, Submission, VolumeFile
from evalserver.submissions.results.disclosure import LABELLED, interval_step_nm, labelled_nm, mean_of_shown

# Cells of the history plot along time and score: dots of one cell cover each other.
PLOT_CELLS = (100, 40)
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rules = tuple[Disclosure, ...]
# What a ranking depends on: the ruler, the volumes, what is told of them, how many entries are listed and which, what
# they replace, the newest score.
Stamp = tuple[str, tuple[int, ...], Rules, tuple[int, ...], tuple[int, datetime] | None]


@dataclass(frozen=True)
class Ranking:
    """Listed entries under one ruler, best first; equal scores share a rank (1, 2, 2, 4), the earlier one first.

    All figures are as they are shown: those of hidden ground truth are rounded before they are compared, or the order
    of the rows would tell what the figures do not. Where they are withheld they are NaN and count as 0 in the mean.

    superseded : a newer listed entry of the team stands in its place. Such an entry has no rank (0), and the ranks of
        the others are as if it were not there.
    place : what the rank would be if no entry were superseded.
    All arrays are (n,), but erl_nm and normalized_erl (n, n_volumes), NaN where there is no evaluation.
    headline : what ranks, in the unit of the scoring rule.
    same_files : (n,) id of the first listed entry with the same files byte for byte; 0 where there is no other.
    submitted_at : seconds since 1970.   low_nm, high_nm : NaN where no interval was computed.
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
    erl_nm: Floats
    normalized_erl: Floats
    headline: Floats
    same_files: Ints

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
        value = self.headline[order]
        before = np.concatenate([[-1.0], np.maximum.accumulate(value)[:-1]])
        return order[value > before]

    @cached_property
    def dots(self) -> tuple[tuple[float, float], ...]:
        """When each entry came (seconds since 1970) and its mean ERL in nm, for a plot; none for fewer than two.

        Of entries that would cover each other one is kept, so that thousands of them make a small picture.
        """
        if len(self) < 2:
            return ()
        points = np.stack([self.submitted_at, self.mean_erl_nm], axis=1)
        extent = np.maximum(np.ptp(points, axis=0), 1e-9)
        cell = np.floor((points - points.min(axis=0)) / extent * PLOT_CELLS)
        _, kept = np.unique(cell, axis=0, return_index=True)
        return tuple((float(at), float(nm)) for at, nm in points[kept])


def stamp(phase: Phase, ruler: str, volume_ids: Sequence[int], rules: Rules) -> Stamp:
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
    return (ruler, tuple(volume_ids), rules, tuple(int(value or 0) for value in listed.values()), newest)


_kept: "OrderedDict[int, tuple[Stamp, Ranking]]" = OrderedDict()
_lock = Lock()


def ranking(phase: Phase, ruler: str, ground_truths: Sequence[GroundTruth]) -> Ranking:
    """The phase's ranking now. ground_truths : of each volume, in the order of the table."""
    rules = tuple(Disclosure.of(g.volume, g) for g in ground_truths)
    wanted = stamp(phase, ruler, [g.volume_id for g in ground_truths], rules)
    with _lock:
        known = _kept.get(phase.pk)
        if known and known[0] == wanted:
            _kept.move_to_end(phase.pk)
            return known[1]
    made = load_ranking(phase, ruler, ground_truths, rules)
    with _lock:
        _kept[phase.pk] = (wanted, made)
        while len(_kept) > KEPT_PHASES:
            _kept.popitem(last=False)
    return made


def load_ranking(phase: Phase, ruler: str, ground_truths: Sequence[GroundTruth], rules: Rules) -> Ranking:
    """Read it from the database, in four queries. rules : of each ground truth."""
    rows = list(
        Score.objects.filter(
            ruler=ruler,
            submission__in=Submission.objects.filter(LISTED, phase=phase),
        )
        .order_by("submission__created_at", "submission_id")
        .values_list(
            *("submission_id", "submission__team_id", "mean_erl_nm", "mean_normalized_erl"),
            *("erl_low_nm", "erl_high_nm", "submission__created_at", "headline"),
        )
    )
    submission = np.array([row[0] for row in rows], np.int64)
    mean, mean_share, low, high = (np.array([row[c] for row in rows], np.float64) for c in (2, 3, 4, 5))
    erl, normalized = _volume_scores(phase, submission, ground_truths, rules)
    if not all(rule.is_exact for rule in rules):
        mean, mean_share = mean_of_shown(erl), mean_of_shown(normalized)
        whole, step = ~np.isnan(erl).any(axis=1), interval_step_nm(rules)
        low, high = (np.where(whole, to_step(values, step), np.nan) for values in (low, high))
    headline = _headline(rows, rules, ground_truths, mean, mean_share)
    # Stable: equal scores stay in the order of their submission.
    order = np.argsort(-headline, kind="stable")
    superseded = _superseded(phase, submission)[order]
    rank = np.zeros(len(rows), np.int64)
    rank[~superseded] = _ranks(headline[order][~superseded])
    return Ranking(
        submission=submission[order],
        team=np.array([row[1] for row in rows], np.int64)[order],
        superseded=superseded,
        rank=rank,
        place=_ranks(headline[order]),
        mean_erl_nm=mean[order],
        mean_normalized_erl=mean_share[order],
        low_nm=low[order],
        high_nm=high[order],
        submitted_at=np.array([row[6].timestamp() for row in rows], np.float64)[order],
        erl_nm=erl[order],
        normalized_erl=normalized[order],
        headline=headline[order],
        same_files=_same_files(phase, submission)[order],
    )


def _headline(
    rows: Sequence[Any], rules: Rules, ground_truths: Sequence[GroundTruth], mean: Floats, mean_share: Floats
) -> Floats:
    """What ranks, as it may be shown. mean, mean_share : of the ERL and the normalised ERL, as they are shown."""
    by = ground_truths[0].volume.benchmark.variant.headline
    if by != "xpress_score":
        return mean if by == "erl" else mean_share
    if not all(rule.is_exact for rule in rules):
        return np.zeros(len(rows))  # such a benchmark is refused; a volume hidden afterwards must not tell by its order
    return np.array([row[7] for row in rows], np.float64)


def _same_files(phase: Phase, submission: Ints) -> Ints:
    """Ranking.same_files. submission : (n,) ids of the ranked entries, in the order of their submission."""
    files = VolumeFile.objects.filter(submission__phase=phase).order_by("volume_id")
    checksums: dict[int, list[str]] = {pk: [] for pk in submission.tolist()}
    for pk, sha256 in files.values_list("submission_id", "sha256").iterator(5000):
        if pk in checksums:
            checksums[pk].append(sha256)
    first: dict[tuple[str, ...], int] = {}
    for pk, found in checksums.items():
        first.setdefault(tuple(found), pk)
    same = [first[tuple(found)] for found in checksums.values()]
    return np.where(np.array(same, np.int64) == submission, 0, np.array(same, np.int64))


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


def _volume_scores(
    phase: Phase, submission: Ints, ground_truths: Sequence[GroundTruth], rules: Rules
) -> tuple[Floats, Floats]:
    """(n, n_volumes) ERL in nm and normalised ERL as they are shown; NaN where there is none or it is withheld."""
    erl = np.full((len(submission), len(ground_truths)), np.nan)
    ceiling, normalized = erl.copy(), erl.copy()
    row_of = {pk: row for row, pk in enumerate(submission.tolist())}
    column_of = {g.pk: column for column, g in enumerate(ground_truths)}
    found = Evaluation.objects.filter(
        volume_file__submission__phase=phase,
        ground_truth__in=list(column_of),
        metric_version=METRIC_VERSION,
        tolerance_nodes=F("volume_file__volume__tolerance_nodes"),
        scoring_variant=F("volume_file__volume__benchmark__scoring_variant"),
    )
    names = ("volume_file__submission_id", "ground_truth_id", "erl_nm", "gt_erl_nm", "normalized_erl")
    for submission_id, ground_truth_id, *figures in found.values_list(*names).iterator(5000):
        row = row_of.get(submission_id)
        if row is not None:
            place = row, column_of[ground_truth_id]
            erl[place], ceiling[place], normalized[place] = figures
    for column, rule in enumerate(rules):
        if not rule.is_exact:
            normalized[:, column] = rule.normalized(erl[:, column], ceiling[:, column])
            erl[:, column] = rule.erl_nm(erl[:, column])
    for place in _withheld(found, row_of, column_of, rules):
        erl[place] = normalized[place] = np.nan
    return erl, normalized


def _withheld(
    evaluations: QuerySet[Evaluation], row_of: dict[int, int], column_of: dict[int, int], rules: Rules
) -> Iterator[tuple[int, int]]:
    """(row, column) of the entries that label too little. Reports are large: they are asked of low scores alone."""
    low = Q(pk__in=())
    for ground_truth_id, column in column_of.items():
        if not rules[column].is_exact:
            low |= Q(ground_truth=ground_truth_id, erl_nm__lte=rules[column].suspicious_erl_nm)
    rows = evaluations.filter(low).annotate(**LABELLED)
    for pk, ground_truth_id, *lengths in rows.values_list("volume_file__submission_id", "ground_truth_id", *LABELLED):
        column = column_of[ground_truth_id]
        if pk in row_of and rules[column].labels_too_little(labelled_nm(*lengths)):
            yield row_of[pk], column
