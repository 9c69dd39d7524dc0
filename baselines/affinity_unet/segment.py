"""Segment affinities of any size: fragments by block, one region graph, one agglomeration, labels by block.

    fragments     watershed of each block with context, cut to the block's core        (any number of processes)
    graph         links counted in the block that owns their destination voxel         (any number of processes)
    agglomerate   pieces of one fragment on both sides of a face are united, then one merge tree of the whole volume
    write         labels of one threshold, and of any other later from the same tree

Each step leaves files in the work folder and is skipped where they are complete, so a killed run goes on.
"""

import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zarr
from numpy.typing import NDArray
from tqdm import tqdm

from axonem_eval.landlock import die_with_parent
from baselines.affinity_unet.agglomerate import MergeTree, agglomerate
from baselines.affinity_unet.region_graph import RegionGraph, add_graphs, region_graph
from baselines.affinity_unet.watershed import lowest_level, merge_small, relabel, watershed
from baselines.common.blockwise import Block, Ledger, Triple, blocks
from baselines.common.config import SegmentConfig

# What a hierarchy depends on.
_SHAPING = ("high", "low", "size", "large", "large_threshold", "block", "halo")
# Pieces on both sides of a face are one fragment where they share this much of their cross-section.
SAME_FRAGMENT = 0.5


@dataclass(frozen=True)
class Hierarchy:
    """All segmentations of a volume. united (fragments + 1,) uint32: fragment of a block -> fragment of the volume.

    voxels (united + 1,) int64 sizes. tree : merges between united fragments.
    """

    united: NDArray[np.uint32]
    voxels: NDArray[np.int64]
    tree: MergeTree

    def lookup(self, threshold: float, dust: int) -> NDArray[np.uint32]:
        """(fragments + 1,) segment of each block fragment at a mean affinity; segments below ``dust`` are 0."""
        segment = self.tree.lookup(threshold)
        size = np.bincount(segment, weights=self.voxels, minlength=int(segment.max(initial=0)) + 1)
        size[0] = 0
        keep = size >= dust
        keep[0] = False
        number = np.zeros(len(size), np.uint32)
        number[keep] = np.arange(1, int(keep.sum()) + 1, dtype=np.uint32)
        return number[segment][self.united]


def segment_array(affinity: NDArray[np.uint8], config: SegmentConfig) -> tuple[NDArray[np.uint32], Hierarchy]:
    """Fragments (z,y,x) and hierarchy of affinities (3,z,y,x) in memory, as one block."""
    fragments, count = watershed(affinity, config.low, config.high)
    graph = region_graph(affinity, fragments)
    if config.size > 1:
        lookup, count = _join_small(fragments, count, graph, config)
        graph = rename(graph, lookup)
    voxels = np.bincount(fragments.reshape(-1), minlength=count + 1)
    tree = agglomerate(graph, count, voxels, large=config.large, large_least=config.large_threshold)
    return fragments, Hierarchy(np.arange(count + 1, dtype=np.uint32), voxels, tree)


def fragments_of(affinity: NDArray[np.uint8], config: SegmentConfig) -> tuple[NDArray[np.uint32], int]:
    """Watershed, and small fragments joined to their strongest neighbours."""
    fragments, count = watershed(affinity, config.low, config.high)
    if config.size > 1:
        _, count = _join_small(fragments, count, region_graph(affinity, fragments), config)
    return fragments, count


def _join_small(
    fragments: NDArray[np.uint32], count: int, graph: RegionGraph, config: SegmentConfig
) -> tuple[NDArray[np.uint32], int]:
    """Renumbers ``fragments`` in place; what each became, and how many there are now."""
    u, v = graph.u.astype(np.uint32), graph.v.astype(np.uint32)
    lookup, count = merge_small(fragments, count, u, v, graph.strongest, size=config.size, low=config.low)
    relabel(fragments.reshape(-1), lookup)
    return lookup, count


