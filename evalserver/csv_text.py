"""The one writer of CSV: nothing that a spreadsheet would run, empty cells for what is not known."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from django.http import HttpResponse

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_text(head: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """A table with a head. Text that begins like a formula gets a quote in front; None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(head)
    writer.writerows([_plain_cell(value) for value in row] for row in rows)
    return text.getvalue()


def csv_file(text: str, name: str) -> HttpResponse:
    """A download of a table; `name` is without its suffix."""
    response = HttpResponse(text, content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def _plain_cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return "" if value is None else value
