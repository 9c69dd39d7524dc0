"""ERL graphs as em_erl saves them: the flat layout, or the older ``nodes`` with ``edges_<i>``."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.files import read_npz

_FLAT = ("node_skeleton_index", "node_coords_zyx", "edge_u", "edge_v", "edge_len", "edge_ptr")


@dataclass(frozen=True)
class EmErlGraph:
    """Arrays of a file, checked against one another.

    skeleton_id : (n_skeletons,) uint64, each once.   node_skeleton : (n,) int32.   position_zyx : (n, 3) float64.
    edges : (m, 2) int64.   edge_length : (m,) float64.
    """

    skeleton_id: NDArray[np.uint64]
    node_skeleton: NDArray[np.int32]
    position_zyx: NDArray[np.float64]
    edges: NDArray[np.int64]
    edge_length: NDArray[np.float64]


def read_em_erl(path: str | Path) -> EmErlGraph:
    """Read either layout. Raises InputError where the file is none, or its arrays contradict one another."""
    arrays = read_npz(path)
    name = Path(path).name
    if set(_FLAT) <= arrays.keys():
        skeleton, position = arrays["node_skeleton_index"], arrays["node_coords_zyx"]
        columns = [arrays["edge_u"], arrays["edge_v"], arrays["edge_len"]]
    elif "nodes" in arrays and any(n.startswith("edges_") for n in arrays):
        nodes = _table(arrays["nodes"], 4, f"{name}: nodes", exact=False)
        skeleton, position = nodes[:, 0], nodes[:, 1:4]
        names = [n for n in arrays if n.startswith("edges_") and n[6:].isdecimal()]
        parts = [_table(arrays[n], 3, f"{name}: {n}") for n in sorted(names, key=lambda n: int(n[6:]))]
        columns = list(np.concatenate(parts).T) if parts else [np.empty(0)] * 3
    else:
        raise InputError.of(
            "unknown_graph",
            f"{path}: an .npz with {', '.join(sorted(arrays)) or 'nothing'}; expected an em_erl graph, with either "
            "node_skeleton_index, node_coords_zyx, edge_u, edge_v, edge_len, edge_ptr or nodes and edges_<i>"
            + (". This is a bundle already" if "node_voxel_zyx" in arrays else ""),
        )
    if any(c.ndim != 1 or len(c) != len(columns[0]) for c in columns) or skeleton.ndim != 1:
        raise _damaged(name, "edge_u, edge_v and edge_len differ in length, or are not flat")
    position = _table(position, 3, f"{name}: node_coords_zyx").astype(np.float64)
    if len(position) != len(skeleton):
        raise _damaged(name, f"{len(position):,} positions for {len(skeleton):,} nodes")
    if not np.isfinite(position).all():
        row = int(np.flatnonzero(~np.isfinite(position).all(axis=1))[0])
        raise _damaged(name, f"node {row} lies at {tuple(position[row].tolist())}, which is no place")
    owner = _whole(skeleton, f"{name}: node_skeleton_index")
    edges = np.column_stack([_whole(c, f"{name}: edges") for c in columns[:2]])
    if len(edges) and (edges.min() < 0 or edges.max() >= len(position)):
        raise _damaged(name, f"an edge names node {edges.max()} of {len(position):,}")
    return EmErlGraph(_ids(arrays, owner, name), owner.astype(np.int32), position, edges, columns[2].astype(np.float64))


def _ids(arrays: dict[str, NDArray[np.generic]], owner: NDArray[np.int64], name: str) -> NDArray[np.uint64]:
    n_skeletons = int(owner.max(initial=-1)) + 1
    if not n_skeletons or owner.min() < 0:
        raise _damaged(name, "it holds no node" if not len(owner) else "a node names skeleton -1 or less")
    ids = _whole(arrays.get("skeleton_id", np.arange(1, n_skeletons + 1)), f"{name}: skeleton_id")
    if ids.ndim != 1 or len(ids) < n_skeletons:
        raise _damaged(name, f"{ids.size:,} ids for {n_skeletons:,} skeletons")
    of, count = np.unique(ids, return_counts=True)
    if (count > 1).any():
        raise InputError.of(
            "same_id",
            f"{name}: {int((count > 1).sum()):,} ids stand for several skeletons, the first is {of[count > 1][0]}; "
            "expected an id of its own for each",
        )
    return ids.astype(np.uint64)


def _whole(values: NDArray[np.generic], what: str) -> NDArray[np.int64]:
    if values.dtype.kind in "iu":
        return values if values.dtype == np.uint64 and values.max(initial=0) >= 1 << 63 else values.astype(np.int64)  # type: ignore[return-value]
    whole = values.astype(np.float64) if values.dtype.kind == "f" else np.array([np.nan])
    if not (np.isfinite(whole).all() and (whole == np.rint(whole)).all()):
        raise _damaged(what, f"dtype {values.dtype} with values that are not whole numbers")
    return whole.astype(np.int64)


def _table(values: NDArray[np.generic], columns: int, what: str, *, exact: bool = True) -> NDArray[np.generic]:
    if values.ndim == 1 and exact and values.size % columns == 0:
        values = values.reshape(-1, columns)
    wide = values.ndim == 2 and (values.shape[1] == columns if exact else values.shape[1] >= columns)
    if not wide or values.dtype.kind not in "iuf":
        raise _damaged(what, f"shape {values.shape} and dtype {values.dtype}, expected numbers in {columns} columns")
    return values


def _damaged(name: str, what: str) -> InputError:
    return InputError.of("bad_graph", f"{name}: {what}; write the graph again with em_erl (graph.save_npz)")
