"""The rows of the table, in the one shape that page, downloads and API are made of: lengths in nm, shares 0 to 1.

Figures are as they may be shown; `ranking` has rounded those of hidden ground truth. Rows are frozen, so that a
rendered row can be kept by the values that it shows.
"""

from dataclasses import dataclass
from datetime import datetime

from axonem_eval.scoring import FIGURES
from evalserver.benchmarks.disclosure_rule import TOLD_OF_HIDDEN
from evalserver.submissions.marks import Mark


@dataclass(frozen=True)
class VolumeScore:
    """Figures on one volume. None: not scored there, withheld, no such ground truth, or not printed in the paper.

    figures : name and value of each further column of the table.
    digits : decimals with which each of them is written.
    is_hidden : whether the ground truth is.
    """

    erl_nm: float | None
    normalized_erl: float | None
    figures: tuple[tuple[str, float | None], ...] = ()
    digits: tuple[int, ...] = ()
    is_hidden: bool = False

    @property
    def written(self) -> list[tuple[str, float | None, int]]:
        """Name, value and decimals of each further column."""
        return [(name, value, digits) for (name, value), digits in zip(self.figures, self.digits, strict=True)]

    def keeps_back(self, name: str, has_erl: bool) -> bool:
        """Whether a figure that has no value here is known, but not told. has_erl : as in Row."""
        withheld = has_erl and self.erl_nm is None and FIGURES[name].needs == "skeletons"
        return self.is_hidden and (withheld or name not in TOLD_OF_HIDDEN)

    @property
    def is_empty(self) -> bool:
        values = (self.erl_nm, self.normalized_erl, *(value for _, value in self.figures))
        return all(value is None for value in values)


@dataclass(frozen=True)
class Row:
    """One entry. scores : in the order of the table's volumes. low_nm, high_nm : 95% interval of the mean.

    same_files_as : code and method of the first listed entry with the same files; None where there is no other.
    rank : None for an entry that a newer one of its team supersedes.   headline : what ranks, by the scoring rule.
    words : that with its unit.   has_points : whether it is a plain number, with a column of its own.
    has_erl : whether the table has columns of the ERL.
    runs : how many runs the figures are means of.   half_interval : half of the headline's 95% interval over them;
        half_words tells it without its unit.
    """

    rank: int | None
    code: str
    method: str
    team: str
    team_id: int
    is_reference: bool
    reproduce_command: str
    mean_erl_nm: float | None
    mean_normalized_erl: float | None
    low_nm: float | None
    high_nm: float | None
    scores: tuple[VolumeScore, ...]
    submitted_at: datetime
    headline: float | None
    words: str = ""
    has_points: bool = False
    has_erl: bool = True
    same_files_as: tuple[str, str] | None = None
    marks: tuple[Mark, ...] = ()
    runs: int = 1
    half_interval: float | None = None
    half_words: str = ""

    @property
    def is_superseded(self) -> bool:
        return self.rank is None

    @property
    def keeps_back(self) -> bool:
        """Whether the ERL of some volume is known, but not told, and so neither is the interval of the mean."""
        return any(score.keeps_back("erl_nm", self.has_erl) for score in self.scores)


@dataclass(frozen=True)
class PublishedRow:
    """One result from a paper; never ranked. Means, and what would rank it, are None where a volume is missing."""

    method: str
    source: str
    url: str
    note: str
    is_ground_truth: bool
    mean_erl_nm: float | None
    mean_normalized_erl: float | None
    scores: tuple[VolumeScore, ...]
    headline: float | None = None
    words: str = ""
    has_points: bool = False
    has_erl: bool = True


@dataclass(frozen=True)
class Record:
    """An entry that was the best of all when it was submitted."""

    code: str
    method: str
    team: str
    submitted_at: datetime
    headline: float
    mean_normalized_erl: float | None