def build_hierarchy(
    affinity: Path,
    work: Path,
    config: SegmentConfig,
    *,
    processes: int | None = None,
    job: dict[str, Any] | None = None,
    quiet: bool = False,
    after_block: Callable[[], None] | None = None,
) -> Hierarchy:
    """Hierarchy of the affinities (3,z,y,x) uint8 in a Zarr array; resumable, safe for several processes.

    work : folder for fragments and tables. after_block : called after each block, for tests.
    """
    shape = _shape(affinity)
    config = _fitted(config, shape)
    settings = {k: v for k, v in asdict(config).items() if k in _SHAPING}
    ledger = Ledger(work / "progress", {"shape": shape, **settings, **(job or {})})
    final = work / "hierarchy.npz"
    if ledger.done("hierarchy"):
        return _load(final)
    grid = blocks(shape, config.block, config.halo)
    if not (work / "fragments.zarr").exists():
        # Created under another name first: a second process must not see an array without its description.
        _create(work / "fragments.zarr", shape, config.block)
    tasks = partial(_run, grid=grid, processes=processes or config.processes, quiet=quiet, after=after_block)
    tasks(partial(_fragment_block, affinity, work, config), label="fragments")
    offsets = _offsets(ledger, grid)
    tasks(partial(_graph_block, affinity, work, config, shape, offsets), label="graph")
    hierarchy = _agglomerate(work, grid, int(offsets[-1]), config)
    _save(hierarchy, final)
    ledger.finish("hierarchy")
    return hierarchy


def write_segmentation(
    work: Path,
    hierarchy: Hierarchy,
    out: Path,
    *,
    threshold: float,
    dust: int,
    voxel_size_nm_zyx: tuple[float, float, float],
    attributes: dict[str, Any] | None = None,
) -> int:
    """Write the labels at a threshold as HDF5, dataset ``main`` (z,y,x) uint32; returns the number of segments."""
    fragments = zarr.open_array(work / "fragments.zarr", mode="r")
    lookup = hierarchy.lookup(threshold, dust)
    settings = _settings(work)
    size = tuple(settings["block"])
    grid = blocks(fragments.shape, size)  # type: ignore[arg-type]
    offsets = _offsets(Ledger(work / "progress", settings), grid)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    chunks = tuple(min(64, n) for n in fragments.shape)
    with h5py.File(part, "w") as file:
        labels = file.create_dataset(
            "main", fragments.shape, "uint32", chunks=chunks, compression="gzip", compression_opts=4
        )
        labels.attrs["voxel_size_nm"] = np.array(voxel_size_nm_zyx, np.float64)
        for name, value in (attributes or {}).items():
            labels.attrs[name] = value
        for block in grid:
            ids = _with_offset(fragments[block.core], offsets[block.index])
            labels[block.core] = lookup[ids]
    os.replace(part, out)
    return int(lookup.max(initial=0))


def global_fragments(work: Path, box: tuple[slice, slice, slice]) -> NDArray[np.int64]:
    """Fragment ids of the whole volume in a box (z,y,x); 0 is background."""
    fragments = zarr.open_array(work / "fragments.zarr", mode="r")
    settings = _settings(work)
    size = tuple(settings["block"])
    grid = blocks(fragments.shape, size)  # type: ignore[arg-type]
    offsets = _offsets(Ledger(work / "progress", settings), grid)
    return _read_global(fragments, box, size, offsets)  # type: ignore[arg-type]


def _settings(work: Path) -> dict[str, Any]:
    return json.loads((work / "progress" / "job.json").read_text())


def _shape(affinity: Path) -> Triple:
    _, z, y, x = zarr.open_array(affinity, mode="r").shape
    return z, y, x


def _fitted(config: SegmentConfig, shape: Triple) -> SegmentConfig:
    block = tuple(min(b, n) for b, n in zip(config.block, shape, strict=True))
    return replace(config, block=block)


def _create(store: Path, shape: Triple, block: Triple) -> None:
    part = store.with_name(f".{store.name}.{os.getpid()}")
    zarr.create_array(part, shape=shape, chunks=block, dtype="uint32", fill_value=0)
    try:
        os.rename(part, store)
    except OSError:  # another process was first
        shutil.rmtree(part)


def _run(
    task: Callable[[Block], bool],
    *,
    grid: list[Block],
    processes: int,
    quiet: bool,
    after: Callable[[], None] | None,
    label: str,
) -> None:
    """Do a task for every block, here or in worker processes; a task tells whether its block is done."""
    bar = tqdm(total=len(grid), desc=label, unit="block", disable=quiet)
    pending = grid

    def watch(results: Iterable[bool]) -> list[Block]:
        """Count what is done; the blocks that another process holds."""
        left = []
        for block, done in zip(pending, results, strict=True):
            if not done:
                left.append(block)
                continue
            bar.update()
            if after:
                after()
        return left

    while pending:
        if processes <= 1:
            left = watch(map(task, pending))
        else:
            context = multiprocessing.get_context("spawn")
            workers = min(processes, len(pending))
            with ProcessPoolExecutor(workers, mp_context=context, initializer=die_with_parent) as pool:
                left = watch(pool.map(task, pending))
        # What another process holds is either finished by it, or free again when that process dies.
        pending = left
        if pending:
            time.sleep(0.5)
    bar.close()


