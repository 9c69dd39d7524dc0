"""Segment affinities of any size: fragments by block, one region graph, one agglomeration, labels by block.

    fragments     watershed of each block with context, cut to the block's core        (any number of workers)
    graph         links counted in the block that owns their destination voxel         (any number of workers)
    agglomerate   fragments that a face has cut are united, then one merge tree of the whole volume
    write         labels of one threshold, and of any other later from the same tree

Each step leaves files in the work folder and is skipped where they are complete, so a killed run goes on.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import zarr

from axonem_eval.volumes import write_label_blocks
from baselines.affinity_unet.block_tasks import agglomerate_blocks, fragment_block, graph_block
from baselines.affinity_unet.config import SegmentConfig
from baselines.affinity_unet.hierarchy import Hierarchy
from baselines.affinity_unet.work_folder import WorkFolder
from baselines.common.blockwise import Block, Ledger, fitted
from baselines.common.cluster import HERE, Cluster, Task, run_tasks
from baselines.common.config_types import FloatTriple
from baselines.common.progress import Progress

# What a hierarchy depends on.
SHAPING = ("high", "low", "min_fragment_voxels", "large_rule", "block", "halo")


def build_hierarchy(
    affinity: Path,
    work: Path,
    config: SegmentConfig,
    *,
    cluster: Cluster = HERE,
    job: dict[str, Any] | None = None,
    quiet: bool = False,
    after_block: Callable[[], None] | None = None,
) -> Hierarchy:
    """Hierarchy of the affinities (3,z,y,x) uint8 in a Zarr array; resumable.

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

    def run(stage: str, task: Task[Block]) -> None:
        items = {f"{stage}-{block.name}": block for block in folder.grid}
        bar = Progress(len(items), stage, "block", quiet=quiet, after=after_block)
        run_tasks(task, items, folder.ledger, cluster, lambda block, now: bar.did() if now else bar.skip())
        bar.close()

    run("fragments", partial(fragment_block, affinity, work, config))
    _ = folder.offsets  # stored, so that no worker counts them
    run("graph", partial(graph_block, affinity, work))
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
    parts = ((block.core, lookup[folder.read(block.core)]) for block in folder.grid)
    write_label_blocks(out, folder.shape, "uint32", parts, voxel_size_nm_zyx, attributes=attributes)
    return int(lookup.max(initial=0))
