"""A method: all public entries of a team that carry one name, or that replace each other; and all methods of a team."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils.safestring import SafeString

from evalserver.accounts.models import Team
from evalserver.benchmarks.models import Phase
from evalserver.leaderboard.history_plot import history_plot
from evalserver.leaderboard.rows import Record
from evalserver.leaderboard.selectors import places_in
from evalserver.submissions.models import LISTED, Submission
from evalserver.submissions.results.headline import Headline
from evalserver.submissions.results.selectors import results_of
from evalserver.submissions.selectors import may_read_all, public_entries

MAX_VERSIONS = 200
BIBTEX_ESCAPES = {
    **{character: f"\\{character}" for character in "{}%&$#_"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\n": " ", "\r": " "},
}


@dataclass(frozen=True)
class Version:
    """One entry of a method. is_current : measured as the leaderboard measures now.   rank : None where it has none."""

    submission: Submission
    headline: Headline
    is_current: bool
    rank: int | None


@dataclass(frozen=True)
class PhaseEntries:
    """A method's or a team's entries in one phase, newest first. total : entries of the phase that have a rank."""

    phase: Phase
    versions: list[Version]
    total: int

    @property
    def best(self) -> Version | None:
        """The entry that stands highest; None where none has a rank."""
        ranked = [version for version in self.versions if version.rank]
        return min(ranked, key=lambda version: version.rank or 0) if ranked else None

    def plot(self, until: datetime) -> SafeString | None:
        """What ranks, over time; None for fewer than two entries that are measured alike."""
        rule = self.versions[0].headline.rule
        alike = [
            (version, version.headline.ranked)
            for version in reversed(self.versions)
            if version.is_current and version.headline.ranked is not None
        ]
        if len(alike) < 2:
            return None
        records: list[Record] = []
        for version, value in alike:
            if not records or (value < records[-1].headline if rule.lower_is_better else value > records[-1].headline):
                records.append(_record(version, value))
        dots = [(version.submission.created_at.timestamp(), value) for version, value in alike]
        return history_plot(records, dots, until, rule)


def _record(version: Version, value: float) -> Record:
    submission, headline = version.submission, version.headline
    return Record(
        code=submission.code,
        method=submission.method_name,
        team=submission.team.name,
        submitted_at=submission.created_at,
        headline=value,
        mean_normalized_erl=headline.mean_normalized_erl,
    )


@dataclass(frozen=True)
class Method:
    """A method of a team. newest : its last entry, which names and describes it.   boards : a phase each."""

    newest: Submission
    oldest: Submission
    boards: list[PhaseEntries]

    @property
    def earlier_names(self) -> list[str]:
        """Names that entries have beside that of the newest, without repetition."""
        names = [version.submission.method_name for board in self.boards for version in board.versions]
        return [name for name in dict.fromkeys(names) if name != self.newest.method_name]

    @property
    def repeatable(self) -> list[Submission]:
        """Reference entries beside the newest, with the command that makes them again."""
        entries = [version.submission for board in self.boards for version in board.versions]
        return [e for e in entries if e != self.newest and e.is_reference and e.reproduce_command]

    def bibtex(self, address: str) -> str:
        """How to cite it where there is no paper. address : absolute, of its page."""
        benchmarks = dict.fromkeys(board.phase.benchmark.name for board in self.boards)
        lines = {
            "title": f"{{{_tex(self.newest.method_name)}}}",
            "author": f"{{{_tex(self.newest.team.name)}}}",
            "year": str(self.newest.created_at.year),
            "howpublished": rf"\url{{{address}}}",
            "note": f"Segmentation method, scored on {_tex(', '.join(benchmarks))}",
        }
        fields = "".join(f"  {name} = {{{value}}},\n" for name, value in lines.items())
        return f"@misc{{{self.oldest.code},\n{fields}}}"


def _tex(text: str) -> str:
    return "".join(BIBTEX_ESCAPES.get(character, character) for character in text)


@dataclass(frozen=True)
class TeamMethod:
    """A method in the list of its team. newest : its last entry, which names it."""

    newest: Submission
    entries: int
    benchmarks: list[str]


@dataclass(frozen=True)
class TeamEntries:
    """What everybody may know of a team's entries. entries : newest first.   boards : a phase each."""

    entries: list[Submission]
    boards: list[PhaseEntries]
    methods: list[TeamMethod]


def _seen_by(user: Any) -> QuerySet[Submission]:
    """Public entries; organisers see those under embargo and of hidden benchmarks as well."""
    return Submission.objects.filter(LISTED) if may_read_all(user) else public_entries()


def method_of(code: str, user: Any) -> Method | None:
    """The method that an entry is a version of, made of its public entries; None where the entry is not public.

    The number of queries depends on the number of phases alone.
    """
    seen = _seen_by(user)
    asked = seen.filter(code=code).values_list("pk", "team_id").first()
    if asked is None:
        return None
    ties = seen.filter(team=asked[1]).values_list("pk", "supersedes_id", "method_name")
    pks = next(method for method in _grouped(ties) if asked[0] in method)
    rows = list(seen.filter(pk__in=pks[:MAX_VERSIONS]).select_related("team", "phase__benchmark"))
    return Method(rows[0], rows[-1], _boards(rows))


def entries_of(team: Team, user: Any) -> TeamEntries:
    """A team's public entries, at most ``MAX_VERSIONS``, by benchmark and by method."""
    rows = list(_seen_by(user).filter(team=team).select_related("team", "phase__benchmark")[:MAX_VERSIONS])
    by_pk = {row.pk: row for row in rows}
    methods = []
    for pks in _grouped((row.pk, row.supersedes_id, row.method_name) for row in rows):
        names = dict.fromkeys(by_pk[pk].phase.benchmark.name for pk in pks)
        methods.append(TeamMethod(by_pk[pks[0]], len(pks), list(names)))
    return TeamEntries(rows, _boards(rows), methods)


def _grouped(entries: Iterable[tuple[int, int | None, str]]) -> list[list[int]]:
    """Ids of entries (id, id that it replaces, name) by method: those that names and replacements connect.

    Methods, and the entries of each, stand in the order of ``entries``.
    """
    above: dict[str, str] = {}  # a forest: each tree is a method

    def top(tie: str) -> str:
        while above.setdefault(tie, tie) != tie:
            above[tie] = above[above[tie]]  # halves the way for the next
            tie = above[tie]
        return tie

    keys = []
    for key, replaced, name in entries:
        keys.append(key)
        for tie in (f"entry {replaced or key}", f"name {' '.join(name.casefold().split())}"):
            above[top(f"entry {key}")] = top(tie)
    methods: dict[str, list[int]] = defaultdict(list)
    for key in keys:
        methods[top(f"entry {key}")].append(key)
    return list(methods.values())


def _boards(rows: Iterable[Submission]) -> list[PhaseEntries]:
    """rows : newest first."""
    results = results_of(rows, reports=False)
    by_phase: dict[Phase, list[Submission]] = defaultdict(list)
    for row in rows:
        if row.pk in results:
            by_phase[row.phase].append(row)
    boards = []
    for phase, entries in by_phase.items():
        places, total = places_in(phase)
        versions = [
            Version(row, results[row.pk].headline, results[row.pk].is_current, places.get(row.run_of_id or row.pk))
            for row in entries
        ]
        boards.append(PhaseEntries(phase, versions, total))
    return sorted(boards, key=lambda board: (board.phase.benchmark.position, board.phase.benchmark.name))
