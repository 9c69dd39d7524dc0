"""Skeletons as flat arrays, and the bundle file that holds them."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import Complaint, InputError
from axonem_eval.files import read_npz, write_atomically
from axonem_eval.spec import FloatTriple, Triple, VolumeSpec
from axonem_eval.union_find import join_pairs, numbered

BUNDLE_FORMAT = "axonem-skeletons"
BUNDLE_VERSION = 1

_ARRAYS = ("skeleton_id", "node_skeleton", "node_voxel_zyx", "edge_u", "edge_v", "edge_length_nm")
# Field and array in the file, of what only skeletons made from labels have.
_MEASURES = {"node_radius_nm": "node_radius_nm", "volume_um3": "skeleton_volume_um3"}


@dataclass(frozen=True)
class SkeletonGraph:
    """Skeletons of a volume: n_skeletons trees (or forests) over one list of nodes.

    skeleton_id : (n_skeletons,) uint64, the label each skeleton was made from.
    node_skeleton : (n_nodes,) int32, index into ``skeleton_id``.
    node_voxel_zyx : (n_nodes, 3) int32, full-resolution voxel index of each node. An index, not nm:
        recomputing it from rounded nm would move nodes by a voxel.
    edge_u, edge_v : (n_edges,) int32, node indices; both ends lie in the same skeleton.
    edge_length_nm : (n_edges,) float64.
    shape_zyx, voxel_size_nm_zyx : the volume that the nodes index into.
    provenance : how the skeletons were made (source checksum, program, parameters); JSON.
    node_radius_nm : (n_nodes,) float32, distance to the nearest voxel outside the label; None if not measured.
    volume_um3 : (n_skeletons,) float64, volume of the label, at the skeletons' voxel size; None if not measured.

    Raises InputError where the arrays contradict one another.
    """

    skeleton_id: NDArray[np.uint64]
    node_skeleton: NDArray[np.int32]
    node_voxel_zyx: NDArray[np.int32]
    edge_u: NDArray[np.int32]
    edge_v: NDArray[np.int32]
    edge_length_nm: NDArray[np.float64]
    shape_zyx: Triple
    voxel_size_nm_zyx: FloatTriple
    provenance: dict[str, Any] = field(default_factory=dict, compare=False)
    node_radius_nm: NDArray[np.float32] | None = None
    volume_um3: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """Raises InputError where the arrays contradict one another."""
        complaint = self._wrong_dtype() or self._contradiction()
        if complaint:
            raise InputError.of("bad_skeletons", f"skeletons: {complaint}")

    def _wrong_dtype(self) -> str | None:
        for name in _ARRAYS:
            dtype, is_length = getattr(self, name).dtype, name == "edge_length_nm"
            if dtype.kind not in ("iuf" if is_length else "iu"):
                return f"{name} has dtype {dtype}, expected {'numbers' if is_length else 'integers'}"
        return None

    def _contradiction(self) -> str | None:
        n_skeletons, n_nodes, n_edges = len(self.skeleton_id), len(self.node_skeleton), len(self.edge_u)
        if self.node_voxel_zyx.shape != (n_nodes, 3):
            return f"node positions have shape {self.node_voxel_zyx.shape}, expected ({n_nodes}, 3) z,y,x"
        if len(self.edge_v) != n_edges or len(self.edge_length_nm) != n_edges:
            return "edge_u, edge_v and edge_length_nm differ in length"
        for name, n in (("node_radius_nm", n_nodes), ("volume_um3", n_skeletons)):
            values = getattr(self, name)
            if values is not None and values.shape != (n,):
                return f"{name} has shape {values.shape}, expected ({n},)"
        if n_nodes and not (self.node_skeleton.min() >= 0 and self.node_skeleton.max() < n_skeletons):
            return f"a node names a skeleton outside 0..{n_skeletons - 1}"
        if n_edges:
            low = min(self.edge_u.min(), self.edge_v.min())
            high = max(self.edge_u.max(), self.edge_v.max())
            if low < 0 or high >= n_nodes:
                return f"an edge names a node outside 0..{n_nodes - 1}"
            crossing = np.flatnonzero(self.node_skeleton[self.edge_u] != self.node_skeleton[self.edge_v])
            if crossing.size:
                return f"edge {crossing[0]} joins two skeletons; an edge must stay within one"
            if not np.isfinite(self.edge_length_nm).all() or self.edge_length_nm.min() < 0:
                return "an edge length is negative or not finite; lengths are nm"
        outside = self.nodes_outside(self.shape_zyx)
        if outside.size:
            node = outside[0]
            return (
                f"node {node} lies at voxel {tuple(int(v) for v in self.node_voxel_zyx[node])} (z,y,x), outside "
                f"the volume of {self.shape_zyx} voxels; check the axis order, the voxel size and the shape"
            )
        return None

    def nodes_outside(self, shape_zyx: Triple) -> NDArray[np.intp]:
        """Indices of nodes that a volume of that shape does not contain."""
        if not len(self.node_voxel_zyx):
            return np.empty(0, np.intp)
        inside = (self.node_voxel_zyx >= 0) & (self.node_voxel_zyx < np.asarray(shape_zyx))
        return np.flatnonzero(~inside.all(axis=1))

    def centre_nm_zyx(self, node: NDArray[np.integer] | slice | int = slice(None)) -> NDArray[np.float64]:
        """(n, 3) the centres of the voxels of some nodes, of all by default; (3,) of a single one."""
        centre: NDArray[np.float64] = (self.node_voxel_zyx[node] + 0.5) * np.asarray(self.voxel_size_nm_zyx)
        return centre

    @property
    def spec(self) -> VolumeSpec:
        """What a segmentation scored against these skeletons must look like."""
        return VolumeSpec(self.shape_zyx, self.voxel_size_nm_zyx)

    @property
    def notes(self) -> list[str]:
        """What an import did or left out, for people."""
        return list(self.provenance.get("notes", []))

    @property
    def traced_coarsely(self) -> dict[str, Any]:
        """The segments that were too large to be traced in full detail, and a sentence about them; or nothing."""
        return dict(self.provenance.get("traced_coarsely", {}))

    @property
    def n_skeletons(self) -> int:
        """Number of skeletons."""
        return len(self.skeleton_id)

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return len(self.node_skeleton)

    @property
    def n_edges(self) -> int:
        """Number of edges."""
        return len(self.edge_u)

    @cached_property
    def edge_skeleton(self) -> NDArray[np.int32]:
        """(n_edges,) skeleton index of each edge."""
        return self.node_skeleton[self.edge_u]

    @cached_property
    def skeleton_length_nm(self) -> NDArray[np.float64]:
        """(n_skeletons,) summed edge length; 0 for a skeleton without an edge."""
        return sum_by(self.edge_skeleton, self.edge_length_nm, self.n_skeletons)

    @property
    def mean_node_spacing_nm(self) -> float:
        """Mean edge length in nm, what turns a tolerance in nodes into one in um; 0 without an edge."""
        return float(self.edge_length_nm.mean()) if self.n_edges else 0.0

    @property
    def gt_erl_nm(self) -> float:
        """ERL of a perfect segmentation, sum L^2 / sum L (DESIGN section 2, item 6)."""
        total = float(self.skeleton_length_nm.sum())
        return float(np.square(self.skeleton_length_nm).sum()) / total if total else 0.0

    def checksum(self) -> str:
        """SHA-256 over the content (not the file, whose compression may differ)."""
        digest = hashlib.sha256(f"{BUNDLE_FORMAT} {BUNDLE_VERSION}".encode())
        digest.update(json.dumps([self.shape_zyx, self.voxel_size_nm_zyx]).encode())
        for name in _ARRAYS:
            array = np.ascontiguousarray(getattr(self, name))
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            digest.update(array.data)
        return digest.hexdigest()

    def nodes_sha256(self) -> str:
        """SHA-256 of the nodes alone, in their order: their volume, the skeleton and the voxel of each.

        A table of labels at nodes names it, because labels in another order score without complaint.
        """
        digest = hashlib.sha256(b"axonem-nodes 1")
        digest.update(json.dumps([self.shape_zyx, self.voxel_size_nm_zyx]).encode())
        digest.update(np.ascontiguousarray(self.skeleton_id[self.node_skeleton], "<u8").data)
        digest.update(np.ascontiguousarray(self.node_voxel_zyx, "<i4").data)
        return digest.hexdigest()

    def longer_than(self, min_length_um: float) -> "SkeletonGraph":
        """The skeletons of at least that length; AxonEM scores axons longer than 5 um."""
        keep = self.skeleton_length_nm >= min_length_um * 1000.0
        kept = self.part(keep[self.node_skeleton], keep_skeleton=keep)
        return replace(kept, provenance={**self.provenance, "min_length_um": min_length_um})

    def part(
        self,
        keep_node: NDArray[np.bool_],
        *,
        keep_edge: NDArray[np.bool_] | None = None,
        keep_skeleton: NDArray[np.bool_] | None = None,
    ) -> "SkeletonGraph":
        """The graph of some nodes, in their order.

        keep_node : (n_nodes,).
        keep_edge : (n_edges,), edges of kept nodes alone; by default all of those.
        keep_skeleton : (n_skeletons,), among them those of kept nodes; by default those alone.
        """
        if keep_edge is None:
            keep_edge = keep_node[self.edge_u] & keep_node[self.edge_v]
        if keep_skeleton is None:
            keep_skeleton = np.bincount(self.node_skeleton[keep_node], minlength=self.n_skeletons) > 0
        new_node = np.cumsum(keep_node, dtype=np.int32) - 1
        new_skeleton = np.cumsum(keep_skeleton, dtype=np.int32) - 1
        return replace(
            self,
            skeleton_id=self.skeleton_id[keep_skeleton],
            node_skeleton=new_skeleton[self.node_skeleton[keep_node]].astype(np.int32),
            node_voxel_zyx=self.node_voxel_zyx[keep_node],
            edge_u=new_node[self.edge_u[keep_edge]].astype(np.int32),
            edge_v=new_node[self.edge_v[keep_edge]].astype(np.int32),
            edge_length_nm=self.edge_length_nm[keep_edge],
            node_radius_nm=None if self.node_radius_nm is None else self.node_radius_nm[keep_node],
            volume_um3=None if self.volume_um3 is None else self.volume_um3[keep_skeleton],
        )

    def save(self, path: str | Path) -> None:
        """Write the bundle (a compressed .npz without pickles) to exactly ``path``."""
        header = {
            "format": BUNDLE_FORMAT,
            "version": BUNDLE_VERSION,
            "shape_zyx": self.shape_zyx,
            "voxel_size_nm_zyx": self.voxel_size_nm_zyx,
            "mean_node_spacing_nm": self.mean_node_spacing_nm,
            "provenance": self.provenance,
        }
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        measured = {name: getattr(self, field) for field, name in _MEASURES.items()}
        arrays |= {name: values for name, values in measured.items() if values is not None}
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
        write_atomically(path, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))

    @classmethod
    def load(cls, path: str | Path) -> "SkeletonGraph":
        """Read a bundle, with radii and volumes if it has them. Raises InputError where the file is no bundle."""
        arrays = read_npz(path)
        missing = [name for name in ("header", *_ARRAYS) if name not in arrays]
        if missing:
            raise InputError.of(
                "not_a_bundle",
                f"{path}: no skeleton bundle, it lacks {', '.join(missing)}. Make one with `axonem-eval skeletonize`, "
                "or turn em_erl, SWC or precomputed skeletons into one with `axonem-eval import`",
            )
        header = _read_header(path, arrays["header"])
        if (header.get("format"), header.get("version")) != (BUNDLE_FORMAT, BUNDLE_VERSION):
            raise InputError.of(
                "bundle_version",
                f"{path}: bundle format {header.get('format')} version {header.get('version')}, this program reads "
                f"{BUNDLE_FORMAT} version {BUNDLE_VERSION}; make it again with `axonem-eval skeletonize`",
            )
        try:
            z, y, x = (int(n) for n in header["shape_zyx"])
            vz, vy, vx = (float(nm) for nm in header["voxel_size_nm_zyx"])
        except (KeyError, TypeError, ValueError, OverflowError):
            raise _bad_header(path) from None
        return cls(
            **{name: arrays[name] for name in _ARRAYS},
            shape_zyx=(z, y, x),
            voxel_size_nm_zyx=(vz, vy, vx),
            provenance=header.get("provenance", {}),
            node_radius_nm=arrays.get(_MEASURES["node_radius_nm"]),
            volume_um3=arrays.get(_MEASURES["volume_um3"]),
        )


def _read_header(path: str | Path, stored: NDArray[Any]) -> dict[str, Any]:
    try:
        header = json.loads(stored.tobytes())
    except ValueError:  # also of bytes that are no text
        header = None
    if not isinstance(header, dict) or not isinstance(header.get("provenance", {}), dict):
        raise _bad_header(path)
    return header


def _bad_header(path: str | Path) -> InputError:
    return InputError.of(
        "not_a_bundle",
        f"{path}: the array header is no JSON with shape_zyx and voxel_size_nm_zyx, as this program writes it. Make "
        "the bundle again with `axonem-eval skeletonize` or `axonem-eval import`",
    )


def doubled_ids(graph: SkeletonGraph) -> list[Complaint]:
    """A complaint where two skeletons have one id; files and tables named by id would overwrite each other."""
    of, count = np.unique(graph.skeleton_id, return_counts=True)
    twice = of[count > 1]
    if not twice.size:
        return []
    return [
        Complaint(
            "same_id",
            f"{len(twice):,} ids stand for several skeletons, the first is {twice[0]}; expected an id of its own for "
            "each. Make the bundle again from files with ids of their own",
        )
    ]


def doubled_edges(graph: SkeletonGraph) -> list[Complaint]:
    """A complaint where an edge stands twice or in both directions, or leads from a node to itself."""
    low, high = np.minimum(graph.edge_u, graph.edge_v), np.maximum(graph.edge_u, graph.edge_v)
    simple = len(np.unique(low.astype(np.int64) * graph.n_nodes + high)) - int((low == high).sum())
    if simple >= graph.n_edges:
        return []
    return [
        Complaint(
            "doubled_edges",
            f"{graph.n_edges - simple:,} of {graph.n_edges:,} edges stand twice, or lead from a node to itself, and "
            "would count as cable twice. Make the bundle again with `axonem-eval import`, which counts each once",
        )
    ]


@dataclass(frozen=True)
class PerSkeleton:
    """Nodes and edges of a graph, skeleton by skeleton; nodes of one in the order that was asked for.

    place : (n_nodes,) int64, of each node among those of its skeleton.
    """

    graph: SkeletonGraph
    place: NDArray[np.int64]
    _node: NDArray[np.integer]
    _node_start: NDArray[np.int64]
    _edge: NDArray[np.intp]
    _edge_start: NDArray[np.int64]

    @classmethod
    def of(cls, graph: SkeletonGraph, order: NDArray[np.integer] | None = None) -> "PerSkeleton":
        """order : (n_nodes,) all nodes once; their own by default."""
        order = np.arange(graph.n_nodes) if order is None else order
        node = order[np.argsort(graph.node_skeleton[order], kind="stable")]
        count = np.bincount(graph.node_skeleton, minlength=graph.n_skeletons)
        node_start = np.append(0, np.cumsum(count))
        place = np.empty(graph.n_nodes, np.int64)
        place[node] = np.arange(graph.n_nodes) - np.repeat(node_start[:-1], count)
        edge = np.argsort(graph.edge_skeleton, kind="stable")
        edge_start = np.append(0, np.cumsum(np.bincount(graph.edge_skeleton, minlength=graph.n_skeletons)))
        return cls(graph, place, node, node_start, edge, edge_start)

    def nodes(self, k: int) -> NDArray[np.integer]:
        """(n,) the nodes of skeleton k."""
        return self._node[self._node_start[k] : self._node_start[k + 1]]

    def edges(self, k: int) -> NDArray[np.int64]:
        """(m, 2) the edges of skeleton k, between places in ``nodes(k)``."""
        edge = self._edge[self._edge_start[k] : self._edge_start[k + 1]]
        return np.column_stack([self.place[self.graph.edge_u[edge]], self.place[self.graph.edge_v[edge]]])


def connected_pieces(n_nodes: int, edge_u: NDArray[Any], edge_v: NDArray[Any]) -> NDArray[np.int32]:
    """(n_nodes,) the connected piece of each node; pieces are numbered from 0 in the order of their first nodes."""
    parent = np.arange(n_nodes + 1)  # of sets that are numbered, 0 is in none
    join_pairs(parent, np.asarray(edge_u) + 1, np.asarray(edge_v) + 1)
    number: NDArray[np.uint32] = numbered(parent)[0][1:]
    return number.astype(np.int32) - np.int32(1)


def sum_by(index: NDArray[Any], weight: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """(n,) float64, the summed weights of each index; zeros where there is none."""
    return np.bincount(index, weights=weight, minlength=n).astype(np.float64, copy=False)
