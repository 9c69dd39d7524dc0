"""What Neuroglancer's server reads from: label files by chunks, and skeletons of a graph."""

import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.skeletons import PerSkeleton, SkeletonGraph
from axonem_eval.spec import FloatTriple, Triple, VolumeSpec
from axonem_eval.volumes import native_unsigned, open_labels, require_voxel_size

# Up to here a volume is held whole, and its segments get meshes.
WHOLE_BYTES = 256 << 20
# A larger one is read at up to this factor per request, so that one request costs some tens of MB.
LAZY_DOWNSAMPLING = 8


def neuroglancer() -> ModuleType:
    """The package, imported when it is needed: it is an extra."""
    try:
        import neuroglancer as module
    except ImportError:
        raise InputError.of("missing_extra", "the viewer needs Neuroglancer: pip install 'axonem[view]'") from None
    return module  # type: ignore[no-any-return]


class LazyVolume:
    """A label file as an array that is read where it is indexed, z,y,x, unsigned."""

    def __init__(self, path: str | Path) -> None:
        """Open the file. Raises InputError where it holds no labels."""
        self._volume = open_labels(path)
        self._lock = threading.Lock()
        self.name = self._volume.path.name
        self.shape_zyx: Triple = self._volume.shape_zyx
        self.shape = self.shape_zyx
        self.ndim = self.rank = 3
        kind = self._volume.dtype
        self.dtype = np.dtype(f"u{kind.itemsize}") if kind.kind == "i" else kind.newbyteorder("=")

    @property
    def voxel_size_nm_zyx(self) -> FloatTriple | None:
        """What the file states, None if it states nothing."""
        return self._volume.info.voxel_size_nm_zyx

    def require_voxel_size(self, given_nm_zyx: FloatTriple) -> None:
        """Raise InputError where the file states another."""
        require_voxel_size(self._volume, given_nm_zyx)

    @property
    def nbytes(self) -> int:
        """Bytes of all voxels."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def __getitem__(self, box: tuple[slice, slice, slice]) -> NDArray[Any]:
        """Read a box, z,y,x."""
        with self._lock:
            labels = self._volume.read(box)
        return np.asarray(native_unsigned(self._volume, labels, (box[0].start, box[1].start, box[2].start)))

    def whole(self) -> NDArray[Any]:
        """All of it, in memory."""
        z, y, x = (slice(0, n) for n in self.shape)
        return self[z, y, x]

    def close(self) -> None:
        """Release the file."""
        self._volume.close()


def _dimensions(voxel_size_nm_zyx: FloatTriple) -> Any:
    return neuroglancer().CoordinateSpace(names=["z", "y", "x"], units="nm", scales=voxel_size_nm_zyx)


def local_volume(volume: LazyVolume, spec: VolumeSpec, kind: str) -> Any:
    """A Neuroglancer source, in memory where the volume is small and read on demand where it is not.

    kind : image or segmentation.
    """
    ng = neuroglancer()
    dimensions = _dimensions(spec.voxel_size_nm_zyx)
    if volume.nbytes <= WHOLE_BYTES:
        return ng.LocalVolume(volume.whole(), dimensions=dimensions, volume_type=kind)

    class WithoutMeshes(ng.LocalVolume):  # type: ignore[misc, name-defined]
        """Meshing would read the whole volume."""

        def get_object_mesh(self, object_id: int) -> None:
            raise ng.local_volume.MeshesNotSupportedForVolume()

    return WithoutMeshes(volume, dimensions=dimensions, volume_type=kind, max_downsampling=LAZY_DOWNSAMPLING)


def graph_skeletons(graph: SkeletonGraph) -> Any:
    """Neuroglancer's skeleton source of a graph; vertices in voxels, at their centres."""
    ng = neuroglancer()
    row = {int(label): k for k, label in enumerate(graph.skeleton_id)}
    parts = PerSkeleton.of(graph)

    class Source(ng.skeleton.SkeletonSource):  # type: ignore[misc, name-defined]
        def get_skeleton(self, object_id: int) -> Any:
            k = row.get(object_id)
            if k is None:
                return None
            return ng.skeleton.Skeleton(
                vertex_positions=graph.node_voxel_zyx[parts.nodes(k)] + 0.5, edges=parts.edges(k)
            )

    return Source(_dimensions(graph.voxel_size_nm_zyx))
