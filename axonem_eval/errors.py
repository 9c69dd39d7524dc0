"""Complaints about an input, worded so that its owner can fix it.

    InputError          one or more complaints about a file that somebody handed in
        .complaints     each with a stable code, and one line: what was found, what was expected, what to do
    GroundTruthError    the same about ground truth that a file is compared with: its owner is somebody else

Any other exception is a fault of this package.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class Complaint:
    """One thing wrong with an input.

    code : stable machine name, e.g. ``wrong_shape``.
    message : one line for people: found, expected, remedy.
    """

    code: str
    message: str

    def __str__(self) -> str:
        return self.message


class InputError(ValueError):
    """The input is at fault; every complaint is one line that its owner may read."""

    def __init__(self, complaints: Complaint | Iterable[Complaint]) -> None:
        self.complaints: tuple[Complaint, ...] = (
            (complaints,) if isinstance(complaints, Complaint) else tuple(complaints)
        )
        super().__init__("\n".join(c.message for c in self.complaints))

    def __reduce__(self) -> tuple[type["InputError"], tuple[tuple[Complaint, ...]]]:
        """Let the complaints cross from one process to another."""
        return type(self), (self.complaints,)

    @classmethod
    def of(cls, code: str, message: str) -> "InputError":
        """Error with a single complaint."""
        return cls(Complaint(code, message))


class GroundTruthError(InputError):
    """The ground truth is at fault, not the file that is compared with it."""


@contextmanager
def of_ground_truth() -> Iterator[None]:
    """What is read inside is ground truth. Raises GroundTruthError in place of InputError."""
    try:
        yield
    except InputError as error:
        raise GroundTruthError(error.complaints) from None


def raise_all(complaints: Sequence[Complaint]) -> None:
    """Raise InputError with the complaints, if there are any."""
    if complaints:
        raise InputError(complaints)


def guarded(path: Path, what: str, read: Callable[[], Result]) -> Result:
    """Call ``read``; an error that a parser raises is the file's fault.

    Raises InputError in place of the parser's error.
    """
    try:
        return read()
    except (InputError, MemoryError, PermissionError):
        raise
    except Exception as error:
        text = (str(error).splitlines() or [""])[0].replace(str(path.absolute()), path.name)[:200]
        raise InputError.of(
            "damaged_chunk",
            f"{path.name}: {what} cannot be read ({type(error).__name__}: {text}). The file is damaged, cut short or "
            "written in a way that is not read: write it again, and compare sha256sum after copying",
        ) from None
