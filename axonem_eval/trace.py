"""Centre lines of one label by kimimaro (TEASAR, Sato et al. 2000).

The only module that imports kimimaro, which is GPL-3: it comes with the extra [groundtruth].
"""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.spec import FloatTriple, Triple

# kimimaro works on a label's box, and needs some 20 bytes a voxel of it.
MAX_BOX_VOXELS = 256 << 20


@dataclass(frozen=True)
class Teasar:
    """kimimaro's parameters, by its names; scale and constant as in the AxonEM authors' scorer. Lengths in nm.

    dust_voxels : connected components of fewer voxels get no skeleton.
    """

    scale: float = 1.5
    const: float = 500.0
    pdrf_scale: float = 100_000.0
    pdrf_exponent: int = 4
    soma_detection_threshold: float = 1100.0
    soma_acceptance_threshold: float = 3500.0
    soma_invalidation_scale: float = 1.0
    soma_invalidation_const: float = 300.0
    dust_voxels: int = 100

    def kimimaro(self) -> dict[str, float]:
        """As kimimaro's ``teasar_params``."""
        return {name: value for name, value in vars(self).items() if name != "dust_voxels"}


@dataclass(frozen=True)
class Tree:
    """Skeleton of a label: (n, 3) voxels z,y,x, (m, 2) edges between them by place, (n,) radius in nm."""

    node_zyx: NDArray[np.int32]
    edges: NDArray[np.int32]
    radius_nm: NDArray[np.float32]


def program() -> str:
    """Name and version of what makes the skeletons. Raises InputError where it is not installed."""
    _kimimaro()
    return f"kimimaro {version('kimimaro')}"


def _kimimaro() -> Any:
    try:
        import kimimaro
    except ImportError:
        raise InputError.of(
            "missing_extra", "making skeletons needs kimimaro: pip install 'axonem[groundtruth]'"
        ) from None
    return kimimaro


def box_voxels(zyx: NDArray[np.int32]) -> int:
    """Voxels in the box around (n, 3) voxels."""
    return int(np.prod((zyx.max(axis=0) - zyx.min(axis=0) + 1).astype(np.int64)))


def trace(zyx: NDArray[np.int32], shape_zyx: Triple, voxel_size_nm_zyx: FloatTriple, parameters: Teasar) -> Tree:
    """Skeleton of all components of a label above the dust size, from its (n, 3) voxels.

    The box is one voxel wider than the label where the volume goes on, so that the distance to the boundary is what it
    is in the volume. A label within the volume gets the very skeleton that a run on the whole volume gives it; where
    one leaves the volume, kimimaro chooses the place by the size of the face that it is given, here that of the box.
    """
    low = np.maximum(zyx.min(axis=0) - 1, 0)
    high = np.minimum(zyx.max(axis=0) + 2, shape_zyx)
    mask = np.zeros(high - low, np.uint8)
    mask[tuple((zyx - low).T)] = 1
    skeletons = _kimimaro().skeletonize(
        mask.T,  # x, y, z as kimimaro's own users hand it in: its choice among equals depends on the order of axes
        teasar_params=parameters.kimimaro(),
        anisotropy=voxel_size_nm_zyx[::-1],
        dust_threshold=parameters.dust_voxels,
        fix_branching=True,
        fix_borders=True,
        progress=False,
        parallel=1,
    )
    if 1 not in skeletons:
        return Tree(np.empty((0, 3), np.int32), np.empty((0, 2), np.int32), np.empty(0, np.float32))
    skeleton = skeletons[1]
    node = np.rint(skeleton.vertices[:, ::-1] / np.asarray(voxel_size_nm_zyx)).astype(np.int32) + low.astype(np.int32)
    return Tree(node, skeleton.edges.astype(np.int32), skeleton.radius.astype(np.float32))


def coarsen(zyx: NDArray[np.int32], factor: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Voxels ``factor`` times as large that hold any of the given, ascending, and one of the given for each.

    Any and not most: a thin process of a giant stays whole.
    """
    large = zyx // factor
    _, first = np.unique(_flat(large, large.max(axis=0).astype(np.int64) + 1), return_index=True)
    return large[first].astype(np.int32), zyx[first]


def find_voxels(zyx: NDArray[np.int32], wanted: NDArray[np.int32]) -> NDArray[np.intp]:
    """The places in ``zyx`` (sorted by z, y, x) of voxels that are in it."""
    span = zyx.max(axis=0).astype(np.int64) + 1
    return np.searchsorted(_flat(zyx, span), _flat(wanted, span))


def _flat(zyx: NDArray[np.int32], span: NDArray[np.int64]) -> NDArray[np.int64]:
    flat: NDArray[np.int64] = (zyx[:, 0] * span[1] + zyx[:, 1]) * span[2] + zyx[:, 2]
    return flat
