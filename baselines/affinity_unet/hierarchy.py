"""All segmentations of a volume at once: fragments, and the merges that join them as the threshold falls."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from baselines.affinity_unet.agglomerate import MergeTree, agglomerate
from baselines.affinity_unet.config import SegmentConfig
from baselines.affinity_unet.region_graph import RegionGraph, region_graph, rename
from baselines.affinity_unet.watershed import merge_small, relabel, watershed
from baselines.common.blockwise import write_npz


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

    def save(self, path: Path) -> None:
        """Write as .npz."""
        tree = self.tree
        write_npz(
            path, united=self.united, voxels=self.voxels, fragments=np.array(tree.fragments), a=tree.a, b=tree.b,
            score=tree.score,
        )  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> "Hierarchy":
        """Read what ``save`` wrote."""
        with np.load(path, allow_pickle=False) as file:
            tree = MergeTree(int(file["fragments"]), file["a"], file["b"], file["score"])
            return cls(file["united"], file["voxels"], tree)


def segment_array(affinity: NDArray[np.uint8], config: SegmentConfig) -> tuple[NDArray[np.uint32], Hierarchy]:
    """Fragments (z,y,x) and hierarchy of affinities (3,z,y,x) in memory, as one block."""
    fragments, count = watershed(affinity, config.low, config.high)
    graph = region_graph(affinity, fragments)
    if config.min_fragment_voxels > 1:
        lookup, count = _join_small(fragments, count, graph, config)
        graph = rename(graph, lookup)
    voxels = np.bincount(fragments.reshape(-1), minlength=count + 1)
    return fragments, Hierarchy(np.arange(count + 1, dtype=np.uint32), voxels, merge_tree(graph, count, voxels, config))


def fragments_of(affinity: NDArray[np.uint8], config: SegmentConfig) -> NDArray[np.uint32]:
    """(z,y,x) watershed of affinities (3,z,y,x), with small fragments joined to their strongest neighbours."""
    fragments, count = watershed(affinity, config.low, config.high)
    if config.min_fragment_voxels > 1:
        _join_small(fragments, count, region_graph(affinity, fragments), config)
    return fragments


def merge_tree(graph: RegionGraph, count: int, voxels: NDArray[np.int64], config: SegmentConfig) -> MergeTree:
    """Agglomeration of a region graph over fragments 1..``count`` with the given sizes (count + 1,)."""
    rule = config.large_rule
    return agglomerate(graph, count, voxels, large=rule.large_segment_voxels, large_least=rule.min_affinity)


def _join_small(
    fragments: NDArray[np.uint32], count: int, graph: RegionGraph, config: SegmentConfig
) -> tuple[NDArray[np.uint32], int]:
    """Renumber ``fragments`` in place; returns what each became, and how many there are now."""
    u, v = graph.u.astype(np.uint32), graph.v.astype(np.uint32)
    lookup, count = merge_small(
        fragments, count, u, v, graph.strongest, size=config.min_fragment_voxels, low=config.low
    )
    relabel(fragments.reshape(-1), lookup)
    return lookup, count
