"""Building blocks of the reports: sections, paragraphs, tables, plot beside table.

Jinja2 fills in the templates and escapes every text; only markup that a block or a plot has made stays as it is.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

FOLDER = Path(__file__).parent


@cache
def _environment() -> Environment:
    loader = FileSystemLoader(FOLDER / "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)


@cache
def _blocks() -> Any:
    return _environment().get_template("parts.html").module


def _block(name: str, *values: Any) -> Markup:
    return Markup(getattr(_blocks(), name)(*values).strip())


def stand_alone_page(title: str, content: Sequence[str]) -> str:
    """A page that needs no other file."""
    css = Markup((FOLDER / "style.css").read_text(encoding="utf-8"))
    return _environment().get_template("page.html").render(title=title, content=content, css=css)


def heading(words: str) -> Markup:
    """The title of a page."""
    return _block("title", words)


def cards(figures: Sequence[tuple[str, str]]) -> Markup:
    """Large figures, each with what it is."""
    return _block("cards", figures)


def section(heading: str, *parts: str) -> Markup:
    """A part of the page."""
    return _block("section", heading, parts)


def paragraph(words: str, class_: str = "") -> Markup:
    """A paragraph of plain words."""
    return _block("paragraph", words, class_)


def code(words: str) -> Markup:
    """A command line."""
    return _block("code", words)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str, words: Sequence[int] = (0,)) -> Markup:
    """A table that scrolls sideways by itself; columns listed in ``words`` hold words, the others numbers."""
    return _block("table", head, rows, caption, words)


def pair(plot: str, beside: str) -> Markup:
    """A plot with its table beside it, or below it where the page is narrow."""
    return _block("pair", plot, beside)


def drawings(panels: Sequence[tuple[str, str, Sequence[str]]]) -> Markup:
    """Drawings, each with its heading and the list of what is numbered in it."""
    return _block("drawings", panels)


def definitions(entries: Sequence[tuple[str, str]]) -> Markup:
    """Terms with what they mean."""
    return _block("definitions", entries)
