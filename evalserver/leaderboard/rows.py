"""The rows of the table, in the one shape that page, downloads and API are made of: lengths in nm, shares 0 to 1.

Figures are as they may be shown; `ranking` has rounded those of hidden ground truth. Rows are frozen, so that a
rendered row can be kept by the values that it shows.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class VolumeScore:
    """ERL on one volume. Both None: not scored there, or withheld; normalized_erl None: not printed in the paper."""

    erl_nm: float | None
    normalized_erl: float | None


@dataclass(frozen=True)
class Row:
    """One entry. scores : in the order of the table's volumes. low_nm, high_nm : 95% interval of the mean.

    same_files_as : code and method of the first listed entry with the same files; None where there is no other.
    rank : None for an entry that a newer one of its team supersedes.   headline : what ranks, by the scoring rule.
    has_points : whether that is no ERL, and has a column of its own.
    """

    rank: int | None
    code: str
    method: str
    team: str
    is_reference: bool
    reproduce_command: str
    mean_erl_nm: float
    mean_normalized_erl: float
    low_nm: float | None
    high_nm: float | None
    scores: tuple[VolumeScore, ...]
    submitted_at: datetime
    headline: float
    has_points: bool = False
    same_files_as: tuple[str, str] | None = None

    @property
    def is_superseded(self) -> bool:
        return self.rank is None


@dataclass(frozen=True)
class PublishedRow:
    """One result from a paper; never ranked. Means are None where a volume is missing."""

    method: str
    source: str
    url: str
    note: str
    is_ground_truth: bool
    mean_erl_nm: float | None
    mean_normalized_erl: float | None
    scores: tuple[VolumeScore, ...]


@dataclass(frozen=True)
class Record:
    """An entry that was the best of all when it was submitted."""

    code: str
    method: str
    team: str
    submitted_at: datetime
    mean_erl_nm: float
    mean_normalized_erl: float
