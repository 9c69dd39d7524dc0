"""Who may call what: a personal token, or the session of the pages with a CSRF token."""

import time
from typing import Any

import redis
from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from ninja.errors import AuthenticationError
from ninja.security import HttpBearer
from ninja.security.apikey import APIKeyCookie
from ninja.throttling import BaseThrottle

from evalserver.accounts.models import User
from evalserver.api.problems import READ, SUBMIT, check_csrf, token_user
from evalserver.front import address_of, network_of

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


class RequestRate(BaseThrottle):
    """So many requests in each minute of the clock, for one user or one address without a login.

    Ninja's own throttles keep the request at hand in the shared object, which threads would mix up.
    """

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute

    def allow_request(self, request: HttpRequest) -> bool:
        user = request.user
        who = f"user-{user.pk}" if user.is_authenticated else f"address-{network_of(address_of(request.META))}"
        key = f"api-rate-{who}-{int(time.time() // 60)}"
        try:
            cache.add(key, 0, timeout=120)
            return int(cache.incr(key)) <= self.per_minute
        except (redis.RedisError, ValueError):
            # No Redis, or the key went in between: better served than refused.
            return True

    def wait(self) -> float:
        return 60 - time.time() % 60


rate = RequestRate(settings.API_REQUESTS_PER_MINUTE)
