"""Neuroglancer's client as its own server sends it, with a script of ours before its own."""

from pathlib import Path
from typing import Any

from axonem_eval.viewer.sources import neuroglancer

# The server of results sends it too.
SCRIPT = Path(__file__).parent / "static" / "keep_layers.js"


class ClientFiles:
    """The client's files as Neuroglancer's server asks for them."""

    def __init__(self) -> None:
        """Of the installed package."""
        self._own = neuroglancer().static.get_default_static_content_source()

    def get(self, name: str, query: str) -> tuple[bytes, str]:
        """Content and type of a file; an empty name is the page. Raises ValueError for a name that there is not."""
        found: tuple[Any, str] = self._own.get(name, query)
        content, kind = found
        if kind == "text/html":
            script = b"<head><script>" + SCRIPT.read_bytes() + b"</script>"
            content = content.replace(b"<head>", script, 1)
        return content, kind
