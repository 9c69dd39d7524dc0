"""Graphs of skeletons out of pickles: AxonEM's, XPRESS's and NISB's; the part that a confined child does."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.sandbox.restricted_pickle import StoredArray, StoredGraph, StoredLiteGraph, StoredMatrix, read_objects

# Attribute of a node with its position x,y,z, and the unit of it; the first that is there counts.
POSITIONS = (("index_position", "voxel"), ("position", "nm"), ("nm_position", "nm"), ("pos", "nm"))
IDS = ("skeleton_id", "id")


def write_graph(path: str, out: str) -> None:
    """Read the pickle and write its graph as arrays. Raises InputError where it holds none."""
    with open(path, "rb") as file:
        objects = read_objects(file.read())
    try:
        arrays = graph_arrays(objects)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # a pickle that somebody made may hold anything anywhere
        raise _bad(f"a graph of which a part is no such part ({type(error).__name__}: {str(error)[:200]})") from None
    np.savez(out, allow_pickle=False, **arrays)


def graph_arrays(objects: list[Any]) -> dict[str, NDArray[Any]]:
    """position_zyx (n, 3), its unit, skeleton (n,) or empty, edges (m, 2), and length_nm_zyx (n, 3) or empty.

    Lengths of edges are those between the last. Raises InputError where no object is a graph of skeletons.
    """
    for stored in objects:
        if isinstance(stored, StoredLiteGraph):
            return _lite(stored, objects)
        if isinstance(stored, StoredGraph):
            return _networkx(stored)
    kinds = ", ".join(sorted({getattr(o, "kind", "") or type(o).__name__ for o in objects})) or "nothing"
    raise InputError.of(
        "no_graph",
        f"the pickle holds {kinds}; expected a networkx graph whose nodes have a position (XPRESS, NISB), or the lite "
        "graph of AxonEM",
    )


def _networkx(graph: StoredGraph) -> dict[str, NDArray[Any]]:
    nodes, adjacency = graph.state.get("_node"), graph.state.get("_adj", graph.state.get("_succ"))
    if not isinstance(nodes, dict) or not isinstance(adjacency, dict):
        raise _bad("a networkx graph without its nodes or its edges")
    if not nodes or not all(isinstance(attributes, dict) for attributes in nodes.values()):
        raise _bad("a networkx graph without nodes, or whose nodes have no attributes")
    first = next(iter(nodes.values()))
    known = [(name, unit) for name, unit in POSITIONS if name in first]
    if not known and not {"z", "y", "x"} <= first.keys():
        raise _bad(
            f"nodes with the attributes {', '.join(sorted(map(str, first)))[:200] or 'none'}; expected a position: "
            f"{', '.join(name for name, _ in POSITIONS)}, or z, y and x"
        )
    if known:
        name, unit = known[0]
        position = _positions(nodes.values(), name)[:, ::-1]
    else:
        unit = "nm"
        position = np.column_stack([_numbers(nodes.values(), axis) for axis in "zyx"])
    in_nm = [name for name, other in known if other == "nm"]
    ids = next((name for name in IDS if name in first), None)
    place = {node: i for i, node in enumerate(nodes)}
    edges = np.fromiter(_pairs(adjacency, place), np.dtype((np.int64, 2)))
    return {
        "position_zyx": position,
        "unit": np.array(unit),
        "skeleton": np.empty(0) if ids is None else _numbers(nodes.values(), ids),
        "edges": edges.reshape(-1, 2),
        "length_nm_zyx": _positions(nodes.values(), in_nm[0])[:, ::-1] if in_nm else np.empty((0, 3)),
    }


def _pairs(adjacency: dict[Any, Any], place: dict[Any, int]) -> Iterator[tuple[int, int]]:
    """Each edge once: networkx stores one of an undirected graph at both ends."""
    for node, neighbours in adjacency.items():
        for neighbour in neighbours:
            try:
                u, v = place[node], place[neighbour]
            except KeyError:
                raise _bad("an edge to a node that is not in the graph") from None
            if u <= v or node not in adjacency.get(neighbour, ()):
                yield u, v


def _lite(graph: StoredLiteGraph, objects: list[Any]) -> dict[str, NDArray[Any]]:
    """Node array with one column for each attribute, z, y, x in nm; edges as the keys of a sparse matrix."""
    table, names, matrix = (graph.state.get(name) for name in ("_nodes", "node_attributes", "_edges"))
    if not isinstance(table, StoredArray) or not isinstance(matrix, StoredMatrix) or not isinstance(names, list):
        raise _bad("a lite graph without its nodes, their attributes or its edges")
    nodes = table.array
    if nodes.ndim != 2 or nodes.shape[1] != len(names) or not {"skeleton_id", "z", "y", "x"} <= set(names):
        raise _bad(f"nodes of shape {nodes.shape} with the attributes {names!s:.200}; expected skeleton_id, x, y and z")
    position = np.column_stack([nodes[:, names.index(axis)] for axis in "zyx"]).astype(np.float64)
    # Of 2023: the voxel of each node stands beside the graph; that of 2024 has the resolution there.
    voxels = [o.array for o in objects if isinstance(o, StoredArray) and o.array.shape == position.shape]
    return {
        "position_zyx": voxels[0].astype(np.float64) if voxels else position,
        "unit": np.array("voxel" if voxels else "nm"),
        "skeleton": nodes[:, names.index("skeleton_id")].astype(np.float64),
        "edges": np.array(list(matrix.entries), np.int64).reshape(-1, 2),
        "length_nm_zyx": position if voxels else np.empty((0, 3)),
    }


def _positions(nodes: Iterable[dict[str, Any]], name: str) -> NDArray[np.float64]:
    try:
        rows = [_values(attributes[name]) for attributes in nodes]
        table = np.array(rows, np.float64)
    except (KeyError, TypeError, ValueError):
        raise _bad(f"a node without a {name} of three numbers") from None
    if table.ndim != 2 or table.shape[1] != 3:
        raise _bad(f"a node without a {name} of three numbers")
    return table


def _values(stored: Any) -> Any:
    if isinstance(stored, str):
        raise TypeError("text is no position, though it may consist of digits")
    return stored.array if isinstance(stored, StoredArray) else tuple(stored)


def _numbers(nodes: Iterable[dict[str, Any]], name: str) -> NDArray[np.float64]:
    try:
        return np.array([float(attributes[name]) for attributes in nodes])
    except (KeyError, TypeError, ValueError):
        raise _bad(f"a node without a number as its {name}") from None


def _bad(what: str) -> InputError:
    return InputError.of("bad_graph", f"the pickle holds {what}. Write the graph again as its benchmark gives it")


def rehearse(folder: Path) -> None:
    """Write an array before this process is confined, so that all that is imported on the way is imported."""
    np.savez(folder / "rehearsal.npz", a=np.zeros(1))
    (folder / "rehearsal.npz").unlink()
