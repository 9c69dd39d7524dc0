"""Every cache of the leaderboard, all in the memory of one process; the newest values of each are kept.

| what | where | key | how old it may be |
|---|---|---|---|
| pages of readers without a cookie | `anonymous_cache` | address with its query | half of LEADERBOARD_CACHE_SECONDS |
| benchmark and phase, for the same readers | `views` | their names in the address | half of LEADERBOARD_CACHE_SECONDS |
| what all views of a phase share, for the same readers | `views` | phase | half of LEADERBOARD_CACHE_SECONDS |
| the ranking of a phase | `ranking` | phase, and its `stamp` | always current: the stamp changes with it |
| rows, choices of the comparison form, legend | `row_cache` | the values that they show | always current |
| plot of the best result over time | `row_cache` | the values that it shows, the hour | an hour |

Who is logged in always gets everything as it is now, so that a team sees what it has just published. A kept page may
be made of kept values: that is why each lives for half of the setting's time.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import wraps
from threading import Lock
from typing import Generic, TypeVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse

T = TypeVar("T")
View = Callable[..., HttpResponse]

KEPT_PAGES = 128
KEPT_PHASES = 32
KEPT_ROWS = 8192
KEPT_PLOTS = 8  # up to 2.5 MB each, with 10,000 entries


class AnonymousCache(Generic[T]):
    """The newest `size` values by key, each for half of the setting's time."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._kept: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable) -> T | None:
        known = self._kept.get(key)
        if known and time.monotonic() - known[0] < settings.LEADERBOARD_CACHE_SECONDS / 2:
            return known[1]
        return None

    def get_or_make(self, key: Hashable, make: Callable[[], T]) -> T:
        """The kept value, or else a new one."""
        now = time.monotonic()
        value = self.get(key)
        if value is None:
            value = make()
            self.keep(key, value, now)
        return value

    def keep(self, key: Hashable, value: T, made_at: float) -> None:
        """made_at : time.monotonic() before the value was made, which may take long."""
        with self._lock:
            self._kept[key] = (made_at, value)
            self._kept.move_to_end(key)
            while len(self._kept) > self.size:
                self._kept.popitem(last=False)


def is_anonymous(request: HttpRequest) -> bool:
    """Whether the answer may be cached. A cookie may mean a session or a message, so then it may not."""
    return bool(settings.LEADERBOARD_CACHE_SECONDS) and request.method == "GET" and not request.COOKIES


def anonymous_cache(view: View) -> View:
    """Answer a reader without a cookie with a cached page, by its whole address."""
    pages: AnonymousCache[bytes] = AnonymousCache(KEPT_PAGES)

    @wraps(view)
    def answer(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        if not is_anonymous(request):
            return view(request, *args, **kwargs)
        address, now = request.get_full_path(), time.monotonic()
        content = pages.get(address)
        if content is not None:
            return HttpResponse(content)
        response = view(request, *args, **kwargs)
        if response.status_code == 200:
            pages.keep(address, response.content, now)
        return response

    return answer