def _ledger(work: Path) -> Ledger:
    return Ledger(work / "progress", _settings(work))


def _fragment_block(affinity: Path, work: Path, config: SegmentConfig, block: Block) -> bool:
    """Watershed of a block with context; stores its core and what it saw on the planes before its lower faces."""
    ledger, name = _ledger(work), f"fragments-{block.name}"
    with ledger.claim(name) as mine:
        if not mine:
            return ledger.done(name) is not None
        links = zarr.open_array(affinity, mode="r")[(slice(None), *block.halo)]
        wide, _ = fragments_of(np.asarray(links), config)
        core = wide[block.core_in_halo]
        present = np.unique(core)
        present = present[present > 0]
        lookup = np.zeros(int(wide.max(initial=0)) + 1, np.uint32)
        lookup[present] = np.arange(1, len(present) + 1, dtype=np.uint32)
        zarr.open_array(work / "fragments.zarr", mode="r+")[block.core] = lookup[core]
        planes = {}
        for axis, (c, h) in enumerate(zip(block.core, block.halo, strict=True)):
            if c.start > h.start:
                box = list(block.core_in_halo)
                box[axis] = slice(c.start - h.start - 1, c.start - h.start)
                planes["zyx"[axis]] = lookup[wide[tuple(box)]]
        _save_npz(work / "faces" / f"{block.name}.npz", **planes)
        voxels = np.bincount(lookup[core].reshape(-1), minlength=len(present) + 1)
        _save_npz(work / "sizes" / f"{block.name}.npz", voxels=voxels[1:])
        ledger.finish(name, count=len(present))
    return True


def _offsets(ledger: Ledger, grid: list[Block]) -> NDArray[np.int64]:
    """(blocks + 1,) number of fragments before each block."""
    counts = [ledger.done(f"fragments-{block.name}") for block in grid]
    missing = [block.name for block, found in zip(grid, counts, strict=True) if found is None]
    if missing:
        raise RuntimeError(f"fragments of {len(missing)} blocks are missing, held by another process; run again later")
    return np.cumsum([0] + [int(found["count"]) for found in counts if found is not None])


def _with_offset(local: NDArray[np.uint32], offset: int) -> NDArray[np.int64]:
    wide = local.astype(np.int64)
    wide[wide > 0] += offset
    return wide


