"""The stored servers and tokens: one file that only its owner can read."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axonem_eval.client.errors import ClientError
from axonem_eval.files import write_atomically


@dataclass(frozen=True)
class Login:
    """One server and the token for it."""

    url: str
    token: str


def config_path() -> Path:
    """`~/.config/axonem/login.json`, or below XDG_CONFIG_HOME."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "axonem" / "login.json"


def clean_url(url: str) -> str:
    """Address of a server without the slash at its end. Raises ClientError unless it is http or https."""
    url = url.strip().rstrip("/")
    if not url.startswith(("https://", "http://")):
        raise ClientError(f"{url!r} is not the address of a server. Write it like https://benchmark.example.org")
    return url


def save_login(login: Login) -> Path:
    """Store a server's token, and use this server from now on."""
    path = config_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    known = _read(path)
    known["servers"] = {**known.get("servers", {}), login.url: login.token}
    known["default"] = login.url
    write_atomically(path, lambda file: file.write(json.dumps(known, indent=2).encode()), mode=0o600)
    return path


def load_login(url: str | None = None) -> Login:
    """The server to talk to: the argument, AXONEM_SERVER, or the one of the last `axonem login`.

    If AXONEM_TOKEN is set, it is used instead of the stored token.
    """
    known = _read(config_path())
    wanted = url or os.environ.get("AXONEM_SERVER") or known.get("default")
    if not wanted:
        raise ClientError("No server is stored yet. Run `axonem login https://benchmark.example.org` first.")
    wanted = clean_url(wanted)
    token = os.environ.get("AXONEM_TOKEN") or known.get("servers", {}).get(wanted)
    if not token:
        raise ClientError(f"There is no token for {wanted}. Run `axonem login {wanted}` first.")
    return Login(wanted, token)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError:
        raise ClientError(f"{path} cannot be read. Remove it and run `axonem login URL` again.") from None
    return content if isinstance(content, dict) else {}
