"""Answers that take the same time whatever was found, so that a stopwatch does not tell whether an address is known."""

import time
from collections.abc import Callable
from functools import wraps

from django.conf import settings
from django.http import HttpRequest, HttpResponse

View = Callable[..., HttpResponse]


def in_even_time(view: View) -> View:
    """Answer a post after a whole number of EVEN_ANSWER_SECONDS, which is more than the work takes.

    The work is alike already: a password is hashed and a mail queued in every case. This hides the rest, some
    milliseconds of writing to the database or of another template.
    """

    @wraps(view)
    def answer(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        started = time.monotonic()
        try:
            return view(request, *args, **kwargs)
        finally:
            step = settings.EVEN_ANSWER_SECONDS
            if step and request.method == "POST":
                time.sleep(step - (time.monotonic() - started) % step)

    return answer
