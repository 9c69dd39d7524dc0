"""What templates ask of a benchmark."""

from django import template

from evalserver.benchmarks import selectors
from evalserver.benchmarks.models import Benchmark

register = template.Library()


@register.filter
def opening(benchmark: Benchmark) -> selectors.Opening:
    """Where the benchmark takes submissions now, or why it does not."""
    return selectors.opening(benchmark)
