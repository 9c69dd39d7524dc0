"""The segments that annotators identify: how large, how long and how wide each is, and where to find it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.skeletons import SkeletonGraph, sum_by
from axonem_eval.spec import FloatTriple

# Axons of this length and longer are scored, so segments of this length and longer are identified.
LONG_UM = 5.0


@dataclass(frozen=True)
class Source:
    """The segmentation that a workshop is about: a label file, its dataset where it has several, its voxel size."""

    path: str | Path
    voxel_size_nm_zyx: FloatTriple
    dataset: str | None = None


@dataclass(frozen=True)
class Segments:
    """Segments with a skeleton, one row each, in the order of their ids.

    segment : (n,) uint64.
    voxels : (n,) int64, at full resolution, estimated from the volume.   volume_um3 : (n,) float64.
    length_nm : (n,) float64, cable.   width_nm : (n,) float64, mean radius of the skeleton's nodes.
    anchor_zyx : (n, 3) int32, a voxel of the segment, at its thickest place. An anchor finds the segment again after
        proofreading has given it another id.
    """

    segment: NDArray[np.uint64]
    voxels: NDArray[np.int64]
    volume_um3: NDArray[np.float64]
    length_nm: NDArray[np.float64]
    width_nm: NDArray[np.float64]
    anchor_zyx: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.segment)


def measure_segments(graph: SkeletonGraph, min_length_um: float = LONG_UM) -> Segments:
    """Measure the segments whose skeletons are at least so long.

    graph : skeletons with radii and volumes, as `axonem-eval skeletonize` makes them.
    Raises InputError for skeletons without radii or volumes.
    """
    if graph.node_radius_nm is None or graph.volume_um3 is None:
        raise InputError.of(
            "no_measures",
            "the skeletons have no radii and volumes, which identification needs; make them from the labels with "
            "`axonem-eval skeletonize`",
        )
    kept = graph.longer_than(min_length_um)
    n, owner = kept.n_skeletons, kept.node_skeleton
    radius, volume = kept.node_radius_nm, kept.volume_um3
    assert radius is not None  # longer_than keeps both
    assert volume is not None
    nodes = np.bincount(owner, minlength=n)
    order = np.lexsort((-radius, owner))
    thickest = order[np.append(0, np.cumsum(nodes))[:-1]] if n else order
    voxel_um3 = float(np.prod(kept.voxel_size_nm_zyx)) / 1e9
    return Segments(
        segment=kept.skeleton_id,
        voxels=np.rint(volume / voxel_um3).astype(np.int64),
        volume_um3=volume,
        length_nm=kept.skeleton_length_nm,
        width_nm=sum_by(owner, radius.astype(np.float64), n) / np.maximum(nodes, 1),
        anchor_zyx=kept.node_voxel_zyx[thickest],
    )
