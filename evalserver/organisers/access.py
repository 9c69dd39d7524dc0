"""Who may open an organisers' page, and the note of what they changed."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from evalserver.accounts.models import User
from evalserver.benchmarks.roles import READ, benchmarks_with, everywhere

View = Callable[..., HttpResponseBase]


def organiser(*permissions: str, any_role: bool = False) -> Callable[[View], View]:
    """Let in who has one of the permissions, or all staff where none is named.

    A permission may come from a role in a benchmark: in the one whose `slug` is in the address; in any where the
    address has none, and then the view shows and changes only what `benchmarks_with` leaves it. Visitors go to the
    log-in; everybody else is refused with 403.

    any_role : let in besides all staff whoever has a role in some benchmark.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            user = request.user
            if not user.is_authenticated:
                redirected: HttpResponse = redirect_to_login(request.get_full_path())
                return redirected
            if not _may_enter(user, permissions, any_role, kwargs.get("slug")):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        guarded.is_for_organisers = True  # type: ignore[attr-defined]  # a test looks that no page is without
        return guarded

    return decorate


def _may_enter(user: User, permissions: tuple[str, ...], any_role: bool, slug: str | None) -> bool:
    if not permissions:
        return user.is_staff or (any_role and benchmarks_with(user, *READ).exists())
    if everywhere(user, *permissions):
        return True
    rows = benchmarks_with(user, *permissions)
    return (rows if slug is None else rows.filter(slug=slug)).exists()


def note(by: User, row: Model, what: str, *, is_new: bool = False) -> None:
    """Write into the audit log what an organiser did to a row."""
    rows = type(row)._default_manager.filter(pk=row.pk)
    LogEntry.objects.log_actions(by.pk, rows, ADDITION if is_new else CHANGE, what, single_object=True)
