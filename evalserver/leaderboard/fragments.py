"""Rendered parts of the table, cached by the values that they show.

Fifty rows of a dozen cells are most of a page's cost, and the same rows stand in many views.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from evalserver.leaderboard.history_plot import history_plot
from evalserver.leaderboard.selectors import Record, Row, VolumeScore

KEPT_ROWS = 8192


@dataclass(frozen=True)
class RowValues:
    """All that a row shows; the template of a row gets nothing else."""

    rank: int | None
    code: str
    method: str
    team: str
    is_reference: bool
    command: str
    mean_erl_um: float
    mean_percent: float
    low_um: float | None
    high_um: float | None
    scores: tuple[VolumeScore | None, ...]
    submitted_at: datetime

    @classmethod
    def of(cls, row: Row) -> "RowValues":
        submission = row.submission
        return cls(
            rank=row.rank,
            code=submission.code,
            method=submission.method_name,
            team=submission.team.name,
            is_reference=submission.is_reference,
            command=submission.reproduce_command if submission.is_reference else "",
            mean_erl_um=row.mean_erl_um,
            mean_percent=row.mean_percent,
            low_um=row.low_um,
            high_um=row.high_um,
            scores=tuple(row.scores),
            submitted_at=submission.created_at,
        )


@lru_cache(maxsize=KEPT_ROWS)
def _row(values: RowValues) -> str:
    return render_to_string("leaderboard/_row.html", {"row": values})


@lru_cache(maxsize=KEPT_ROWS)
def _option(code: str, words: str, selected: bool) -> str:
    return format_html('<option value="{}"{}>{}</option>', code, mark_safe(" selected" if selected else ""), words)


def rows_html(rows: list[RowValues]) -> SafeString:
    """The ranked rows."""
    return mark_safe("".join(map(_row, rows)))


def options_html(rows: list[RowValues], selected: int) -> SafeString:
    """The rows as choices of a form; `selected` is the index of the one that is chosen at first."""
    choices = []
    for i, row in enumerate(rows):
        rank = f"{row.rank}. " if row.rank else ""
        choices.append(_option(row.code, f"{rank}{row.method}, {row.team}", i == selected))
    return mark_safe("".join(choices))


@lru_cache(maxsize=64)
def history_html(records: tuple[Record, ...], until: datetime, ceiling_um: float | None) -> SafeString:
    """Plot and table of the best result over time, up to a time. Round that time, or nothing is cached."""
    if not records:
        return mark_safe("")
    plot = history_plot(records, until, ceiling_um)
    return mark_safe(render_to_string("leaderboard/_history.html", {"records": records, "history_plot": plot}))
