"""The hostile label files: a list, and a command that writes them.

python -m tests.hostile.make_files FOLDER [PART OF A NAME ...]
"""

import sys
from pathlib import Path

from tests.hostile import (  # noqa: F401  each adds to the list
    amplifiers,
    hdf5_contents,
    hdf5_layouts,
    other_files,
    precomputed_files,
    tiff_files,
    zarr_files,
    zip_files,
)
from tests.hostile.case import CASES, Case


def selected(parts: list[str]) -> list[Case]:
    """The cases whose name holds one of the parts; all without any."""
    return [case for case in CASES if not parts or any(part in case.name for part in parts)]


def main() -> None:
    """Write the files."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for case in selected(sys.argv[2:]):
        case.make(folder / case.name)
        print(f"{(folder / case.name).stat().st_size:>9,}  {case.name}")


if __name__ == "__main__":
    main()
