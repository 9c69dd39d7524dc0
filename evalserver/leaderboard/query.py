"""The state of a table, read from its address: order, filters and page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
from django.db.models import Q
from django.http import QueryDict
from numpy.typing import NDArray

from evalserver.accounts.models import Team
from evalserver.benchmarks.models import Phase
from evalserver.leaderboard.ranking import Ranking
from evalserver.submissions.marks import MARK_FIELDS
from evalserver.submissions.models import Submission

MAX_TEXT = 100
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(9998, 12, 31)
ALL, BEST = "all", "best"
UNMARKED = "none"
MARK_CHOICES = (UNMARKED, *MARK_FIELDS)


@dataclass(frozen=True)
class BoardQuery:
    """Order, filters and page of a table. A wrong value in the address gives the default.

    sort : a column's name.   text : part of a method's or a team's name.   rows : all, or the best of each team.
    marks : field of a mark that entries must have, or UNMARKED for entries without any; empty: all.
    superseded : whether to show entries too that a newer one of their team replaces; they have no rank.
    since, until : days (UTC) of submission, both included.
    """

    sort: str = "rank"
    descending: bool = False
    text: str = ""
    rows: str = ALL
    marks: str = ""
    superseded: bool = False
    since: date | None = None
    until: date | None = None
    page: int = 1

    @classmethod
    def of(cls, params: QueryDict) -> "BoardQuery":
        """From ?sort=-mean&q=unet&rows=best&superseded=1&from=2026-01-01&to=2026-06-30&page=2."""
        sort = params.get("sort", "rank")
        page = params.get("page", "1")
        return cls(
            sort=sort.removeprefix("-"),
            descending=sort.startswith("-"),
            text=params.get("q", "").replace("\x00", "").strip()[:MAX_TEXT],
            rows=BEST if params.get("rows") == BEST else ALL,
            marks=next((name for name in MARK_CHOICES if name == params.get("marks")), ""),
            superseded=params.get("superseded") == "1",
            since=_day(params.get("from", "")),
            until=_day(params.get("to", "")),
            page=int(page) if page.isdecimal() and len(page) < 7 else 1,
        )

    @property
    def is_filtered(self) -> bool:
        return bool(self.text or self.marks or self.since or self.until)

    def select(self, phase: Phase, ranking: Ranking, volume_slugs: Sequence[str]) -> NDArray[np.int64]:
        """Indices of the entries asked for, in the order asked for. Their ranks stay those among all."""
        keep = np.ones(len(ranking), np.bool_) if self.superseded else ~ranking.superseded
        if self.text:
            # Each team's name is compared once, not once for each of its entries.
            teams = Team.objects.filter(name__icontains=self.text).order_by()
            matches = Submission.objects.filter(phase=phase).order_by()
            matches = matches.filter(Q(method_name__icontains=self.text) | Q(team__in=teams))
            keep &= np.isin(ranking.submission, np.array(list(matches.values_list("pk", flat=True)), np.int64))
        if self.marks:
            wanted = {name: self.marks == name for name in MARK_FIELDS if self.marks in (name, UNMARKED)}
            marked = Submission.objects.filter(phase=phase, **wanted).order_by().values_list("pk", flat=True)
            keep &= np.isin(ranking.submission, np.array(list(marked), np.int64))
        if self.since:
            keep &= ranking.submitted_at >= _seconds(self.since)
        if self.until:
            keep &= ranking.submitted_at < _seconds(self.until + timedelta(days=1))
        chosen = np.flatnonzero(keep)
        if self.rows == BEST:
            _, first = np.unique(ranking.team[chosen], return_index=True)
            chosen = chosen[np.sort(first)]
        values = ranking.column(self.sort, volume_slugs)
        if values is None:
            return chosen
        # Stable, so that equal values stay in the order of the ranking; NaN is last either way.
        return chosen[np.argsort(-values[chosen] if self.descending else values[chosen], kind="stable")]


def _day(words: str) -> date | None:
    try:
        day = date.fromisoformat(words)
    except ValueError:
        return None
    return day if FIRST_DAY <= day <= LAST_DAY else None


def _seconds(day: date) -> float:
    return datetime.combine(day, time(), UTC).timestamp()
