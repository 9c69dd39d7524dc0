"""Skeletons as flat arrays of another program, and the ground truth that they become."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError, guarded
from axonem_eval.skeletons.graph import SkeletonGraph, connected_pieces
from axonem_eval.skeletons.imported_graph import ImportOptions, PlacedSkeletons, graph_of
from axonem_eval.skeletons.placement import ROUNDING
from axonem_eval.spec import FloatTriple, VolumeSpec
from axonem_eval.volumes import own_member, require_own_data

# Of an HDF5 file: half a billion coordinates, which are held in memory.
MAX_BYTES = 2**32


@dataclass(frozen=True)
class ForeignGraph:
    """Nodes and edges of all skeletons of a file.

    position : (n, 3) float64, in ``unit``, axes in the order of ImportOptions.   skeleton : (n,) ids from 0 on; None
    where the file has none: then each connected piece is a skeleton.   edges : (m, 2) int64.
    length_position_nm : (n, 3) positions in nm that edge lengths are taken from; None: the positions themselves.
    unit : nm or voxel, None: as the options say.
    """

    position: NDArray[np.float64]
    skeleton: NDArray[np.uint64] | None
    edges: NDArray[np.int64]
    length_position_nm: NDArray[np.float64] | None = None
    unit: str | None = None
    axes: str | None = None
    name: str = ""

    def __post_init__(self) -> None:
        """Raises InputError where the arrays contradict one another."""
        n = len(self.position)
        wrong = ""
        if not n or self.position.shape != (n, 3) or not np.isfinite(self.position).all():
            wrong = f"positions of shape {self.position.shape}, or one that is no place"
        elif len(self.edges) and (self.edges.shape[1:] != (2,) or self.edges.min() < 0 or self.edges.max() >= n):
            wrong = f"an edge that names no node of {n:,}"
        elif self.skeleton is not None and self.skeleton.shape != (n,):
            wrong = f"{self.skeleton.size:,} skeleton ids for {n:,} nodes"
        elif self.length_position_nm is not None and self.length_position_nm.shape != (n, 3):
            wrong = "positions in nm of other nodes"
        if wrong:
            raise InputError.of("bad_graph", f"{self.name}: {wrong}; write the file again, or copy it again")

    @classmethod
    def of_arrays(cls, arrays: dict[str, NDArray[Any]], name: str) -> "ForeignGraph":
        """Of the arrays that a confined reader left. Raises InputError where they are none."""
        wanted = {"position_zyx": "f", "skeleton": "f", "edges": "i", "length_nm_zyx": "f", "unit": "U"}
        if any(arrays.get(key, np.empty(0, bool)).dtype.kind != kind for key, kind in wanted.items()):
            raise InputError.of("bad_graph", f"{name}: its reader left no graph")
        ids, nm = arrays["skeleton"], arrays["length_nm_zyx"]
        if len(ids) and not ((ids >= 0) & (ids < 2**53) & (ids == np.rint(ids))).all():
            raise InputError.of("bad_graph", f"{name}: a skeleton id that is no whole number from 0 to 2^53")
        return cls(
            arrays["position_zyx"].astype(np.float64),
            ids.astype(np.uint64) if len(ids) else None,
            arrays["edges"].astype(np.int64),
            nm.astype(np.float64) if len(nm) else None,
            "voxel" if str(arrays["unit"]) == "voxel" else "nm",
            "zyx",
            name,
        )


def read_hdf5_groups(path: str | Path) -> ForeignGraph:
    """An HDF5 file with a group for each skeleton, named by its number, with ``vertices`` and ``edges``.

    Groups come in the order of their numbers: HDF5 lists 0, 1, 10, 11, ..., 2, and node tables go by number.
    Raises InputError where the file has no such groups.
    """
    path = Path(path)
    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise InputError.of("unreadable", f"{path}: cannot be read as HDF5 ({str(error)[:200]})") from None
    with file:
        parts = guarded(path, "its HDF5 structure", lambda: _parts(path, file))
    if not parts:
        raise InputError.of("no_skeletons", f"{path}: no group named by a number, with the datasets vertices and edges")
    count = [len(vertices) for _, vertices, _ in parts]
    first = np.cumsum([0, *count[:-1]])
    return ForeignGraph(
        np.concatenate([vertices for _, vertices, _ in parts]),
        np.repeat(np.array([label for label, _, _ in parts], np.uint64), count),
        np.concatenate([edges + start for (_, _, edges), start in zip(parts, first, strict=True)]),
        name=path.name,
    )


def _parts(path: Path, file: h5py.File) -> list[tuple[int, NDArray[np.float64], NDArray[np.int64]]]:
    """Number, vertices and edges of each group, in the order of the numbers."""
    groups = [(_number(path, key), own_member(path, file, key)) for key in file if key.isdecimal()]
    pairs = [(k, *_pair(path, group, f"{path.name}/{k}")) for k, group in groups if isinstance(group, h5py.Group)]
    if (size := sum(dataset.nbytes for _, *pair in pairs for dataset in pair)) > MAX_BYTES:
        raise InputError.of(
            "too_many_nodes",
            f"{path.name}: its vertices and edges take {size:,} bytes, at most {MAX_BYTES:,} are read; write smaller "
            "numbers, or the skeletons of this volume alone",
        )
    pairs.sort(key=lambda pair: pair[0])
    return [(k, *_read(vertices, edges, f"{path.name}/{k}")) for k, vertices, edges in pairs]


def _number(path: Path, key: str) -> int:
    if not (key.isascii() and len(key) < 20 and key == str(int(key))):
        raise InputError.of(
            "bad_graph", f"{path.name}: a group named {key[:30]!r}; expected whole numbers without leading zeros"
        )
    return int(key)


def _pair(path: Path, group: h5py.Group, name: str) -> tuple[h5py.Dataset, h5py.Dataset]:
    found = [own_member(path, group, key) for key in ("vertices", "edges")]
    for dataset in found:
        if not isinstance(dataset, h5py.Dataset):
            raise InputError.of("bad_graph", f"{name}: expected the datasets vertices (n, 3) and edges (m, 2)")
        require_own_data(path, dataset)
    return found[0], found[1]


def _read(vertices: h5py.Dataset, edges: h5py.Dataset, name: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    vertex, edge = vertices[()], edges[()]
    if not edge.size:
        edge = np.empty((0, 2), np.int64)
    fits = vertex.ndim == edge.ndim == 2 and (vertex.shape[1], edge.shape[1]) == (3, 2)
    if not fits or vertex.dtype.kind not in "iuf" or edge.dtype.kind not in "iu":
        raise InputError.of(
            "bad_graph",
            f"{name}: vertices of shape {vertices.shape} and edges of shape {edges.shape}; expected numbers, (n, 3) "
            "and (m, 2)",
        )
    if len(edge) and (edge.min() < 0 or edge.max() >= len(vertex)):
        wrong = edge.min() if edge.min() < 0 else edge.max()
        raise InputError.of("bad_graph", f"{name}: an edge names node {wrong} of {len(vertex):,}")
    return vertex.astype(np.float64), edge.astype(np.int64)


def foreign_graph(
    foreign: ForeignGraph,
    spec: VolumeSpec,
    options: ImportOptions,
    *,
    offset_nm_zyx: FloatTriple = (0.0, 0.0, 0.0),
    drop_outside: bool = False,
    min_length_um: float = 0.0,
) -> SkeletonGraph:
    """Ground truth of foreign skeletons.

    offset_nm_zyx : where the volume begins in their coordinates.   drop_outside : leave out nodes outside the volume,
    with their edges, as benchmarks do that score a part of a volume; otherwise they are refused.
    Raises InputError where nodes lie outside the volume, or all in a corner of it, or an edge joins two skeletons.
    """
    options = replace(options, unit=foreign.unit or options.unit, axes=foreign.axes or options.axes)
    position = options.nm_zyx(foreign.position, spec) - np.asarray(offset_nm_zyx)
    keep, notes = np.ones(len(position), bool), []
    if drop_outside:
        index = np.floor(position / np.asarray(spec.voxel_size_nm_zyx) + ROUNDING)
        keep = ((index >= 0) & (index < spec.shape_zyx)).all(axis=1)
        outside = int((~keep).sum())
        notes = [f"{outside:,} of {len(keep):,} nodes lie outside the volume and are left out"] * bool(outside)
        if not keep.any():
            raise InputError.of(
                "node_outside", f"{foreign.name}: no node lies in the volume; check the offset, the unit and the shape"
            )
    edges = foreign.edges.reshape(-1, 2)
    edges = (np.cumsum(keep) - 1)[edges[keep[edges].all(axis=1)]]
    position = position[keep]
    length_position = None if foreign.length_position_nm is None else foreign.length_position_nm[keep]
    ids, owner = _owners(foreign, keep, edges)
    crossing = owner[edges[:, 0]] != owner[edges[:, 1]]
    if crossing.any():
        raise InputError.of(
            "bad_graph",
            f"{foreign.name}: {int(crossing.sum()):,} edges join two skeletons; an edge must stay within one",
        )
    names = [f"skeleton {i}" for i in ids.tolist()]
    provenance = {
        "source": foreign.name,
        "program": "imported",
        "unit": options.unit,
        "axes": options.axes,
        "offset_nm_zyx": list(offset_nm_zyx),
        "notes": notes,
    }
    graph = graph_of(PlacedSkeletons(ids, names, owner, position, edges), spec, options, provenance, length_position)
    return graph.longer_than(min_length_um) if min_length_um else graph


def _owners(
    foreign: ForeignGraph, keep: NDArray[np.bool_], edges: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    """Ids of skeletons, and of each node the place of its own; pieces are numbered from 1 where there are no ids."""
    if foreign.skeleton is not None:
        ids, owner = np.unique(foreign.skeleton[keep], return_inverse=True)
        return ids, owner.astype(np.int32)
    piece = connected_pieces(int(keep.sum()), edges[:, 0], edges[:, 1])
    return np.arange(1, int(piece.max()) + 2, dtype=np.uint64), piece
