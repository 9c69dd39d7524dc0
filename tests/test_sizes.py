"""Sizes in words, one unit system everywhere."""

import re
from pathlib import Path

import pytest

from axonem_eval.sizes import size_in_words

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("n_bytes", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (123_456, "123 kB"),
        (999_600, "1 MB"),
        (1 << 30, "1.07 GB"),
        (123_400_000_000_000_000, "123,400 TB"),
    ],
)
def test_a_size_has_three_digits_and_a_decimal_unit(n_bytes, words):
    assert size_in_words(n_bytes) == words


def test_nothing_that_people_read_counts_in_units_of_1024():
    """Django's filesizeformat divides by 1024 and says MB."""
    folders = ("axonem_eval", "evalserver", "baselines", "templates", "docs", "benchmarks")
    files = [
        path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".md", ".html")
    ]
    assert len(files) > 300
    binary = re.compile(r"\b[KMGT]iB\b|\bKB\b|filesizeformat")
    assert [str(path.relative_to(ROOT)) for path in files if binary.search(path.read_text())] == []
