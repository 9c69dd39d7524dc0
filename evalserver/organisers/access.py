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

View = Callable[..., HttpResponseBase]


def organiser(*permissions: str) -> Callable[[View], View]:
    """Let in organisers who have one of the permissions, or all organisers where none is named.

    Visitors go to the log-in; everybody else is refused with 403.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            user = request.user
            if not user.is_authenticated:
                redirected: HttpResponse = redirect_to_login(request.get_full_path())
                return redirected
            if not user.is_staff or (permissions and not any(user.has_perm(name) for name in permissions)):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        guarded.is_for_organisers = True  # type: ignore[attr-defined]  # a test looks that no page is without
        return guarded

    return decorate


def note(by: User, row: Model, what: str, *, is_new: bool = False) -> None:
    """Write into the audit log what an organiser did to a row."""
    rows = type(row)._default_manager.filter(pk=row.pk)
    LogEntry.objects.log_actions(by.pk, rows, ADDITION if is_new else CHANGE, what, single_object=True)
