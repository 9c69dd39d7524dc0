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

from axonem_eval.scoring import FIGURES, HeadlineRule
from evalserver.benchmarks.disclosure_rule import Disclosure, Lengths, to_step
from evalserver.benchmarks.models import GroundTruth, Phase
from evalserver.leaderboard.cache import KEPT_PHASES
from evalserver.submissions.models import LISTED, Evaluation, Score, Submission, VolumeFile
from evalserver.submissions.results.disclosure import LABELLED, interval_step_nm, labelled_nm
from evalserver.submissions.results.headline import decimals_of, mean_of_shown, ranked_of_shown, shown_rule
from evalserver.submissions.results.runs import Runs
from evalserver.submissions.selectors import current_evaluations

# Cells of the history plot along time and score: dots of one cell cover each other.
PLOT_CELLS = (100, 40)
# Figures that have a column of their own in the database.
ERLS = frozenset(("erl_nm", "normalized_erl"))
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
    All arrays are (n,), but those of figures (n, n_volumes), NaN where there is no evaluation, or no such ground truth.
    figures : by the names of axonem_eval.scoring.FIGURES.   mean_erl_nm, mean_normalized_erl : NaN without skeletons.
    headline : what ranks, in the unit of the scoring rule; NaN, which comes last, where it may not be shown.
    rule : what that is, rounded as it is shown.
    entry : id of the entry that its runs belong to.   runs : how many of them are listed. Figures of an entry of
        several runs are means over them, its interval is of that mean, and `submission` is the first of them.
    half_interval : half of the 95% interval of the headline over the runs; NaN for a single run.
    same_files : (n,) id of the first listed entry with the same files byte for byte; 0 where there is no other.
    submitted_at : seconds since 1970.   low_nm, high_nm : NaN where no interval was computed.
    told : how figures on each volume are rounded.
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
    figures: dict[str, Floats]
    headline: Floats
    same_files: Ints
    entry: Ints
    runs: Ints
    half_interval: Floats
    told: Rules
    rule: HeadlineRule

    def __len__(self) -> int:
        return len(self.submission)

    @property
    def lower_is_better(self) -> bool:
        return self.rule.lower_is_better

    def column(self, name: str, volume_slugs: Sequence[str]) -> Floats | None:
        """Values to sort by; None for an unknown name."""
        plain = {
            "rank": self.place,
            "score": self.headline,
            "mean": self.mean_erl_nm,
            "percent": self.mean_normalized_erl,
            "low": self.low_nm,
            "date": self.submitted_at,
        }
        if name in plain:
            return plain[name].astype(np.float64)
        slug, _, figure = name.removeprefix("erl-").rpartition(".")
        if not name.startswith("erl-") or slug not in volume_slugs:
            return None
        table = self.figures.get({"um": "erl_nm", "percent": "normalized_erl"}.get(figure, figure))
        return None if table is None else table[:, list(volume_slugs).index(slug)]

    @cached_property
    def best_over_time(self) -> Ints:
        """Indices of the entries that were the best of all when they were submitted, oldest first.

        Also of what was superseded later: it was the best then.
        """
        if not len(self):
            return np.zeros(0, np.int64)
        order = np.lexsort((self.place, self.submitted_at))
        order = order[~np.isnan(self.headline[order])]
        value = falling(self.headline[order], self.lower_is_better)
        before = np.concatenate([[-np.inf], np.maximum.accumulate(value)[:-1]])
        return order[value > before]

    @cached_property
    def dots(self) -> tuple[tuple[float, float], ...]:
        """When each entry came (seconds since 1970) and what ranks it, for a plot; none for fewer than two.

        Of entries that would cover each other one is kept, so that thousands of them make a small picture.
        """
        points = np.stack([self.submitted_at, self.headline], axis=1)[~np.isnan(self.headline)]
        if len(points) < 2:
            return ()
        extent = np.maximum(np.ptp(points, axis=0), 1e-9)
        cell = np.floor((points - points.min(axis=0)) / extent * PLOT_CELLS)
        _, kept = np.unique(cell, axis=0, return_index=True)
        return tuple((float(at), float(value)) for at, value in points[kept])


