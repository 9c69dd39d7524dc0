"""Pages that are kept for a moment, for readers who bring no cookie: a table that many look at is made once a second.

Who is logged in always gets a page made now, so that a team sees what it has just published.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from threading import Lock

from django.conf import settings
from django.http import HttpRequest, HttpResponse

KEPT_PAGES = 128

View = Callable[..., HttpResponse]


def kept_a_moment(view: View) -> View:
    """Answer a stranger's GET with a page of at most LEADERBOARD_CACHE_SECONDS ago, by its whole address."""
    pages: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
    lock = Lock()

    @wraps(view)
    def answer(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        seconds = settings.LEADERBOARD_CACHE_SECONDS
        # A cookie may stand for a session or a message, and both are on the page.
        if not seconds or request.method != "GET" or request.COOKIES:
            return view(request, *args, **kwargs)
        address = request.get_full_path()
        now = time.monotonic()
        known = pages.get(address)
        if known and now - known[0] < seconds:
            return HttpResponse(known[1])
        response = view(request, *args, **kwargs)
        if response.status_code == 200:
            with lock:
                pages[address] = (now, response.content)
                pages.move_to_end(address)
                while len(pages) > KEPT_PAGES:
                    pages.popitem(last=False)
        return response

    return answer
