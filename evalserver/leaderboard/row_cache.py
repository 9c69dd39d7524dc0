"""Rendered parts of the table, cached by the values that they show.

Fifty rows of a dozen cells are most of a page's cost, and the same rows stand in many views. Jinja2 compiles their
template: a row that is not cached yet takes a fifth of the time that Django's own templates need.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from axonem_eval.scoring import METRIC_VERSION, HeadlineRule, ScoringVariant
from evalserver.benchmarks.disclosure_rule import GroundTruthFigures
from evalserver.leaderboard.cache import KEPT_PHASES, KEPT_PLOTS, KEPT_ROWS
from evalserver.leaderboard.history_plot import history_plot
from evalserver.leaderboard.rows import PublishedRow, Record, Row
from evalserver.leaderboard.selectors import Leaderboard
from evalserver.leaderboard.templatetags.scores import fraction, named_figure, nm_as_um, or_hidden
from evalserver.site import own_markup
from evalserver.submissions.marks import MARKS, Mark
from evalserver.submissions.results.headline import value_in_words


@cache
def _row_template() -> Template:
    loader = FileSystemLoader(settings.BASE_DIR / "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    environment.filters |= {filter_.__name__: filter_ for filter_ in (nm_as_um, fraction, named_figure, or_hidden)}
    environment.globals |= {"url": _url, "team_html": _team, "marks_html": _marks}
    return environment.get_template("leaderboard/_row.jinja")


def _url(name: str, of: str) -> str:
    return reverse(name, args=[of])


@lru_cache(maxsize=KEPT_ROWS)
def _team(pk: int, name: str) -> SafeString:
    return format_html('<a href="{}">{}</a>', reverse("team", args=[pk]), name)


@cache
def _marks(marks: tuple[Mark, ...]) -> SafeString:
    return own_markup(render_to_string("leaderboard/_marks.html", {"marks": marks}))


@lru_cache(maxsize=KEPT_ROWS)
def _row(row: Row, mine: str) -> str:
    return _row_template().render(row=row, mine=mine)


@lru_cache(maxsize=KEPT_ROWS)
def _option(code: str, words: str, selected: bool) -> str:
    return format_html('<option value="{}"{}>{}</option>', code, own_markup(" selected" if selected else ""), words)


def rows_html(rows: list[Row], mine: Mapping[int, str]) -> SafeString:
    """The ranked rows. mine : what the reader's own teams are called, by their ids."""
    return own_markup("".join(_row(row, mine.get(row.team_id, "")) for row in rows))


def options_html(rows: list[Row], selected: str, others: Sequence[tuple[str, str]] = ()) -> SafeString:
    """The rows as choices of a form. selected : code of the one that is chosen at first.

    others : code and words of entries that come before them.
    """
    choices = [_option(code, words, code == selected) for code, words in others]
    for row in rows:
        rank = f"{row.rank}. " if row.rank else ""
        choices.append(_option(row.code, f"{rank}{row.method}, {row.team}", row.code == selected))
    return own_markup("".join(choices))


@lru_cache(maxsize=KEPT_PHASES)
def published_html(rows: tuple[PublishedRow, ...]) -> SafeString:
    """The rows from papers."""
    return own_markup("".join(map(_published_row, rows)))


def _published_row(row: PublishedRow) -> str:
    return render_to_string("leaderboard/_published_row.html", {"row": row})


@dataclass(frozen=True)
class Measure:
    """What the legend says of one volume."""

    name: str
    tolerance_nodes: int
    ground_truth: GroundTruthFigures | None


def legend_html(board: Leaderboard) -> SafeString:
    """How to read the table."""
    measures = tuple(Measure(c.volume.name, c.volume.tolerance_nodes, c.ground_truth) for c in board.columns)
    hidden = any(not column.volume.ground_truth_public for column in board.columns)
    return _legend(measures, board.variant, hidden=hidden, superseded=bool(board.superseded), has_erl=board.has_erl)


@lru_cache(maxsize=KEPT_PHASES)
def _legend(measures: tuple[Measure, ...], variant: ScoringVariant, **shown: bool) -> SafeString:
    """shown : hidden, superseded, has_erl."""
    context = {"columns": measures, "variant": variant, "marks": MARKS, **shown}
    return own_markup(render_to_string("leaderboard/_legend.html", {**context, "metric_version": METRIC_VERSION}))


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
