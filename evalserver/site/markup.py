"""Markup of our own."""

import re

from django.utils.safestring import SafeString, mark_safe


def own_markup(html: str) -> SafeString:
    """HTML or SVG that a template may show as it is. Only for what our code made and escaped, or cleaned."""
    return mark_safe(html)  # noqa: S308  (the one place)


# What XML 1.0 has no way to write, not even escaped.
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(text: str) -> str:
    """A text without the characters that an XML document cannot hold. It is not escaped yet."""
    return NOT_IN_XML.sub("", text)
