"""What holds for every request: security headers, a gate before large uploads, names for the templates."""

import shutil
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

GetResponse = Callable[[HttpRequest], HttpResponse]

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)


def security_headers(get_response: GetResponse) -> GetResponse:
    """Everything from this server alone, no inline script or style, no frames."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        response.headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
        return response

    return middleware


def upload_gate(get_response: GetResponse) -> GetResponse:
    """Turn a large upload away before its first byte is stored.

    CSRF protection reads the whole body, so this stands in front of it: who is not logged in, sends too
    much, or more than the disk holds, is told so at once.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        if not request.META.get("CONTENT_TYPE", "").startswith("multipart/"):
            return get_response(request)
        size = int(request.META.get("CONTENT_LENGTH") or 0)
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path()) if size else get_response(request)
        if size > settings.UPLOAD_MAX_BYTES:
            context = {"size": size, "limit": settings.UPLOAD_MAX_BYTES}
            return render(request, "413.html", context, status=413)
        if size > shutil.disk_usage(settings.FILE_UPLOAD_TEMP_DIR).free - 2**28:
            return render(request, "507.html", status=507)
        return get_response(request)

    return middleware


def site_context(request: HttpRequest) -> dict[str, object]:
    return {"site_name": settings.SITE_NAME}
