"""The members of a JSON object in a metadata file, each asked for by its type."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from axonem_eval.errors import InputError
from axonem_eval.volumes.stated import shown
from axonem_eval.volumes.store import Store

# Larger than any size that a volume has; tensorstore takes no larger one.
MOST = 1 << 62
REQUIRED: Final = object()


@dataclass(frozen=True)
class Members:
    """An object of a metadata file.

    file : name of the metadata file.   place : where the object stands in it, empty for the document itself.
    Each method raises InputError, saying file, place, value and what was expected, where a member is of another type.
    ``instead`` stands for a member that is left out, or null; without it, the member is required.
    """

    store: Store
    file: str
    values: dict[str, Any]
    place: str = ""

    @classmethod
    def of(cls, store: Store, file: str, content: Any, place: str = "") -> "Members":
        """The members of a value. Raises InputError where it is no object."""
        if not isinstance(content, dict):
            raise _wrong(store, file, f"{place or 'the whole file'} is {shown(content)}", "a JSON object")
        return cls(store, file, content, place)

    def wrong(self, name: str, expected: str) -> InputError:
        """The complaint about a member."""
        at = self._at(name)
        stated = f"{at} is {shown(self.values[name])}" if name in self.values else f"it states no {at}"
        return _wrong(self.store, self.file, stated, expected)

    def sizes(self, name: str, *, least: int, count: int | None = None) -> tuple[int, ...]:
        """Integers of at least ``least``, so many as there are axes where ``count`` is given."""
        value = self.values.get(name)
        numbers = value if isinstance(value, list) else [None]
        found = tuple(n for n in numbers if type(n) is int and least <= n < MOST)
        if len(found) < len(numbers) or len(found) != (len(found) if count is None else count):
            integers = "a list of integers" if count is None else f"a list of {count} integers, one for each axis,"
            raise self.wrong(name, f"{integers} from {least} on")
        return found

    def integer(self, name: str, expected: str) -> int:
        """An integer, also one that is written with a fraction of 0, as tensorstore takes it."""
        value = self.values.get(name)
        number = int(value) if isinstance(value, float) and value.is_integer() else value
        if type(number) is not int:
            raise self.wrong(name, expected)
        return number

    def one_of(self, name: str, options: Sequence[Any], instead: Any = REQUIRED) -> Any:
        value = self.values.get(name, instead)
        # By type as well: to Python, 2 is 2.0 and 1 is True.
        if not any(type(value) is type(option) and value == option for option in options):
            raise self.wrong(name, " or ".join(map(json.dumps, options)))
        return value

    def text(self, name: str) -> str:
        value = self.values.get(name)
        if not isinstance(value, str):
            raise self.wrong(name, "a text")
        return value

    def object(self, name: str, instead: dict[str, Any] | None = None) -> "Members":
        """A member that is an object itself.   instead : of one that is left out or null; None: it is required."""
        value = self.values.get(name)
        if value is None and instead is not None:
            value = instead
        if not isinstance(value, dict):
            raise self.wrong(name, "a JSON object")
        return Members(self.store, self.file, value, self._at(name))

    def objects(self, name: str, *, required: bool = False) -> list["Members"]:
        """A list of objects; empty where it is left out or null, and not required."""
        return [
            Members.of(self.store, self.file, each, f"{self._at(name)}[{i}]")
            for i, each in enumerate(self.list_of(name, lambda each: True, "a list of objects", required=required))
        ]

    def list_of(
        self, name: str, is_right: Callable[[Any], bool], expected: str, *, required: bool = False
    ) -> list[Any]:
        """A list whose entries pass the test; empty where it is left out or null, and not required."""
        value = self.values.get(name)
        if value is None and not required:
            return []
        if not (isinstance(value, list) and all(map(is_right, value))):
            raise self.wrong(name, expected)
        return value

    def _at(self, name: str) -> str:
        return f"{self.place}.{name}" if self.place else name


def _wrong(store: Store, file: str, stated: str, expected: str) -> InputError:
    what = f"in {file}, {stated}; expected {expected}. Write the array again, or correct {file}"
    return store.error("bad_metadata", what)
