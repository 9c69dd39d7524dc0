"""Errors of one shape for programs, and the authentication of a request.

Every error of the API and of the upload protocol is a JSON object {"code", "message", "details"}: a stable word for
programs, a sentence for people, and details.
"""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import CsrfViewMiddleware

from evalserver.accounts.models import User
from evalserver.accounts.services import authenticate_token

READ, SUBMIT = "read", "submit"


class Problem(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: str, message: str, details: Any = None, **headers: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.details = {} if details is None else details
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def response(self) -> JsonResponse:
        body = {"code": self.code, "message": self.message, "details": self.details}
        return JsonResponse(body, status=self.status, headers=self.headers)


class _CsrfCheck(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


def check_csrf(request: HttpRequest) -> None:
    """Raises Problem unless the request shows the token of its session's page, or is one that changes nothing."""
    check = _CsrfCheck(lambda request: HttpResponse())
    check.process_request(request)
    reason = check.process_view(request, HttpResponse, (), {})
    if reason:
        raise Problem(403, "csrf_failed", f"Reload the page and try again. ({reason})")


def bearer_key(request: HttpRequest) -> str | None:
    """The key in `Authorization: Bearer <key>`; None without that header."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


def token_user(request: HttpRequest, key: str, scope: str) -> User:
    """Owner of a key that allows the scope. Raises Problem. `request.auth_token` is the token afterwards."""
    found = authenticate_token(key)
    if found is None:
        raise Problem(
            401, "bad_token", "The token is unknown, revoked or expired. Make a new one on the page “API tokens”.",
            WWW_Authenticate="Bearer",
        )  # fmt: skip
    user, token = found
    if not token.allows(scope):
        raise Problem(403, "wrong_scope", f"This token does not allow “{scope}”.", {"needed": scope})
    request.user, request.auth_token = user, token  # type: ignore[attr-defined]
    return user


def authenticated_user(request: HttpRequest, scope: str) -> User:
    """Who asks, by token or by session. Raises Problem."""
    key = bearer_key(request)
    if key is not None:
        return token_user(request, key, scope)
    if not request.user.is_authenticated:
        raise Problem(
            401, "not_logged_in", "Log in, or send a token: Authorization: Bearer <token>.", WWW_Authenticate="Bearer"
        )
    check_csrf(request)
    return request.user
