"""Centre lines of one label by kimimaro (TEASAR, Sato et al. 2000).

The only module that imports kimimaro, which is GPL-3: it comes with the extra [groundtruth]. kimimaro takes each
connected component of each label by itself, in its own box. The same is done here, with one component in memory at a
time. ``face_targets`` chooses the places where labels leave the volume on whole faces. So the skeletons are those of a
run of kimimaro on the whole volume.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import module_from_spec
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.skeletonize.connected_components import components, cut_in_two
from axonem_eval.skeletonize.next_path import free_arrays, path_to_rail
from axonem_eval.spec import FloatTriple, Triple

# kimimaro needs some 30 bytes for each voxel of a component's box, and fills an array of its size for each path.
MAX_BOX_VOXELS = 128 << 20


@dataclass(frozen=True)
class Teasar:
    """kimimaro's parameters, by its names; scale and constant as in the AxonEM authors' scorer. Lengths in nm.

    dust_voxels : connected components of at most so many voxels get no skeleton.
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


@cache
def _tracer() -> Any:
    """kimimaro's module ``trace``, loaded for us alone, so that every other user of kimimaro has its own search."""
    spec = _kimimaro().trace.__spec__
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    ours = SimpleNamespace(**{**vars(module.dijkstra3d), "railroad": path_to_rail})
    vars(module)["dijkstra3d"] = ours
    return module


def face_targets(plane: NDArray[Any], voxel_size_nm: tuple[float, float]) -> NDArray[np.int64]:
    """Where skeletons leave through a face of the volume: (n, 2) pixels (row, column).

    There is one for each connected section of a label on the face: the pixel farthest from the section's edge.
    """
    import cc3d
    import edt

    section = cc3d.connected_components(np.ascontiguousarray(plane.T))
    down, across = voxel_size_nm
    depth = edt.edt(section, black_border=True, anisotropy=(across, down))
    found = _kimimaro().skeletontricks.find_border_targets(depth, section, across, down)
    return np.array([(row, column) for column, row in found.values()], np.int64).reshape(-1, 2)


def trace(
    zyx: NDArray[np.int32],
    shape_zyx: Triple,
    voxel_size_nm_zyx: FloatTriple,
    parameters: Teasar,
    targets_zyx: Iterable[tuple[int, int, int]] = (),
) -> Tree:
    """Skeleton of all components of a label above the dust size, from its (n, 3) voxels z,y,x, ascending.

    targets_zyx : voxels of the label on the volume's faces to which its skeleton must reach, in kimimaro's order.
    """
    targets = list(targets_zyx)
    trees = []
    for component in components(zyx):
        if len(component) > parameters.dust_voxels:
            exits = [target for target, inside in zip(targets, holds(component, targets), strict=True) if inside]
            trees.append(_trace_component(component, shape_zyx, voxel_size_nm_zyx, parameters, exits))
    free_arrays()
    return join(trees)


def join(trees: list[Tree]) -> Tree:
    """All of several skeletons; nodes on one voxel become one."""
    node = np.concatenate([np.empty((0, 3), np.int32), *(t.node_zyx for t in trees)])
    radius = np.concatenate([np.empty(0, np.float32), *(t.radius_nm for t in trees)])
    first = np.cumsum([0, *(len(t.node_zyx) for t in trees)])[:-1]
    parts = [t.edges + np.int32(f) for t, f in zip(trees, first, strict=True)]
    edges = np.concatenate([np.empty((0, 2), np.int32), *parts])
    unique, index, place = np.unique(node, axis=0, return_index=True, return_inverse=True)
    edges = np.unique(np.sort(place.reshape(-1)[edges], axis=1), axis=0).astype(np.int32)
    return Tree(unique, edges.reshape(-1, 2), radius[index])


