"""Builds the graph of imported skeletons: one simple graph in voxels, of places and edges as files have them.

An edge that is given twice, or in both directions, counts once, and one from a node to itself is dropped.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError, raise_all
from axonem_eval.skeletons.graph import SkeletonGraph
from axonem_eval.skeletons.placement import ROUNDING, UNITS, placement_complaints, unit_nm
from axonem_eval.spec import VolumeSpec


@dataclass(frozen=True)
class ImportOptions:
    """How coordinates are to be read.

    unit : nm, um or voxel, what one step of a coordinate is.   axes : order of coordinates in a file, xyz or zyx.
    anyway : take skeletons that lie in a corner of the volume, or whose files state another unit or voxel size.
    """

    unit: str = "nm"
    axes: str = "xyz"
    anyway: bool = False

    def __post_init__(self) -> None:
        """Raises InputError for other axes."""
        if self.axes not in ("xyz", "zyx"):
            raise InputError.of("bad_axes", f"axes {self.axes!r}; expected xyz or zyx")
        if self.unit not in UNITS:
            raise InputError.of("bad_unit", f"unit {self.unit!r}; expected {', '.join(UNITS)}")

    def nm_zyx(self, vertex: NDArray[np.float64], spec: VolumeSpec) -> NDArray[np.float64]:
        """(n, 3) nm z,y,x of coordinates as they stand in a file."""
        zyx = vertex if self.axes == "zyx" else vertex[:, ::-1]
        return zyx * unit_nm(self.unit, spec)


@dataclass(frozen=True)
class NmSkeleton:
    """One skeleton: its id, (n, 3) vertices z,y,x in nm, (m, 2) edges, the name of its file."""

    label: int
    vertex_nm_zyx: NDArray[np.float64]
    edges: NDArray[np.int64]
    name: str = ""


def to_voxels(position_nm_zyx: NDArray[Any], voxel_size_nm_zyx: tuple[float, float, float]) -> NDArray[np.int32]:
    """(n, 3) voxel indices of positions in nm, both z,y,x."""
    position = np.asarray(position_nm_zyx, np.float64) / np.asarray(voxel_size_nm_zyx)
    index: NDArray[np.int32] = np.floor(position + ROUNDING).astype(np.int32)
    return index


def from_skeletons(
    skeletons: Iterable[NmSkeleton],
    spec: VolumeSpec,
    provenance: dict[str, Any],
    options: ImportOptions | None = None,
) -> SkeletonGraph:
    """A graph of skeletons given in nm; edge lengths are those between the given positions, in nm.

    Raises InputError where an edge names no node, or nodes lie outside the volume or all in a corner of it.
    """
    kept, options = list(skeletons), options or ImportOptions()
    counts = np.array([len(s.vertex_nm_zyx) for s in kept], np.int64)
    first = np.cumsum(counts) - counts
    vertex = np.concatenate([s.vertex_nm_zyx for s in kept]) if kept else np.empty((0, 3))
    edges = [s.edges.reshape(-1, 2) + f for s, f in zip(kept, first, strict=True)]
    edge = np.concatenate(edges) if edges else np.empty((0, 2), np.int64)
    if len(edge) and (edge.min() < 0 or edge.max() >= len(vertex)):
        raise InputError.of("bad_skeletons", f"an edge names node {edge.max()} of {len(vertex)}; the file is damaged")
    node_skeleton = np.repeat(np.arange(len(kept), dtype=np.int32), counts)
    names = [s.name or f"skeleton {s.label}" for s in kept]
    placed = PlacedSkeletons(np.array([s.label for s in kept], np.uint64), names, node_skeleton, vertex, edge)
    return graph_of(placed, spec, options, provenance)


@dataclass(frozen=True)
class PlacedSkeletons:
    """Skeletons of one file or folder, by node.

    skeleton_id : (n_skeletons,) uint64.   names : of the skeletons, for complaints.   node_skeleton : (n_nodes,) int32.
    position_nm_zyx : (n_nodes, 3) from the corner of the volume.   edges : (n_edges, 2) of nodes that exist.
    """

    skeleton_id: NDArray[np.uint64]
    names: list[str]
    node_skeleton: NDArray[np.int32]
    position_nm_zyx: NDArray[np.float64]
    edges: NDArray[np.int64]


def graph_of(
    placed: PlacedSkeletons,
    spec: VolumeSpec,
    options: ImportOptions,
    provenance: dict[str, Any],
    length_position_nm: NDArray[np.float64] | None = None,
) -> SkeletonGraph:
    """The graph of placed skeletons; its provenance ends with notes on edges and nodes that are there twice.

    length_position_nm : (n_nodes, 3), what lengths of edges are measured between; the positions where it is None.
    Raises InputError where nodes lie outside the volume, or all in a corner of it.
    """
    position, owner = placed.position_nm_zyx, placed.node_skeleton
    raise_all(
        placement_complaints(position, owner, placed.names, spec, options.unit, options.axes, anyway=options.anyway)
    )
    keep, notes = simple_edges(placed.edges, len(position))
    edges = placed.edges[keep]
    notes = [*provenance.get("notes", []), *notes, *coincident_notes(position, owner, placed.names)]
    return SkeletonGraph(
        skeleton_id=placed.skeleton_id,
        node_skeleton=owner,
        node_voxel_zyx=to_voxels(position, spec.voxel_size_nm_zyx),
        edge_u=edges[:, 0].astype(np.int32),
        edge_v=edges[:, 1].astype(np.int32),
        edge_length_nm=edge_lengths(position if length_position_nm is None else length_position_nm, edges),
        shape_zyx=spec.shape_zyx,
        voxel_size_nm_zyx=spec.voxel_size_nm_zyx,
        provenance={**provenance, "notes": notes},
    )


def simple_edges(edges: NDArray[np.int64], n_nodes: int) -> tuple[NDArray[np.intp], list[str]]:
    """Which edges to keep, in their order, so that each pair of nodes has one at most; and what was left out."""
    low, high = edges.min(axis=1, initial=n_nodes), edges.max(axis=1, initial=0)
    loops = low == high
    _, first = np.unique(low * max(1, n_nodes) + high, return_index=True)
    keep = np.zeros(len(edges), np.bool_)
    keep[first] = True
    notes = []
    if doubled := int((~keep & ~loops).sum()):
        notes.append(f"{doubled:,} edges stand twice, or in both directions; each counts once")
    if loops.any():
        notes.append(f"{int(loops.sum()):,} edges lead from a node to itself; they are left out")
    return np.flatnonzero(keep & ~loops), notes


def coincident_notes(position: NDArray[np.float64], skeleton: NDArray[np.int32], names: list[str]) -> list[str]:
    """A note where nodes of a skeleton stand on the same point."""
    if len(position) < 2:
        return []
    order = np.lexsort((*position.T, skeleton))
    same = (position[order[1:]] == position[order[:-1]]).all(axis=1) & (skeleton[order[1:]] == skeleton[order[:-1]])
    if not same.any():
        return []
    owners = np.unique(skeleton[order[1:][same]])
    return [
        f"{int(same.sum()):,} nodes stand where another node of their skeleton does, in {len(owners):,} skeletons, the "
        f"first {names[owners[0]]}; they stay nodes of their own (osteoid and cloud-volume: consolidate() joins them)"
    ]


def edge_lengths(position_nm: NDArray[np.float64], edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """(m,) nm between the ends of each edge."""
    length: NDArray[np.float64] = np.linalg.norm(position_nm[edges[:, 0]] - position_nm[edges[:, 1]], axis=1)
    return length
