"""Files of one submission that were handed in for one another's volumes, told by shape and voxel size."""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice, permutations
from typing import TypeVar

from axonem_eval.errors import Complaint

Name = TypeVar("Name")

# Complaints about a file that is right for another volume.
OF_ANOTHER = frozenset(("wrong_shape", "swapped_axes", "wrong_voxel_size"))
# Each try opens a file.
MOST_TRIED = 12


def exchanged_files(
    refused: Mapping[Name, Iterable[Complaint]], fits: Callable[[Name, Name], bool]
) -> dict[Name, Name]:
    """Of files that do not fit their volumes, those that fit the volume of another one: that volume, by their own.

    refused : complaints about each such file, by its volume.   fits : whether the file of the first volume passes the
    check of the second.
    """
    misfits = [name for name, complaints in refused.items() if any(c.code in OF_ANOTHER for c in complaints)]
    found: dict[Name, Name] = {}
    for name, other in islice(permutations(misfits, 2), MOST_TRIED):
        if name not in found and fits(name, other):
            found[name] = other
    return found


def exchanged_complaint(file_name: str, volume_name: str) -> Complaint:
    """What the owner of a file is told that fits another volume, whose own file does not fit it."""
    return Complaint(
        "exchanged_files",
        f"{file_name}: it fits {volume_name}, whose own file does not fit. Are the files exchanged? Submit each for "
        "its own volume",
    )
