"""Middleware for every request: security headers, a gate before large uploads, names for the templates."""

from collections.abc import Callable

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect, JsonResponse
from django.middleware.common import CommonMiddleware
from django.shortcuts import render

from evalserver.disk import has_room
from evalserver.site.mail import mail_folder_to_show
from evalserver.site.software import archive_url
from evalserver.unavailable import BUSY, FULL

GetResponse = Callable[[HttpRequest], HttpResponse]

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        " ".join(["form-action 'self'", *settings.SIGN_IN_ORIGINS]),
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)

# Health checks and Prometheus ask the web process by its own address, which ALLOWED_HOSTS need not name.
ASKED_BY_ADDRESS = frozenset({"/healthz", "/metrics"})

API_ERRORS = {
    400: ("bad_request", "The request cannot be read."),
    403: ("forbidden", "This is not allowed."),
    404: ("not_found", "There is nothing at this address. See docs/api.md."),
    405: ("method_not_allowed", "This method is not allowed here. The header Allow names those that are."),
    413: ("too_large", "The request is too large."),
    500: ("server_error", "Something went wrong on our side. The operators find it in the log."),
    **{found.status: (found.code, found.message) for found in (BUSY, FULL)},
}


def security_headers(get_response: GetResponse) -> GetResponse:
    """Content only from this server; no inline script or style, no frames."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        response.headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
        return response

    return middleware


class HostCheck(CommonMiddleware):
    """Refuses hosts that ALLOWED_HOSTS does not name, but for the pages that programs ask for."""

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        return None if request.path_info in ASKED_BY_ADDRESS else super().process_request(request)


def api_errors(get_response: GetResponse) -> GetResponse:
    """Below /api/ every error is JSON of one shape, also where Django answers with a page of its own."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        content_type = response.headers.get("Content-Type", "")
        if (
            not request.path_info.startswith("/api/")
            or response.status_code < 400
            or content_type.startswith("application/json")
        ):
            return response
        word, sentence = API_ERRORS.get(response.status_code, ("error", response.reason_phrase))
        answer = JsonResponse({"code": word, "message": sentence, "details": {}}, status=response.status_code)
        for name in ("Allow", "Retry-After"):
            if name in response.headers:
                answer.headers[name] = response.headers[name]
        return answer

    return middleware


def upload_gate(get_response: GetResponse) -> GetResponse:
    """Refuse a large upload before its first byte is stored.

    CSRF protection reads the whole body, so this stands in front of it: a request without a login, above the
    limit or larger than the free disk is refused at once.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        if not request.META.get("CONTENT_TYPE", "").startswith("multipart/"):
            return get_response(request)
        if request.path_info.startswith("/api/"):
            message = "The API accepts JSON, and files over the resumable protocol at /api/v1/uploads/."
            return JsonResponse({"code": "wrong_content_type", "message": message, "details": {}}, status=415)
        size = int(request.META.get("CONTENT_LENGTH") or 0)
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path()) if size else get_response(request)
        if size > settings.UPLOAD_MAX_BYTES:
            context = {"size": size, "limit": settings.UPLOAD_MAX_BYTES}
            return render(request, "413.html", context, status=413)
        if not has_room(settings.FILE_UPLOAD_TEMP_DIR, size):
            return render(request, "507.html", status=507)
        return get_response(request)

    return middleware


def site_context(request: HttpRequest) -> dict[str, object]:
    """What every template knows of the site."""
    return {
        "site_name": settings.SITE_NAME,
        "sign_in_providers": list(settings.SOCIALACCOUNT_PROVIDERS),
        "mail_folder": mail_folder_to_show(),
        "site_contact": settings.SITE_CONTACT,
        "imprint_url": settings.IMPRINT_URL,
        "software_url": settings.SOFTWARE_URL,
        "software_archive": archive_url(),
    }
