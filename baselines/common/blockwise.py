"""Blocks of a volume: their grid, the weights that blend overlapping patches, and markers that make work resumable.

A piece of work is done when its marker file exists; the marker is written after the data, by rename.
"""

import fcntl
import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.files import write_atomically

Triple = tuple[int, int, int]
Box = tuple[slice, slice, slice]

# A bump falls to nothing at its edge; this much is left, so that voxels under a single patch keep a weight.
LEAST_WEIGHT = 1e-3


@dataclass(frozen=True)
class Block:
    """A block of a grid. core : its own voxels. halo : core and context, clipped to the volume."""

    index: int
    core: Box
    halo: Box

    @property
    def name(self) -> str:
        return f"{self.index:06d}"

    @property
    def core_in_halo(self) -> Box:
        """The core, in coordinates of the halo's box."""
        z, y, x = (slice(c.start - h.start, c.stop - h.start) for c, h in zip(self.core, self.halo, strict=True))
        return z, y, x


def blocks(shape: Triple, size: Triple, halo: Triple = (0, 0, 0)) -> list[Block]:
    """Blocks that tile a volume in z,y,x order; the last of an axis may be smaller."""
    starts = [range(0, n, s) for n, s in zip(shape, size, strict=True)]
    found = []
    for index, corner in enumerate(itertools.product(*starts)):
        core = [slice(o, min(o + s, n)) for o, s, n in zip(corner, size, shape, strict=True)]
        wide = [slice(max(c.start - h, 0), min(c.stop + h, n)) for c, h, n in zip(core, halo, shape, strict=True)]
        found.append(Block(index, (core[0], core[1], core[2]), (wide[0], wide[1], wide[2])))
    return found


def patch_starts(size: int, patch: int, overlap: float) -> list[int]:
    """First voxels of patches along an axis: equal steps, the last one moved back to end with the volume."""
    if size <= patch:
        return [0]
    step = max(1, round(patch * (1 - overlap)))
    return [*range(0, size - patch, step), size - patch]


def bump(length: int) -> NDArray[np.float32]:
    """(length,) weights along an axis of a patch: exp(-1 / (1 - x^2)) over -1 < x < 1, scaled to at most 1."""
    x = (np.arange(length) + 0.5) * 2 / length - 1
    weight = np.exp(1 - 1 / (1 - x * x))
    return np.maximum(weight, LEAST_WEIGHT).astype(np.float32)


def bump_weights(patch: Sequence[int]) -> NDArray[np.float32]:
    """(z,y,x) product of the three axes' bumps."""
    z, y, x = (bump(n) for n in patch)
    return z[:, None, None] * y[None, :, None] * x[None, None, :]


def summed_weight(size: int, patch: int, starts: Sequence[int]) -> NDArray[np.float32]:
    """(size,) sum of the bumps of all patches along an axis; the sum over a grid of patches is their product."""
    total = np.zeros(max(size, patch), np.float64)
    for start in starts:
        total[start : start + patch] += bump(patch)
    return total[:size].astype(np.float32)


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write JSON so that ``path`` is always a whole file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: file.write(json.dumps(values).encode()))


def write_npz(path: Path, **arrays: NDArray[Any]) -> None:
    """Write arrays as .npz so that ``path`` is always a whole file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: np.savez(file, allow_pickle=False, **arrays))


def fitted(size: Triple, shape: Triple) -> Triple:
    """The size of a block or chunk, no larger than the volume."""
    z, y, x = (min(s, n) for s, n in zip(size, shape, strict=True))
    return z, y, x


class Ledger:
    """Which pieces of a job are done, kept as files in a folder that all workers see."""

    def __init__(self, folder: Path, job: dict[str, Any]) -> None:
        """job : what the work depends on. Raises OtherJob where the folder holds work of another job."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        note = folder / "job.json"
        self.job = wanted = json.loads(json.dumps(job))
        if not note.exists():
            write_json(note, wanted)
        elif (found := json.loads(note.read_text())) != wanted:
            names = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
            other = "; ".join(f"{name} is {found.get(name)} there, {wanted.get(name)} here" for name in names)
            raise OtherJob(
                f"{folder}: holds work of other input or settings ({other}); delete it or choose another output"
            )

    @classmethod
    def of(cls, folder: Path) -> "Ledger":
        """The ledger of the job that a folder holds."""
        return cls(folder, json.loads((folder / "job.json").read_text()))

    def done(self, name: str) -> dict[str, Any] | None:
        """What a finished piece left, or None."""
        path = self.folder / f"{name}.json"
        if not path.exists():
            return None
        values: dict[str, Any] = json.loads(path.read_text())
        return values

    def finish(self, name: str, **values: Any) -> None:
        """Mark a piece as done; call it after the data are stored."""
        write_json(self.folder / f"{name}.json", values)

    def finished(self) -> set[str]:
        """Names of all finished pieces."""
        return {path.stem for path in self.folder.glob("*.json")} - {"job"}

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from running this job; the hold ends with the block, or with the process.

        Raises InputError where another process holds it.
        """
        with open(self.folder / "job.lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError.of(
                    "folder_in_use",
                    f"{self.folder}: another process works in this folder; wait until it ends, or choose another "
                    "output. Many processes share the work by --workers or --scheduler",
                ) from None
            yield


class OtherJob(RuntimeError):
    """A folder holds work of other input or settings."""
