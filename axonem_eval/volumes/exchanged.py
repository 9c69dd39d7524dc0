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


def exchanged_complaint(file_name: str, own: str, other: str) -> Complaint:
    """What takes the place of all complaints about a file that passes the check of another volume.

    own, other : names of the volume that it was handed in for, and of the one that it fits.
    """
    return Complaint(
        "exchanged_files",
        f"{file_name}: it does not fit {own}, but {other}, whose own file does not fit either. The files are probably "
        "exchanged: submit each for its own volume",
    )
