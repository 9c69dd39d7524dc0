"""The API: its routes, and how an exception becomes an answer."""

import logging
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, Throttled, ValidationError

from evalserver.api import account, benchmarks, comparisons, submissions
from evalserver.api.auth import rate
from evalserver.api.problems import Problem
from evalserver.jobs import new_incident_id
from evalserver.unavailable import cannot_be_stored, unavailable

logger = logging.getLogger("evalserver.api")

DESCRIPTION = """The API does for programs what the pages do for people. Log in with a personal token:
`Authorization: Bearer <token>`.

Arrays and sizes are in z, y, x order, lengths in nm. Every error is {"code", "message", "details"}. Files are sent over
the open tus 1.0 protocol at `/api/v1/uploads/`; see docs/api.md."""

# No page with the description: its scripts would come from elsewhere. docs/api.md is for people.
api = NinjaAPI(title="AxonEM evaluation server", version="1", description=DESCRIPTION, docs_url=None,
               urls_namespace="api", throttle=[rate])  # fmt: skip
api.add_router("/benchmarks", benchmarks.router)
api.add_router("/submissions", submissions.router)
api.add_router("/comparisons", comparisons.router)
api.add_router("/me", account.router)


def not_found(request: HttpRequest) -> HttpResponse:
    """The answer at any other address below /api/."""
    return Problem(404, "not_found", "There is nothing at this address. See docs/api.md.").response()


@api.exception_handler(Problem)
def _problem(request: HttpRequest, error: Problem) -> HttpResponse:
    return error.response()


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return Problem(404, "not_found", "It does not exist, or you may not see it.").response()


@api.exception_handler(AuthenticationError)
def _not_logged_in(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return Problem(
        401, "not_logged_in", "Log in, or send a token: Authorization: Bearer <token>.", WWW_Authenticate="Bearer"
    ).response()


@api.exception_handler(Throttled)
def _too_fast(request: HttpRequest, error: Throttled) -> HttpResponse:
    wait = max(1, round(error.wait or 1))
    return Problem(429, "too_many_requests", f"Wait {wait} s.", {"wait_s": wait}, Retry_After=str(wait)).response()


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    return Problem(error.status_code, "bad_request", str(error)).response()


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    details: list[dict[str, Any]] = [
        {"where": ".".join(map(str, row["loc"])), "problem": str(row["msg"])} for row in error.errors
    ]
    first = f"{details[0]['where']}: {details[0]['problem']}" if details else "The request is not as described."
    return Problem(422, "invalid", first, details).response()


@api.exception_handler(Exception)
def _our_fault(request: HttpRequest, error: Exception) -> HttpResponse:
    if cannot_be_stored(error):
        return Problem(400, "bad_request", "The request holds a value that no database can store.").response()
    if found := unavailable(error):
        logger.error("%s %s: %s", request.method, request.path, error)
        headers = {name.replace("-", "_"): value for name, value in found.headers.items()}
        return Problem(found.status, found.code, found.message, **headers).response()
    incident_id = new_incident_id()
    logger.exception("incident %s: %s %s", incident_id, request.method, request.path)
    message = f"Something went wrong on our side. The operators find it in the log under {incident_id}."
    return Problem(500, "server_error", message, {"incident_id": incident_id}).response()
