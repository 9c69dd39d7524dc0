"""Rendered parts of the table, cached by the values that they show.

Fifty rows of a dozen cells are most of a page's cost, and the same rows stand in many views.
"""

from datetime import datetime
from functools import lru_cache

from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from axonem_eval.scoring import HeadlineRule
from evalserver.leaderboard.cache import KEPT_PLOTS, KEPT_ROWS
from evalserver.leaderboard.history_plot import history_plot
from evalserver.leaderboard.rows import Record, Row
from evalserver.site import own_markup
from evalserver.submissions.results.headline import value_in_words


@lru_cache(maxsize=KEPT_ROWS)
def _row(row: Row) -> str:
    return render_to_string("leaderboard/_row.html", {"row": row})


@lru_cache(maxsize=KEPT_ROWS)
def _option(code: str, words: str, selected: bool) -> str:
    return format_html('<option value="{}"{}>{}</option>', code, own_markup(" selected" if selected else ""), words)


def rows_html(rows: list[Row]) -> SafeString:
    """The ranked rows."""
    return own_markup("".join(map(_row, rows)))


def options_html(rows: list[Row], selected: int) -> SafeString:
    """The rows as choices of a form; `selected` is the index of the one that is chosen at first."""
    choices = []
    for i, row in enumerate(rows):
        rank = f"{row.rank}. " if row.rank else ""
        choices.append(_option(row.code, f"{rank}{row.method}, {row.team}", i == selected))
    return own_markup("".join(choices))


@lru_cache(maxsize=KEPT_PLOTS)
def history_html(
    records: tuple[Record, ...],
    dots: tuple[tuple[float, float], ...],
    until: datetime,
    rule: HeadlineRule,
    ceiling_nm: float | None,
) -> SafeString:
    """Plot and table of the best result over time, up to `until`. Round `until`: each value has a plot of its own.

    Empty for fewer than two entries.
    """
    if not dots or not records:
        return own_markup("")
    plot = history_plot(records, dots, until, rule, ceiling_nm)
    context = {
        "records": [(record, value_in_words(rule, record.headline)) for record in records],
        "rule": rule,
        "history_plot": plot,
    }
    return own_markup(render_to_string("leaderboard/_history.html", context))