def _trace_component(
    zyx: NDArray[np.int32],
    shape_zyx: Triple,
    voxel_size_nm_zyx: FloatTriple,
    parameters: Teasar,
    exits: list[tuple[int, int, int]],
) -> Tree:
    """Skeleton of one connected component.

    One whose box is too large, such as a thin axon across the volume, is cut in two where it is thinnest. Both parts
    hold the section that is cut, as a face of theirs, and so their skeletons meet in one voxel of it.
    """
    if np.prod((zyx.max(axis=0) - zyx.min(axis=0) + 1).astype(np.int64)) <= MAX_BOX_VOXELS:
        return _trace_box(zyx, shape_zyx, voxel_size_nm_zyx, parameters, exits)
    parts, axis, at = cut_in_two(zyx)
    others = [a for a in range(3) if a != axis]
    section = parts[0][parts[0][:, axis] == at][:, others]
    low = section.min(axis=0)
    plane = np.zeros(section.max(axis=0) - low + 1, np.uint8)
    plane[tuple((section - low).T)] = 1
    down, across = (voxel_size_nm_zyx[a] for a in others)
    meeting = []
    for row, column in (face_targets(plane, (down, across)) + low).tolist():
        place = [0, 0, 0]
        place[axis], place[others[0]], place[others[1]] = at, row, column
        meeting.append((place[0], place[1], place[2]))
    return join([trace(part, shape_zyx, voxel_size_nm_zyx, parameters, [*exits, *meeting]) for part in parts])


def _trace_box(
    zyx: NDArray[np.int32],
    shape_zyx: Triple,
    voxel_size_nm_zyx: FloatTriple,
    parameters: Teasar,
    exits: list[tuple[int, int, int]],
) -> Tree:
    """Skeleton of one connected component, in its box.

    Arrays are x,y,z as kimimaro's users hand them in: its choice among equals depends on the order of axes. For the
    distance to the boundary the box is one voxel wider where the volume goes on.
    """
    import edt

    low, high = zyx.min(axis=0), zyx.max(axis=0) + 1
    wide_low, wide_high = np.maximum(low - 1, 0), np.minimum(high + 1, shape_zyx)
    wide = np.zeros(wide_high - wide_low, np.bool_)
    wide[tuple((zyx - wide_low).T)] = True
    size_xyz = np.array(voxel_size_nm_zyx[::-1], np.float32)
    inner = tuple(slice(a, b) for a, b in zip((low - wide_low)[::-1], (high - wide_low)[::-1], strict=True))
    depth = edt.edt(wide.T, anisotropy=size_xyz, black_border=bool(wide.all()))[inner]
    mask = np.asfortranarray(wide.T[inner])
    # kimimaro keeps the exits in a set and takes its root from the end; CPython orders a set of integers by nothing but
    # their values and the order of adding.
    unordered = {(x, y, z) for z, y, x in exits}
    targets = [[int(a - b) for a, b in zip(xyz, low[::-1], strict=True)] for xyz in unordered]
    root = targets.pop() if targets else None
    skeleton = _tracer().trace(
        mask,
        np.asfortranarray(depth),
        anisotropy=size_xyz,
        fix_branching=True,
        manual_targets_before=targets,
        manual_targets_after=[],
        root=root,
        **parameters.kimimaro(),
    )
    node = np.asarray(skeleton.vertices, np.int32).reshape(-1, 3)[:, ::-1] + low.astype(np.int32)
    edges = np.asarray(skeleton.edges, np.int32).reshape(-1, 2)
    return Tree(node, edges, np.asarray(skeleton.radii, np.float32).reshape(-1)[: len(node)])


def find_voxels(zyx: NDArray[np.int32], wanted: NDArray[np.int32]) -> NDArray[np.intp]:
    """The places in ``zyx`` (sorted by z, y, x) of voxels, or where they would be."""
    span = np.maximum(zyx.max(axis=0), wanted.max(axis=0, initial=0)).astype(np.int64) + 1
    return np.searchsorted(_flat(zyx, span), _flat(wanted, span))


def holds(zyx: NDArray[np.int32], wanted: list[tuple[int, int, int]]) -> NDArray[np.bool_]:
    """(n,) whether each of n voxels is in ``zyx`` (sorted by z, y, x)."""
    places = np.array(wanted, np.int32).reshape(-1, 3)
    found: NDArray[np.bool_] = (zyx[np.minimum(find_voxels(zyx, places), len(zyx) - 1)] == places).all(axis=1)
    return found


def _flat(zyx: NDArray[np.int32], span: NDArray[np.int64]) -> NDArray[np.int64]:
    flat: NDArray[np.int64] = (zyx[:, 0] * span[1] + zyx[:, 1]) * span[2] + zyx[:, 2]
    return flat