def falling(values: Lengths, lower_is_better: bool) -> Lengths:
    """Values of which the better one is the higher."""
    return -values if lower_is_better else values


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
            *("erl_low_nm", "erl_high_nm", "submission__created_at", "headline", "submission__run_of_id"),
        )
    )
    submission = np.array([row[0] for row in rows], np.int64)
    mean, mean_share, low, high = (np.array([row[c] for row in rows], np.float64) for c in (2, 3, 4, 5))
    figures = _figures(phase, submission, ground_truths, rules)
    if not all(rule.is_exact for rule in rules):
        erl, without_erl = figures["erl_nm"], np.isnan(mean)
        mean, mean_share = (
            np.where(without_erl, np.nan, mean_of_shown(values)) for values in (erl, figures["normalized_erl"])
        )
        whole, step = ~np.isnan(erl).any(axis=1), interval_step_nm(rules)
        low, high = (np.where(whole, to_step(values, step), np.nan) for values in (low, high))
    rule = shown_rule(phase.benchmark.variant.headline, rules)
    headline = _headline(rows, rules, rule, figures, [g.volume.slug for g in ground_truths])
    entry = np.array([row[8] or row[0] for row in rows], np.int64)
    runs = Runs(entry)
    first, several = runs.first, runs.count > 1
    half_erl, half = runs.half_interval(mean), runs.half_interval(headline)
    mean, mean_share = runs.mean(mean), runs.mean(mean_share)
    headline = np.where(several, runs.mean(headline).round(decimals_of(rule)), headline[first])
    # Stable: equal scores stay in the order of their submission.
    order = np.argsort(-falling(headline, rule.lower_is_better), kind="stable")
    superseded = _superseded(phase, entry[first])[order]
    rank = np.zeros(len(first), np.int64)
    rank[~superseded] = _ranks(headline[order][~superseded])
    return Ranking(
        submission=submission[first][order],
        team=np.array([row[1] for row in rows], np.int64)[first][order],
        superseded=superseded,
        rank=rank,
        place=_ranks(headline[order]),
        mean_erl_nm=mean[order],
        mean_normalized_erl=mean_share[order],
        low_nm=np.where(several, mean - half_erl, low[first])[order],
        high_nm=np.where(several, mean + half_erl, high[first])[order],
        submitted_at=np.array([row[6].timestamp() for row in rows], np.float64)[first][order],
        figures={name: runs.mean(values)[order] for name, values in figures.items()},
        headline=headline[order],
        same_files=_same_files(phase, submission)[first][order],
        entry=entry[first][order],
        runs=runs.count[order],
        half_interval=half[order],
        told=rules,
        rule=rule,
    )


def _headline(
    rows: Sequence[Any], rules: Rules, rule: HeadlineRule, figures: dict[str, Floats], volume_slugs: Sequence[str]
) -> Floats:
    """What ranks, as it may be shown."""
    if all(told.is_exact for told in rules):
        # Scores of the time before there were other rules have only the mean ERL.
        return np.array([row[2] if row[7] is None else row[7] for row in rows], np.float64)
    return ranked_of_shown(rule, figures, volume_slugs)


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


def _ranks(ordered: Floats) -> Ints:
    """1, 2, 2, 4 for values in the order of the ranking; those that are not known share the last rank."""
    if not len(ordered):
        return np.zeros(0, np.int64)
    known = np.nan_to_num(ordered, nan=np.inf)
    starts = np.concatenate([[True], known[1:] != known[:-1]])
    return np.maximum.accumulate(np.where(starts, np.arange(1, len(ordered) + 1), 0))


def _figures(phase: Phase, submission: Ints, ground_truths: Sequence[GroundTruth], rules: Rules) -> dict[str, Floats]:
    """(n, n_volumes) of each figure as it is shown; NaN where there is none or it is withheld."""
    variant = phase.benchmark.variant
    others = sorted((variant.headline.expression.names | set(variant.columns)) - ERLS)
    names = ("erl_nm", "normalized_erl", *others)
    table = {name: np.full((len(submission), len(ground_truths)), np.nan) for name in (*names, "gt_erl_nm")}
    row_of = {pk: row for row, pk in enumerate(submission.tolist())}
    column_of = {g.pk: column for column, g in enumerate(ground_truths)}
    found = current_evaluations().filter(volume_file__submission__phase=phase, ground_truth__in=list(column_of))
    stored = ["volume_file__submission_id", "ground_truth_id", "erl_nm", "gt_erl_nm", "normalized_erl"]
    # They are many bytes, so that a board of the ERL alone does not read them.
    stored += ["figures"] if others else []
    for submission_id, ground_truth_id, erl, ceiling, share, *more in found.values_list(*stored).iterator(5000):
        row = row_of.get(submission_id)
        if row is not None:
            place = row, column_of[ground_truth_id]
            if erl is not None:
                table["erl_nm"][place], table["gt_erl_nm"][place], table["normalized_erl"][place] = erl, ceiling, share
            for name in others:
                table[name][place] = (more[0] or {}).get(name, np.nan)
    ceilings = table.pop("gt_erl_nm")
    for column, rule in enumerate(rules):
        shown = rule.figures({name: values[:, column] for name, values in table.items()}, ceilings[:, column])
        for name, values in table.items():
            values[:, column] = shown.get(name, np.nan)
    table["normalized_erl"][np.isnan(table["erl_nm"])] = np.nan
    for place in _withheld(found, row_of, column_of, rules):
        for name in names:
            if FIGURES[name].needs == "skeletons":
                table[name][place] = np.nan
    return table


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
