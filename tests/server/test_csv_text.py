"""Tables that people open in a spreadsheet."""

import csv
import io

import pytest

from evalserver.csv_text import csv_text


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_text_that_begins_like_a_formula_gets_a_quote_in_front(text):
    assert f"'{text}" in csv_text(["name"], [[text]])


def test_numbers_and_other_text_stay_and_none_is_empty():
    rows = list(csv.reader(io.StringIO(csv_text(["a", "b", "c", "d"], [[-1.5, None, "a=b", "x, y"]]))))
    assert rows == [["a", "b", "c", "d"], ["-1.5", "", "a=b", "x, y"]]
