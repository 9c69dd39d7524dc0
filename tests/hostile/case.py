"""One hostile label file: how it is made, and what reading it may say and cost."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# What most of the files claim to be: two axons, a background plane between.
SHAPE = (16, 32, 32)
LABELS = np.zeros(SHAPE, np.uint64)
LABELS[:, :15] = 1
LABELS[:, 16:] = 2

# A volume of the benchmark's size, of which a small file holds next to nothing.
AXONEM = (750, 4096, 4096)

# Any of these is a true word about a file whose bytes are not what its format says.
DAMAGED = ("damaged_chunk", "damaged_file", "truncated")


@dataclass(frozen=True)
class Case:
    """A file, with what must come of it.

    name : file name, which tells the kind before the first ``-``.
    make : writes the file; under 1 MB, the same bytes each time.
    codes : the complaint is one of these.   reads : these labels come out (z, y, x); None where the file is refused.
    any_answer : for bytes damaged at random: a complaint of any code, or labels, but an answer.
    shape_zyx : of the volume that the file is handed in for.   cpu_seconds, memory_mb : of the child, at most.
    confined : read by the server's child in the tests too, which takes a second longer.
    slow : confined, and takes more than ten seconds; then it may use CPU for as long as it may run.
    """

    name: str
    make: Callable[[Path], None]
    codes: tuple[str, ...] = ()
    reads: np.ndarray | None = None
    any_answer: bool = False
    shape_zyx: tuple[int, int, int] = SHAPE
    cpu_seconds: float = 20.0
    memory_mb: int = 700
    confined: bool = False
    slow: bool = False

    @property
    def nodes_zyx(self) -> np.ndarray:
        """(n, 3) int32 voxels to sample: both ends, and a thousand in between."""
        inside = np.random.default_rng(0).integers(0, self.shape_zyx, (1000, 3))
        return np.concatenate([[(0, 0, 0)], inside, [np.subtract(self.shape_zyx, 1)]]).astype(np.int32)


CASES: list[Case] = []


def hostile(name: str, *codes: str, **options) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """Add the file that the decorated function writes to the list."""

    def add(make: Callable[[Path], None]) -> Callable[[Path], None]:
        CASES.append(Case(name, make, codes, **options))
        return make

    return add


def alter(path: Path, change: Callable[[bytearray], bytes | None]) -> None:
    """Change the bytes of a file; ``change`` alters them in place, or returns others."""
    content = bytearray(path.read_bytes())
    path.write_bytes(change(content) or content)


def overwrite(signature: bytes, offset: int, data: bytes) -> Callable[[bytearray], None]:
    """A change that writes bytes after every place of a signature."""

    def change(content: bytearray) -> None:
        at = content.find(signature)
        while at >= 0:
            content[at + offset : at + offset + len(data)] = data
            at = content.find(signature, at + 1)

    return change
