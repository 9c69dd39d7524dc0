"""The page that says that the database, the files or the disk cannot take a request: never our own 500."""

import sys

from django.db import DataError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.defaults import bad_request, server_error

from evalserver.unavailable import unavailable


def answer_to_exception(request: HttpRequest) -> HttpResponse:
    """Django's `handler500`. The page asks no database."""
    error = sys.exc_info()[1]
    if isinstance(error, DataError) and "NUL" in str(error):
        # PostgreSQL neither stores nor looks for one, and no browser puts one into an address or a form.
        return bad_request(request, error)
    found = unavailable(error)
    if found is None:
        return server_error(request)
    page = render_to_string(f"{found.status}.html", {"message": found.message})
    return HttpResponse(page, status=found.status, headers=found.headers)
