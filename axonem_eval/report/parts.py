"""Building blocks of the report's page: sections, paragraphs, tables, plot beside table. All words are escaped."""

from collections.abc import Sequence
from html import escape

from axonem_eval.report.style import CSS
from axonem_eval.report.svg import tag


def stand_alone_page(title: str, content: Sequence[str]) -> str:
    """A page that needs no other file; ``title`` is escaped, ``content`` is markup."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head>"
        f"<body><main>{''.join(content)}</main></body></html>\n"
    )


def cards(figures: Sequence[tuple[str, str]]) -> str:
    """Large figures, each with what it is."""
    items = "".join(tag("li", tag("b", escape(big)) + tag("span", escape(small))) for big, small in figures)
    return tag("ul", items, class_="cards")


def section(heading: str, *parts: str) -> str:
    """A part of the page; ``parts`` are markup."""
    return tag("section", tag("h2", escape(heading)) + "".join(parts))


def paragraph(words: str, class_: str = "") -> str:
    """A paragraph of plain words."""
    return tag("p", escape(words), class_=class_) if class_ else tag("p", escape(words))


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str, words: Sequence[int] = (0,)) -> str:
    """A table that scrolls sideways by itself; columns listed in ``words`` hold words, the others numbers."""

    def cell(name: str, i: int, content: str) -> str:
        scope = {"scope": "col"} if name == "th" else {}
        return tag(name, escape(content), **scope, **({"class_": "words"} if i in words else {}))

    lines = [tag("tr", "".join(cell("td", i, c) for i, c in enumerate(row))) for row in rows]
    top = tag("thead", tag("tr", "".join(cell("th", i, c) for i, c in enumerate(head))))
    content = tag("caption", escape(caption)) + top + tag("tbody", "".join(lines))
    return tag("div", tag("table", content), class_="scroll", tabindex="0", role="region", aria_label=caption)


def pair(plot: str, beside: str) -> str:
    """A plot with its table beside it, or below it where the page is narrow."""
    return tag("div", tag("figure", plot) + tag("div", beside), class_="pair")
