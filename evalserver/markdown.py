"""Markdown that strangers wrote, as HTML that is safe to show."""

from functools import lru_cache

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

TAGS = {
    *("p", "br", "hr", "em", "strong", "s", "code", "pre", "blockquote", "ul", "ol", "li"),
    *("h3", "h4", "h5", "h6", "a", "table", "thead", "tbody", "tr", "th", "td"),
}
# A page has one h1, and its sections are h2: what a description calls a heading begins below them.
LOWER = {"h1": "h3", "h2": "h4", "h3": "h5", "h4": "h6", "h5": "h6", "h6": "h6"}


@lru_cache(maxsize=512)
def render_markdown(text: str) -> SafeString:
    """CommonMark with tables; no images, no HTML, links to the web alone."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    tokens = markdown.parse(text)
    for token in tokens:
        token.tag = LOWER.get(token.tag, token.tag)
    html = markdown.renderer.render(tokens, markdown.options, {})
    clean = nh3.clean(
        html, tags=TAGS, attributes={"a": {"href"}}, url_schemes={"http", "https", "mailto"},
        link_rel="nofollow noopener ugc",
    )  # fmt: skip
    return mark_safe(clean)