def _read_global(
    fragments: zarr.Array, box: tuple[slice, slice, slice], size: Triple, offsets: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Global ids in a box that may reach into several blocks."""
    ids = np.asarray(fragments[box]).astype(np.int64)
    grid = [-(-n // s) for n, s in zip(fragments.shape, size, strict=True)]
    ranges = [range(b.start // s, -(-b.stop // s)) for b, s in zip(box, size, strict=True)]
    for z in ranges[0]:
        for y in ranges[1]:
            for x in ranges[2]:
                part = tuple(
                    slice(max(i * s - b.start, 0), min((i + 1) * s, b.stop) - b.start)
                    for i, s, b in zip((z, y, x), size, box, strict=True)
                )
                piece = ids[part]
                piece[piece > 0] += offsets[(z * grid[1] + y) * grid[2] + x]
    return ids


def _graph_block(
    affinity: Path, work: Path, config: SegmentConfig, shape: Triple, offsets: NDArray[np.int64], block: Block
) -> bool:
    """Links whose destination lies in the block, and which pieces on its lower faces are one fragment."""
    ledger, name = _ledger(work), f"graph-{block.name}"
    with ledger.claim(name) as mine:
        if not mine:
            return ledger.done(name) is not None
        box = tuple(slice(max(c.start - 1, 0), c.stop) for c in block.core)
        first = tuple(c.start - b.start for c, b in zip(block.core, box, strict=True))
        fragments = zarr.open_array(work / "fragments.zarr", mode="r")
        ids = _read_global(fragments, box, config.block, offsets)  # type: ignore[arg-type]
        links = np.asarray(zarr.open_array(affinity, mode="r")[(slice(None), *box)])
        graph = region_graph(links, ids, first)  # type: ignore[arg-type]
        same = [np.zeros((0, 2), np.int64)]
        with np.load(work / "faces" / f"{block.name}.npz", allow_pickle=False) as faces:
            for axis in range(3):
                if "zyx"[axis] not in faces:
                    continue
                plane: list[slice] = [slice(f, None) for f in first]
                plane[axis] = slice(0, 1)
                mine_ids = _with_offset(faces["zyx"[axis]], int(offsets[block.index]))
                same.append(same_fragments(ids[tuple(plane)].reshape(-1), mine_ids.reshape(-1)))
        _save_npz(
            work / "graph" / f"{block.name}.npz",
            u=graph.u, v=graph.v, total=graph.total, count=graph.count, strongest=graph.strongest,
            same=np.concatenate(same),
        )  # fmt: skip
        ledger.finish(name)
    return True


def same_fragments(theirs: NDArray[np.int64], ours: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs (theirs, ours) of fragments that two blocks saw on one plane and that are the same there.

    Both (n,) ids of one plane, 0 is background: the neighbour's own, and those of the block that reached over.
    The same means: at least half of either's voxels on the plane are the other's.
    """
    both = (theirs > 0) & (ours > 0)
    pairs, shared = np.unique(np.stack([theirs[both], ours[both]], 1), axis=0, return_counts=True)
    if not len(pairs):
        return np.zeros((0, 2), np.int64)
    largest = np.maximum(_sizes(theirs, pairs[:, 0]), _sizes(ours, pairs[:, 1]))
    return pairs[shared >= SAME_FRAGMENT * largest]


def _sizes(plane: NDArray[np.int64], ids: NDArray[np.int64]) -> NDArray[np.intp]:
    """How often each id stands on a plane."""
    found, count = np.unique(plane, return_counts=True)
    return count[np.searchsorted(found, ids)]


def _agglomerate(work: Path, grid: list[Block], count: int, config: SegmentConfig) -> Hierarchy:
    """Unite what blocks have cut, then agglomerate.

    A link of at least ``config.high`` always joins; within a block it has, so those left lead across a face.
    """
    graphs, same, sizes = [], [], []
    for block in grid:
        with np.load(work / "graph" / f"{block.name}.npz", allow_pickle=False) as file:
            graphs.append(RegionGraph(*(file[k] for k in ("u", "v", "total", "count", "strongest"))))
            sure = file["strongest"] >= lowest_level(config.high)
            same += [file["same"], np.stack([file["u"], file["v"]], 1)[sure]]
        with np.load(work / "sizes" / f"{block.name}.npz", allow_pickle=False) as file:
            sizes.append(file["voxels"])
    pairs = np.concatenate(same)
    first = MergeTree(count, pairs[:, 0], pairs[:, 1], np.ones(len(pairs)))
    united = first.lookup(1.0)
    n_united = int(united.max(initial=0))
    voxels = np.bincount(united[1:], weights=np.concatenate(sizes), minlength=n_united + 1).astype(np.int64)
    graph = rename(add_graphs(graphs), united)
    tree = agglomerate(graph, n_united, voxels, large=config.large, large_least=config.large_threshold)
    return Hierarchy(united, voxels, tree)


def rename(graph: RegionGraph, lookup: NDArray[np.integer]) -> RegionGraph:
    """The graph of united fragments: edges within one vanish, parallel ones are added."""
    a, b = lookup[graph.u].astype(np.int64), lookup[graph.v].astype(np.int64)
    keep = a != b
    return add_graphs(
        [
            RegionGraph(
                np.minimum(a, b)[keep],
                np.maximum(a, b)[keep],
                graph.total[keep],
                graph.count[keep],
                graph.strongest[keep],
            )
        ]
    )


def _save_npz(path: Path, **arrays: NDArray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with open(part, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    os.replace(part, path)


def _save(hierarchy: Hierarchy, path: Path) -> None:
    tree = hierarchy.tree
    _save_npz(
        path, united=hierarchy.united, voxels=hierarchy.voxels, fragments=np.array(tree.fragments), a=tree.a, b=tree.b,
        score=tree.score,
    )  # fmt: skip


def _load(path: Path) -> Hierarchy:
    with np.load(path, allow_pickle=False) as file:
        tree = MergeTree(int(file["fragments"]), file["a"], file["b"], file["score"])
        return Hierarchy(file["united"], file["voxels"], tree)
