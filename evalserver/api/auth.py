"""Who may call what: a personal token, or the session of the pages with a CSRF token."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from ninja.errors import AuthenticationError
from ninja.security import HttpBearer
from ninja.security.apikey import APIKeyCookie
from ninja.throttling import SimpleRateThrottle

from evalserver.accounts.models import User
from evalserver.http import READ, SUBMIT, check_csrf, token_user

PUBLIC_SECURITY: dict[str, Any] = {"security": [{}, {"Token": []}, {"Session": []}]}


class Token(HttpBearer):
    """`Authorization: Bearer <token>`. A bad token is refused, also where none is needed."""

    def __init__(self, scope: str) -> None:
        super().__init__()
        self.scope = scope

    def authenticate(self, request: HttpRequest, token: str) -> User:
        return token_user(request, token.strip(), self.scope)


class Session(APIKeyCookie):
    """The cookie of somebody who is logged in on the pages."""

    param_name = settings.SESSION_COOKIE_NAME

    def __init__(self) -> None:
        super().__init__(csrf=False)  # only who has a session needs the check, and ours has the API's error shape

    def authenticate(self, request: HttpRequest, key: str | None) -> User | None:
        if not request.user.is_authenticated:
            return None
        check_csrf(request)
        return request.user


def anyone(request: HttpRequest) -> Any:
    """What is public needs no login."""
    if "authorization" in request.headers:
        raise AuthenticationError(message="The header Authorization is not `Bearer <token>`.")
    return request.user or True


reader = [Token(READ), Session()]
submitter = [Token(SUBMIT), Session()]
public = [Token(READ), Session(), anyone]


class RequestRate(SimpleRateThrottle):
    """So many requests a minute of one user, or of one address without a login."""

    def get_cache_key(self, request: HttpRequest) -> str:
        user = request.user
        who = f"user-{user.pk}" if user.is_authenticated else f"address-{self.get_ident(request)}"
        return f"api-rate-{who}"


rate = RequestRate(f"{settings.API_REQUESTS_PER_MINUTE}/min")
