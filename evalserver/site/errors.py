"""Answers to requests that fail: what the database, the files or the disk cannot take is never our own 500."""

import sys

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.defaults import bad_request, page_not_found, server_error

from evalserver.unavailable import cannot_be_stored, unavailable

NO_FILE = "There is no such file, or it is private: log in with the account that may see it.\n"


def answer_to_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's `handler404`: a page; for a program that asks for a file a line, which it does not take for the file."""
    is_file = "." in request.path.rpartition("/")[2]
    if is_file and "text/html" not in request.headers.get("Accept", ""):
        return HttpResponse(NO_FILE, status=404, content_type="text/plain; charset=utf-8")
    return page_not_found(request, exception)


def answer_to_exception(request: HttpRequest) -> HttpResponse:
    """Django's `handler500`. The page asks no database."""
    error = sys.exc_info()[1]
    if isinstance(error, Exception) and cannot_be_stored(error):
        return bad_request(request, error)
    found = unavailable(error)
    if found is None:
        return server_error(request)
    page = render_to_string(f"{found.status}.html", {"message": found.message})
    return HttpResponse(page, status=found.status, headers=found.headers)
