"""The page that says that the database, the files or the disk cannot take a request now: never our own 500."""

import sys

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.defaults import server_error

from evalserver.unavailable import unavailable


def answer_to_exception(request: HttpRequest) -> HttpResponse:
    """Django's `handler500`. The page asks no database."""
    found = unavailable(sys.exc_info()[1])
    if found is None:
        return server_error(request)
    page = render_to_string(f"{found.status}.html", {"message": found.message})
    return HttpResponse(page, status=found.status, headers=found.headers)
