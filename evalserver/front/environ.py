"""A request of the event loop in the words of WSGI, which Django's own handler reads."""

import sys
from typing import Any
from urllib.parse import unquote_to_bytes

from django.conf import settings

from evalserver.front.body import Message

TUS_PREFIX = "/api/v1/uploads/"
TUS_TYPE = "application/offset+octet-stream"


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


def is_form(environ: dict[str, Any]) -> bool:
    """Whether the body is a form with files."""
    return _content_type(environ) == "multipart/form-data"


def _content_type(environ: dict[str, Any]) -> str:
    return str(environ.get("CONTENT_TYPE", "")).partition(";")[0].strip().lower()


def address_of(environ: dict[str, Any]) -> str:
    """The caller's address; what a client claims about itself counts only behind a proxy that we trust."""
    forwarded = environ.get("HTTP_X_FORWARDED_FOR", "") if settings.TRUST_PROXY else ""
    return forwarded.rpartition(",")[2].strip() or environ.get("REMOTE_ADDR", "")


def who_asks(environ: dict[str, Any]) -> list[str]:
    """Names that share threads: the address, and the token or session if there is one."""
    names = [f"address {address_of(environ)}"]
    if token := environ.get("HTTP_AUTHORIZATION", ""):
        return [*names, f"token {hash(token)}"]
    for pair in environ.get("HTTP_COOKIE", "").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == settings.SESSION_COOKIE_NAME:
            return [*names, f"session {hash(value)}"]
    return names
