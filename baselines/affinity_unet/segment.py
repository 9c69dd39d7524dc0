"""Segment affinities of any size: fragments by block, one region graph, one agglomeration, labels by block.

    fragments     watershed of each block with context, cut to the block's core        (any number of processes)
    graph         links counted in the block that owns their destination voxel         (any number of processes)
    agglomerate   fragments that a face has cut are united, then one merge tree of the whole volume
    write         labels of one threshold, and of any other later from the same tree

Each step leaves files in the work folder and is skipped where they are complete, so a killed run goes on.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
import zarr
from tqdm import tqdm

from axonem_eval.files import write_atomically
from axonem_eval.processes import die_with_parent
from baselines.affinity_unet.block_tasks import agglomerate_blocks, fragment_block, graph_block
from baselines.affinity_unet.config import SegmentConfig
from baselines.affinity_unet.hierarchy import Hierarchy
from baselines.affinity_unet.work_folder import WorkFolder
from baselines.common.blockwise import Block, Ledger, fitted
from baselines.common.config_types import FloatTriple

# What a hierarchy depends on.
SHAPING = ("high", "low", "min_fragment_voxels", "large_rule", "block", "halo")


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
    _, z, y, x = zarr.open_array(affinity, mode="r").shape
    config = replace(config, block=fitted(config.block, (z, y, x)))
    settings = {name: value for name, value in asdict(config).items() if name in SHAPING}
    folder = WorkFolder(work, Ledger(work / "progress", {"shape": (z, y, x), **settings, **(job or {})}))
    final = work / "hierarchy.npz"
    if folder.ledger.done("hierarchy"):
        return Hierarchy.load(final)
    folder.create_fragments()
    run = partial(_run, grid=folder.grid, processes=processes or config.processes, quiet=quiet, after=after_block)
    run("fragments", partial(fragment_block, affinity, work, config))
    run("graph", partial(graph_block, affinity, work, folder.offsets))
    hierarchy = agglomerate_blocks(folder, config)
    hierarchy.save(final)
    folder.ledger.finish("hierarchy")
    return hierarchy


def write_segmentation(
    work: Path,
    hierarchy: Hierarchy,
    out: Path,
    *,
    threshold: float,
    dust: int,
    voxel_size_nm_zyx: FloatTriple,
    attributes: dict[str, Any] | None = None,
) -> int:
    """Write the labels at a threshold as HDF5, dataset ``main`` (z,y,x) uint32; returns the number of segments."""
    folder, lookup = WorkFolder(work), hierarchy.lookup(threshold, dust)

    def write(draft: IO[bytes]) -> None:
        with h5py.File(draft.name, "w") as file:
            labels = file.create_dataset(
                "main", folder.shape, "uint32", chunks=fitted((64, 64, 64), folder.shape), compression="gzip",
                compression_opts=4,
            )  # fmt: skip
            labels.attrs["voxel_size_nm"] = np.array(voxel_size_nm_zyx, np.float64)
            for name, value in (attributes or {}).items():
                labels.attrs[name] = value
            for block in folder.grid:
                labels[block.core] = lookup[folder.read(block.core)]

    write_atomically(out, write)
    return int(lookup.max(initial=0))


def _run(
    label: str,
    task: Callable[[Block], bool],
    *,
    grid: list[Block],
    processes: int,
    quiet: bool,
    after: Callable[[], None] | None,
) -> None:
    """Do a task for every block, here or in worker processes; it returns whether its block is done."""
    bar = tqdm(total=len(grid), desc=label, unit="block", disable=quiet)

    def count() -> None:
        bar.update()
        if after:
            after()

    pending = grid
    while pending:
        if processes <= 1:
            pending = _left(pending, map(task, pending), count)
        else:
            context = multiprocessing.get_context("spawn")
            workers = min(processes, len(pending))
            with ProcessPoolExecutor(workers, mp_context=context, initializer=die_with_parent) as pool:
                pending = _left(pending, pool.map(task, pending), count)
        # What another process holds is either finished by it, or free again when that process dies.
        if pending:
            time.sleep(0.5)
    bar.close()


def _left(tried: list[Block], results: Iterable[bool], count: Callable[[], None]) -> list[Block]:
    """Count the blocks that are done; returns those that another process holds."""
    left = []
    for block, done in zip(tried, results, strict=True):
        if done:
            count()
        else:
            left.append(block)
    return left
