"""The documentation inside the server: the listed pages of docs/, rendered from Markdown."""

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import nh3
from django.conf import settings
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.safestring import SafeString
from django.views.decorators.gzip import gzip_page
from markdown_it import MarkdownIt
from markdown_it.token import Token

from evalserver.site.markup import own_markup

DOCS_DIR = Path(settings.BASE_DIR) / "docs"
# Markdown has no table without a head.
EMPTY_HEAD = re.compile(r"<thead>\s*<tr>\s*(<th[^>]*></th>\s*)+</tr>\s*</thead>")
IMAGE_NAME = re.compile(r"[\w-]+\.(png|jpg|svg|webp)")


@dataclass(frozen=True)
class Page:
    """One page: `docs/<name>.md`, at /docs/<name>/."""

    name: str
    title: str

    @property
    def path(self) -> Path:
        return DOCS_DIR / f"{self.name}.md"

    @property
    def url(self) -> str:
        return reverse("docs_page", args=[self.name])


@dataclass(frozen=True)
class Heading:
    """A heading of a page, for its table of contents."""

    anchor: str
    text: str


SECTIONS: dict[str, list[Page]] = {
    "Participants": [
        Page("participants", "Taking part"),
        Page("metric", "The metric"),
        Page("diagnosis", "Diagnosis and viewer"),
        Page("formats", "File formats"),
        Page("submitting", "Command line client"),
        Page("api", "REST API"),
        Page("baselines", "Baselines"),
        Page("baselines-log", "Baseline experiments"),
        Page("synthetic", "Synthetic tissue"),
        Page("glossary", "Glossary"),
    ],
    "Organisers": [Page("organisers", "Running a benchmark"), Page("workshop", "Ground-truth workshop")],
    "Operators": [
        Page("operations", "Installing and operating"),
        Page("capacity", "How many machines"),
        Page("permissions", "Who may do what"),
    ],
}
PAGES = {page.name: page for pages in SECTIONS.values() for page in pages}


def navigation() -> dict[str, list[Page]]:
    """Sections with the pages that this installation has."""
    present = {title: [page for page in pages if page.path.is_file()] for title, pages in SECTIONS.items()}
    return {title: pages for title, pages in present.items() if pages}


def url_of(name: str) -> str:
    """Address of a page, or an empty string where this installation does not have it."""
    found = PAGES.get(name)
    return found.url if found and found.path.is_file() else ""


def index(request: HttpRequest) -> HttpResponse:
    """Lead to the first page."""
    return redirect("docs_page", name=next(iter(SECTIONS.values()))[0].name)


@gzip_page
def page(request: HttpRequest, name: str) -> HttpResponse:
    """One page of docs/."""
    found = PAGES.get(name)
    if found is None or not found.path.is_file():
        raise Http404
    html, headings = render_markdown(found.path, found.path.stat().st_mtime_ns)
    context: dict[str, Any] = {"page": found, "html": html, "headings": headings, "sections": navigation()}
    return render(request, "docs/page.html", context)


def image(request: HttpRequest, name: str) -> FileResponse:
    """A picture of a page."""
    path = DOCS_DIR / "img" / name
    if not IMAGE_NAME.fullmatch(name) or not path.is_file():
        raise Http404
    return FileResponse(path.open("rb"), headers={"Cache-Control": "max-age=3600"})


@lru_cache(maxsize=64)
def render_markdown(path: Path, mtime_ns: int) -> tuple[SafeString, tuple[Heading, ...]]:
    """HTML of a page and its second-level headings.

    mtime_ns : time of the file's last change, so that an edited page is rendered anew.
    """
    markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    tokens = markdown.parse(path.read_text(encoding="utf-8"))
    headings = _anchor_headings(tokens)
    for token in tokens:
        if "right" in str(token.attrs.pop("style", "")):  # inline styles are forbidden on this site
            token.attrSet("class", "num")
        for child in token.children or []:
            _resolve_link(child)
    html = markdown.renderer.render(tokens, markdown.options, {})
    html = EMPTY_HEAD.sub("", html)
    # Tables scroll by themselves on narrow screens, and so must be reachable by keyboard, each by a name of its own.
    number = count(1)
    scroll = '<div class="scroll" role="region" aria-label="Table {}" tabindex="0"><table>'
    html = re.sub("<table>", lambda _: scroll.format(next(number)), html)
    html = html.replace("</table>", "</table></div>").replace("<pre>", '<pre tabindex="0">')
    return own_markup(_sanitised(html)), tuple(headings)


def _sanitised(html: str) -> str:
    return nh3.clean(
        html,
        attributes={
            "a": {"href", "title"},
            "img": {"src", "alt", "title"},
            "code": {"class"},
            "pre": {"tabindex"},
            "div": {"class", "role", "aria-label", "tabindex"},
            "th": {"class"},
            "td": {"class"},
            "ol": {"start"},
            **{f"h{level}": {"id"} for level in range(1, 7)},
        },
        url_schemes={"http", "https", "mailto"},
    )


def _anchor_headings(tokens: list[Token]) -> list[Heading]:
    """Give each heading an id made from its words. Returns the second-level headings."""
    seen: dict[str, int] = {}
    found = []
    for opening, inline in pairwise(tokens):
        if opening.type != "heading_open":
            continue
        text = "".join(child.content for child in inline.children or [] if child.type in ("text", "code_inline"))
        anchor = re.sub(r"[^\w]+", "-", text.lower()).strip("-") or "section"
        seen[anchor] = seen.get(anchor, 0) + 1
        if seen[anchor] > 1:
            anchor = f"{anchor}-{seen[anchor] - 1}"
        opening.attrSet("id", anchor)
        if opening.tag == "h2":
            found.append(Heading(anchor, text))
    return found


def _resolve_link(token: Token) -> None:
    """Turn links between files of docs/, which also work in a repository browser, into those of this site."""
    if token.type == "link_open":
        name, hash_, anchor = str(token.attrGet("href") or "").partition("#")
        if name.endswith(".md") and name.removesuffix(".md") in PAGES:
            token.attrSet("href", PAGES[name.removesuffix(".md")].url + hash_ + anchor)
    elif token.type == "image":
        source = str(token.attrGet("src") or "")
        if source.startswith("img/"):
            token.attrSet("src", reverse("docs_image", args=[source.removeprefix("img/")]))
