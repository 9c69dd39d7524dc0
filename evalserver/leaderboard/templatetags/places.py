"""The place of an entry, for pages of rooms below the leaderboard."""

from typing import Any

from django import template

from evalserver.leaderboard.selectors import Place, may_see_ranking, place_of
from evalserver.submissions.models import Submission

register = template.Library()


@register.simple_tag
def place(submission: Submission, headline: float | None, user: Any) -> Place | None:
    """Where it stands among all; None where the reader may not know the ranking."""
    return place_of(submission, headline) if may_see_ranking(user, submission.phase) else None
