"""The place of an entry, for pages of rooms below the leaderboard."""

from typing import Any

from django import template

from evalserver.leaderboard.row_cache import options_html
from evalserver.leaderboard.selectors import Place, may_see_ranking, place_of, rows_beside
from evalserver.submissions.models import Submission

register = template.Library()


@register.simple_tag
def place(submission: Submission, headline: float | None, user: Any) -> Place | None:
    """Where it stands among all; None where the reader may not know the ranking."""
    return place_of(submission, headline) if may_see_ranking(user, submission.phase) else None


@register.simple_tag
def choices_beside(a: Submission, b: Submission | None, headline: float | None, user: Any) -> dict[str, Any] | None:
    """Choices of both sides of a comparison, from the board of A; None where there is nothing to choose.

    headline : of A, as it is shown.
    """
    if not may_see_ranking(user, a.phase):
        return None
    rows, above = rows_beside(a, headline)
    if not rows:
        return None
    codes = {row.code for row in rows}
    first = [(a.code, f"{a.method_name}, {a.team.name}")]
    second = [(b.code, f"{b.method_name}, {b.team.name}")] if b and b.code not in codes else []
    return {
        "first": options_html(rows, a.code, first),
        "second": options_html(rows, b.code if b else above, second),
    }
