"""What segmenting does with each block of a volume, and how blocks are put together. `predict.py` makes affinities."""

from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from baselines.affinity_unet.agglomerate import MergeTree
from baselines.affinity_unet.config import SegmentConfig
from baselines.affinity_unet.hierarchy import Hierarchy, fragments_of, merge_tree
from baselines.affinity_unet.region_graph import COLUMNS, RegionGraph, add_graphs, region_graph, rename
from baselines.affinity_unet.watershed import lowest_level
from baselines.affinity_unet.work_folder import WorkFolder
from baselines.common.blockwise import Block, Box, write_npz

# Fragments on both sides of a face are one where they share this much of their cross-section.
SAME_FRAGMENT = 0.5


def fragment_block(affinity: Path, work: Path, config: SegmentConfig, block: Block) -> dict[str, Any]:
    """Watershed of a block with context; stores its core, and what it saw on the planes before its lower faces.

    Returns the number of its fragments, for the ledger.
    """
    folder = WorkFolder(work)
    wide = fragments_of(_stored_affinities(affinity, block.halo), config)
    core = wide[block.core_in_halo]
    present = np.unique(core)
    present = present[present > 0]
    lookup = np.zeros(int(wide.max(initial=0)) + 1, np.uint32)
    lookup[present] = np.arange(1, len(present) + 1, dtype=np.uint32)
    folder.write_fragments(block, lookup[core])
    planes = {}
    for axis, (c, h) in enumerate(zip(block.core, block.halo, strict=True)):
        if c.start > h.start:
            box = list(block.core_in_halo)
            box[axis] = slice(c.start - h.start - 1, c.start - h.start)
            planes["zyx"[axis]] = lookup[wide[tuple(box)]]
    write_npz(work / "faces" / f"{block.name}.npz", **planes)
    voxels = np.bincount(lookup[core].reshape(-1), minlength=len(present) + 1)
    write_npz(work / "sizes" / f"{block.name}.npz", voxels=voxels[1:])
    return {"count": len(present)}


def graph_block(affinity: Path, work: Path, block: Block) -> None:
    """Links whose destination lies in the block, and which fragments on its lower faces are one."""
    folder = WorkFolder(work)
    z, y, x = (slice(max(c.start - 1, 0), c.stop) for c in block.core)
    dz, dy, dx = (c.start - b.start for c, b in zip(block.core, (z, y, x), strict=True))
    ids = folder.read((z, y, x))
    graph = region_graph(_stored_affinities(affinity, (z, y, x)), ids, (dz, dy, dx))
    same = [np.zeros((0, 2), np.int64)]
    with np.load(work / "faces" / f"{block.name}.npz", allow_pickle=False) as faces:
        for axis in (axis for axis in range(3) if "zyx"[axis] in faces):
            plane = [slice(first, None) for first in (dz, dy, dx)]
            plane[axis] = slice(0, 1)
            ours = folder.numbered(faces["zyx"[axis]], block.index)
            same.append(same_fragments(ids[tuple(plane)].reshape(-1), ours.reshape(-1)))
    table = {column: getattr(graph, column) for column in COLUMNS}
    write_npz(work / "graph" / f"{block.name}.npz", same=np.concatenate(same), **table)


def _stored_affinities(affinity: Path, box: Box) -> NDArray[np.uint8]:
    """Affinities (3,z,y,x) in a box, as `predict.py` stored them."""
    return np.asarray(zarr.open_array(affinity, mode="r")[(slice(None), *box)])


def same_fragments(theirs: NDArray[np.int64], ours: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs (theirs, ours) of fragments that two blocks saw on one plane and that are the same there.

    Both (n,) ids of one plane, 0 is background: the neighbour's own, and those of the block that reached over.
    Two fragments are the same if at least half of either's voxels on the plane are the other's.
    """
    both = (theirs > 0) & (ours > 0)
    pairs, shared = np.unique(np.stack([theirs[both], ours[both]], 1), axis=0, return_counts=True)
    if not len(pairs):
        return np.zeros((0, 2), np.int64)
    largest = np.maximum(_sizes(theirs, pairs[:, 0]), _sizes(ours, pairs[:, 1]))
    return pairs[shared >= SAME_FRAGMENT * largest]


def _sizes(plane: NDArray[np.int64], ids: NDArray[np.int64]) -> NDArray[np.intp]:
    """Number of voxels of each id on a plane."""
    found, count = np.unique(plane, return_counts=True)
    return count[np.searchsorted(found, ids)]


def agglomerate_blocks(folder: WorkFolder, config: SegmentConfig) -> Hierarchy:
    """Unite the fragments that block faces have cut, then agglomerate.

    A link of at least ``config.high`` always joins. Within a block it has done so; those left lead across a face.
    """
    graphs, same, sizes = [], [], []
    for block in folder.grid:
        with np.load(folder.path / "graph" / f"{block.name}.npz", allow_pickle=False) as file:
            graphs.append(RegionGraph(*(file[column] for column in COLUMNS)))
            sure = file["strongest"] >= lowest_level(config.high)
            same += [file["same"], np.stack([file["u"], file["v"]], 1)[sure]]
        with np.load(folder.path / "sizes" / f"{block.name}.npz", allow_pickle=False) as file:
            sizes.append(file["voxels"])
    pairs = np.concatenate(same)
    faces = MergeTree(int(folder.offsets[-1]), pairs[:, 0], pairs[:, 1], np.ones(len(pairs)))
    united = faces.lookup(1.0)
    count = int(united.max(initial=0))
    voxels = np.bincount(united[1:], weights=np.concatenate(sizes), minlength=count + 1).astype(np.int64)
    return Hierarchy(united, voxels, merge_tree(rename(add_graphs(graphs), united), count, voxels, config))
