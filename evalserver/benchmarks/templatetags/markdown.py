"""Markdown in templates of benchmarks."""

from django import template
from django.utils.safestring import SafeString

from evalserver.site import render_markdown

register = template.Library()


@register.filter
def markdown(text: str) -> SafeString:
    """Markdown as safe HTML."""
    return render_markdown(text)
