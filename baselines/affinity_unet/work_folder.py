"""The folder of a segmentation by blocks: fragments of each block, tables, and which blocks are done.

fragments.zarr      (z,y,x) uint32, numbered from 1 within each block
faces, sizes, graph what block_tasks.py leaves of each block
progress            the ledger, and the number of fragments before each block
hierarchy.npz       the result
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from baselines.common.blockwise import Block, Box, Ledger, Triple, blocks, write_npz


class WorkFolder:
    """Fragments of a volume by blocks, and their numbers in the whole volume."""

    def __init__(self, path: Path, ledger: Ledger | None = None) -> None:
        """ledger : of the job that fills the folder; without one the folder must hold a job already."""
        self.path = path
        self.ledger = ledger or Ledger.of(path / "progress")
        self.shape = _triple(self.ledger.job["shape"])
        self.block = _triple(self.ledger.job["block"])

    @cached_property
    def grid(self) -> list[Block]:
        """The blocks of the volume."""
        return blocks(self.shape, self.block, _triple(self.ledger.job["halo"]))

    def create_fragments(self) -> None:
        """Make the array of fragments where there is none."""
        store = self.path / "fragments.zarr"
        if not store.exists():
            # Under another name first: a kill must not leave an array without its description.
            part = store.with_name(f".{store.name}")
            zarr.create_array(part, shape=self.shape, chunks=self.block, dtype="uint32", fill_value=0, overwrite=True)
            part.rename(store)

    def write_fragments(self, block: Block, local: NDArray[np.uint32]) -> None:
        """Store the fragments of a block's core, numbered from 1."""
        zarr.open_array(self.path / "fragments.zarr", mode="r+")[block.core] = local

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """(blocks + 1,) number of fragments before each block; counted once, then read from a file.

        Raises RuntimeError where some blocks are not done.
        """
        path = self.ledger.folder / "offsets.npz"
        if not path.exists():
            counts = [self.ledger.done(f"fragments-{block.name}") for block in self.grid]
            missing = sum(found is None for found in counts)
            if missing:
                raise RuntimeError(f"{self.path}: fragments of {missing} blocks are missing")
            found = np.cumsum([0] + [int(found["count"]) for found in counts if found is not None])
            write_npz(path, offsets=found)
        with np.load(path, allow_pickle=False) as file:
            offsets: NDArray[np.int64] = file["offsets"]
        return offsets

    def read(self, box: Box) -> NDArray[np.int64]:
        """Fragments of the whole volume in a box (z,y,x) that may reach into several blocks; 0 is background."""
        ids = np.asarray(zarr.open_array(self.path / "fragments.zarr", mode="r")[box]).astype(np.int64)
        grid = [-(-n // s) for n, s in zip(self.shape, self.block, strict=True)]
        z, y, x = (range(b.start // s, -(-b.stop // s)) for b, s in zip(box, self.block, strict=True))
        for place in ((i, j, k) for i in z for j in y for k in x):
            part = tuple(
                slice(max(i * s - b.start, 0), min((i + 1) * s, b.stop) - b.start)
                for i, s, b in zip(place, self.block, box, strict=True)
            )
            ids[part] = self.numbered(ids[part], (place[0] * grid[1] + place[1]) * grid[2] + place[2])
        return ids

    def numbered(self, local: NDArray[np.integer], block: int) -> NDArray[np.int64]:
        """Numbers in the whole volume of a block's fragments; 0 stays 0."""
        found = local.astype(np.int64)
        found[found > 0] += self.offsets[block]
        return found

    def at(self, voxel_zyx: NDArray[np.integer]) -> NDArray[np.int64]:
        """(n,) fragments of the whole volume at voxels (n, 3); reads one block at a time."""
        found = np.zeros(len(voxel_zyx), np.int64)
        grid = [-(-n // s) for n, s in zip(self.shape, self.block, strict=True)]
        place = np.ravel_multi_index(tuple((voxel_zyx // self.block).T), grid)
        for index in np.unique(place):
            here, core = np.flatnonzero(place == index), self.grid[index].core
            inside = voxel_zyx[here] - [part.start for part in core]
            found[here] = self.read(core)[tuple(inside.T)]
        return found


def _triple(values: Any) -> Triple:
    z, y, x = (int(n) for n in values)
    return z, y, x
