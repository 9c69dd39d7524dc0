"""The order of TIFF sections, by the number in their names that counts them."""

import re
from itertools import pairwise
from typing import Any

import numpy as np

from axonem_eval.errors import InputError

_WRITE = "Write one file for each section, numbered without gaps"
# int() takes long for numbers of thousands of digits, and no section has one.
_DIGITS = re.compile(r"\d{1,100}")


def in_order(folder: str, names: list[str]) -> list[str]:
    """The names sorted by their number that counts the sections.

    Of several numbers in a name, the one that varies counts. If several vary, the one without gaps counts, provided
    that the others rise with it, as a date or a position does. Letters never decide.
    folder : name of the place in messages.
    Raises InputError: no number, a name without one, several that vary against one another, a gap, a number twice.
    """
    names = sorted(names)
    if len(names) == 1:
        return names
    numbers = [[int(n) for n in _DIGITS.findall(_stem(name))] for name in names]
    _require_alike(folder, names, numbers)
    table = np.array(numbers, dtype=object)
    varying = [c for c in range(table.shape[1]) if len(set(table[:, c])) > 1]
    if not varying:
        raise InputError.of("same_number", f"{folder}: {names[0]} and {names[1]} have the same number. {_WRITE}")
    if len(varying) == 1:
        order = _by(table, varying[0])
        _require_no_gap(folder, [names[i] for i in order], [table[i, varying[0]] for i in order])
        return [names[i] for i in order]
    for column in varying:
        order = _by(table, column)
        sorted_table = table[order]
        counts = all(b == a + 1 for a, b in pairwise(sorted_table[:, column]))
        if counts and all(a <= b for c in varying for a, b in pairwise(sorted_table[:, c])):
            return [names[i] for i in order]
    raise InputError.of(
        "several_numbers",
        f"{folder}: the names differ in {len(varying)} numbers ({names[0]}, {names[1]}, ..., {names[-1]}), and none of "
        f"them alone counts the sections. {_WRITE}, with one number",
    )


def _stem(name: str) -> str:
    return name.rpartition("/")[2].rpartition(".")[0]


def _by(table: Any, column: int) -> list[int]:
    return sorted(range(len(table)), key=lambda i: table[i, column])


def _require_alike(folder: str, names: list[str], numbers: list[list[int]]) -> None:
    """Raise InputError unless all names have the same number of numbers."""
    without = [name for name, found in zip(names, numbers, strict=True) if not found]
    if len(without) == len(names):
        raise InputError.of(
            "no_number", f"{folder}: none of the names has a number ({names[0]}, {names[1]}, ...). {_WRITE}"
        )
    if without:
        with_one = next(name for name, found in zip(names, numbers, strict=True) if found)
        raise InputError.of(
            "no_number",
            f"{folder}: {without[0]} has no number, {with_one} has"
            + (f"; so it is with {len(without):,} of {len(names):,} names" if len(without) > 1 else "")
            + f". {_WRITE}",
        )
    other = next((i for i, found in enumerate(numbers) if len(found) != len(numbers[0])), None)
    if other is not None:
        raise InputError.of(
            "several_numbers",
            f"{folder}: {names[0]} has {len(numbers[0])} numbers in its name, {names[other]} {len(numbers[other])}; "
            f"expected names that are alike but for the number of the section. {_WRITE}",
        )


def _require_no_gap(folder: str, names: list[str], numbers: list[int]) -> None:
    for (a, first), (b, second) in pairwise(zip(numbers, names, strict=True)):
        if b == a:
            raise InputError.of("same_number", f"{folder}: {first} and {second} have the same number. {_WRITE}")
        if b != a + 1:
            raise InputError.of(
                "missing_section",
                f"{folder}: {first} is followed by {second}; expected the number {a + 1}. {_WRITE}",
            )
