"""Markdown by untrusted authors, as HTML that is safe to show."""

from functools import lru_cache

import nh3
from django.utils.safestring import SafeString
from markdown_it import MarkdownIt

from evalserver.site.markup import own_markup

TAGS = {
    *("p", "br", "hr", "em", "strong", "s", "code", "pre", "blockquote", "ul", "ol", "li"),
    *("h2", "h3", "h4", "h5", "h6", "a", "table", "thead", "tbody", "tr", "th", "td"),
}


@lru_cache(maxsize=512)
def render_markdown(text: str) -> SafeString:
    """CommonMark with tables. No images and no HTML; links only to the web."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    tokens = markdown.parse(text)
    # A page has one h1 of its own, and no level is left out, whichever the writer began with.
    used = sorted({token.tag for token in tokens if token.type == "heading_open"})
    level = {tag: f"h{min(6, 2 + i)}" for i, tag in enumerate(used)}
    for token in tokens:
        token.tag = level.get(token.tag, token.tag)
    html = markdown.renderer.render(tokens, markdown.options, {})
    clean = nh3.clean(
        html, tags=TAGS, attributes={"a": {"href"}}, url_schemes={"http", "https", "mailto"},
        link_rel="nofollow noopener ugc",
    )  # fmt: skip
    return own_markup(clean)
