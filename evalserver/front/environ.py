"""A request of the event loop in the words of WSGI, which Django's own handler reads."""

import re
import sys
from importlib import import_module
from io import BytesIO
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import unquote_to_bytes

from django.conf import settings
from django.contrib.auth import get_user
from django.core.handlers.wsgi import WSGIRequest

from evalserver.front.body import Message

TUS_PREFIX = "/api/v1/uploads/"
TUS_TYPE = "application/offset+octet-stream"
# Pages whose forms have files; deploy/nginx.conf names the same.
FORMS_WITH_FILES = re.compile(
    r"^/(benchmarks/[-\w]+/submit/|organise/benchmarks/[-\w]+/volumes/[-\w]+/(ground-truth|workshop)/|admin/.+)$"
)
# A provider gives each customer as many IPv6 addresses at least.
IPV6_PREFIX = 64


def environ_of(scope: Message) -> dict[str, Any]:
    """PEP 3333's dictionary, without the body. Headers with an underscore are dropped: they could pass for others."""
    server = scope.get("server") or ("localhost", 80)
    client = scope.get("client") or ("", 0)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for raw_name, raw_value in scope["headers"]:
        if b"_" in raw_name:
            continue
        name, value = raw_name.decode("latin-1").upper().replace("-", "_"), raw_value.decode("latin-1")
        if name not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            name = f"HTTP_{name}"
        if name in environ:
            value = f"{environ[name]}{'; ' if name == 'HTTP_COOKIE' else ','}{value}"
        environ[name] = value
    return environ


def content_length(environ: dict[str, Any]) -> int | None:
    """Bytes that the body has; None if it comes in chunks of unknown number."""
    if "HTTP_TRANSFER_ENCODING" in environ:
        return None
    raw = environ.get("CONTENT_LENGTH", "")
    return int(raw) if raw.isdecimal() else 0


def is_streamed(environ: dict[str, Any]) -> bool:
    """Whether the view takes the body piece by piece (the upload protocol)."""
    return str(environ["PATH_INFO"]).startswith(TUS_PREFIX) and _content_type(environ) == TUS_TYPE


def takes_files(environ: dict[str, Any]) -> bool:
    """Whether it is a form with files, at an address that takes them."""
    is_form = _content_type(environ) == "multipart/form-data"
    return is_form and FORMS_WITH_FILES.match(str(environ["PATH_INFO"])) is not None


def _content_type(environ: dict[str, Any]) -> str:
    return str(environ.get("CONTENT_TYPE", "")).partition(";")[0].strip().lower()


def address_of(environ: dict[str, Any]) -> str:
    """The caller's address; what a client claims about itself counts only behind a proxy that we trust."""
    forwarded = environ.get("HTTP_X_FORWARDED_FOR", "") if settings.TRUST_PROXY else ""
    return forwarded.rpartition(",")[2].strip() or environ.get("REMOTE_ADDR", "")


def plain_address(address: str) -> str:
    """The same, and of IPv4 as such, though it came through a socket of IPv6. What is no address stays as it is."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return str(getattr(found, "ipv4_mapped", None) or found)


def network_of(address: str) -> str:
    """What an address is counted as: itself, of IPv6 the network /64, of which one caller has all addresses."""
    plain = plain_address(address)
    try:
        return str(IPv6Network((int(IPv6Address(plain)), IPV6_PREFIX), strict=False))
    except ValueError:
        return plain


def who_asks(environ: dict[str, Any]) -> list[str]:
    """Names that share threads: the address, and the token or session if there is one."""
    names = [f"address {network_of(address_of(environ))}"]
    if token := environ.get("HTTP_AUTHORIZATION", ""):
        return [*names, f"token {hash(token)}"]
    for pair in environ.get("HTTP_COOKIE", "").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == settings.SESSION_COOKIE_NAME:
            return [*names, f"session {hash(value)}"]
    return names


def account_of(environ: dict[str, Any]) -> str:
    """In a thread: it reads the database. The account of the request's session, however many it has; else empty."""
    request: Any = WSGIRequest({**environ, "wsgi.input": BytesIO()})  # the body is still to come
    engine = import_module(settings.SESSION_ENGINE)
    request.session = engine.SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    user = get_user(request)
    return f"account {user.pk}" if user.is_authenticated else ""
