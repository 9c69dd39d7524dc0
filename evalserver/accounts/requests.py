"""Requests by their type."""

from django.http import HttpRequest

from evalserver.accounts.models import User


class AuthenticatedRequest(HttpRequest):
    """A request that a decorator or the API's authentication lets through only with a user."""

    user: User
