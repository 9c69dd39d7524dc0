"""The page of a method, and the badge of an entry."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import cache_control
from django.views.decorators.http import conditional_page

from evalserver.leaderboard.badge import badge_of
from evalserver.leaderboard.methods import method_of
from evalserver.site import site_url
from evalserver.submissions.selectors import public_entries

# A page elsewhere may show a badge that is this old.
BADGE_SECONDS = 300


def method(request: HttpRequest, code: str) -> HttpResponse:
    """All versions of a method, by the code of any of them."""
    found = method_of(code, request.user)
    if found is None:
        raise Http404
    # One address for all versions, whichever was asked for.
    address = site_url(reverse("method", args=[found.oldest.code]))
    now = timezone.now()
    context = {
        "method": found,
        "submission": found.newest,
        "team": found.newest.team,
        "boards": [(board, board.plot(now)) for board in found.boards],
        "address": address,
        "bibtex": found.bibtex(address),
    }
    return render(request, "leaderboard/method.html", context)


@cache_control(public=True, max_age=BADGE_SECONDS)
@conditional_page
def badge(request: HttpRequest, code: str) -> HttpResponse:
    """SVG. Only of what everybody sees, whoever asks, so that caches between may keep it."""
    submission = get_object_or_404(public_entries().select_related("phase__benchmark"), code=code)
    made = badge_of(submission)
    if made is None:
        raise Http404
    return HttpResponse(render_to_string("leaderboard/badge.svg", {"badge": made}), content_type="image/svg+xml")
