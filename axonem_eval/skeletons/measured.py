"""Skeletons with what is measured on the labels they came from: each node's radius, each skeleton's volume."""

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.files import read_npz
from axonem_eval.skeletons.graph import SkeletonGraph

_ARRAYS = ("node_radius_nm", "skeleton_volume_um3")


@dataclass(frozen=True)
class MeasuredSkeletons:
    """Skeletons of a segmentation.

    node_radius_nm : (n_nodes,) float32, distance to the nearest voxel outside the label.
    skeleton_volume_um3 : (n_skeletons,) float64, of all voxels of the label, at the skeletons' voxel size.
    """

    graph: SkeletonGraph
    node_radius_nm: NDArray[np.float32]
    skeleton_volume_um3: NDArray[np.float64]

    def longer_than(self, min_length_um: float) -> "MeasuredSkeletons":
        """The skeletons of at least that length."""
        keep = self.graph.skeleton_length_nm >= min_length_um * 1000.0
        return MeasuredSkeletons(
            self.graph.longer_than(min_length_um),
            self.node_radius_nm[keep[self.graph.node_skeleton]],
            self.skeleton_volume_um3[keep],
        )

    def with_graph(self, graph: SkeletonGraph) -> "MeasuredSkeletons":
        """The same measures on a graph with the same nodes."""
        return replace(self, graph=graph)

    def save(self, path: str | Path) -> None:
        """Write a skeleton bundle, readable as one, with the measures as further arrays."""
        self.graph.save(path)
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
            for name in _ARRAYS:
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, getattr(self, name), allow_pickle=False)

    @classmethod
    def load(cls, path: str | Path) -> "MeasuredSkeletons":
        """Read a bundle with measures. Raises InputError where it has none, or is no bundle."""
        graph = SkeletonGraph.load(path)
        arrays = read_npz(path)
        missing = [name for name in _ARRAYS if name not in arrays]
        if missing:
            raise InputError.of(
                "not_measured",
                f"{path}: a skeleton bundle without {', '.join(missing)}; imported bundles have none. Make one from "
                "the labels with `axonem-eval skeletonize`",
            )
        return cls(graph, *(arrays[name] for name in _ARRAYS))
