"""Skeletons for other programs: a folder of SWC files, or Neuroglancer precomputed skeletons.

Both hold x,y,z; a node stands at the centre of its voxel. `importers.py` reads either back: the same voxels and edges;
the edge lengths are then those between the nodes, because neither format has any.
"""

import json
from pathlib import Path

import numpy as np

from axonem_eval.errors import InputError, raise_all
from axonem_eval.skeletons.arms import arms_of, parents
from axonem_eval.skeletons.graph import PerSkeleton, SkeletonGraph, doubled_ids

_NM_PER = {"nm": 1.0, "um": 1000.0}
_INTO_NM = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]  # precomputed coordinates are nm already


def export_swc(graph: SkeletonGraph, folder: str | Path, *, unit: str = "nm") -> int:
    """Write ``<id>.swc`` for each skeleton; a skeleton of several components has several roots. Returns how many.

    unit : nm or um, of positions and radii. The radius is 0 where none was measured. The type is 0, undefined.
    Raises InputError for a skeleton with a cycle, which SWC cannot hold, for two skeletons with one id, and for a
    folder that holds other files.
    """
    raise_all(doubled_ids(graph))
    folder = _empty_folder(folder)
    order, parent = parents(arms_of(graph))
    closing = graph.n_nodes - int((parent < 0).sum()) - graph.n_edges
    if closing:
        raise InputError.of(
            "cycle",
            f"{-closing} edges close a cycle, and SWC holds trees only; export precomputed skeletons instead",
        )
    parts = PerSkeleton.of(graph, order)
    line = parts.place + 1  # of each node in its file
    up = np.where(parent < 0, -1, line[parent])
    size = _NM_PER[unit]
    radius = np.zeros(graph.n_nodes) if graph.node_radius_nm is None else graph.node_radius_nm
    table = np.column_stack([line, np.zeros(len(line)), graph.centre_nm_zyx()[:, ::-1] / size, radius / size, up])
    digits = 1 if unit == "nm" else 4
    form = f"%d %d %.{digits}f %.{digits}f %.{digits}f %.{digits}f %d"
    for k, label in enumerate(graph.skeleton_id.tolist()):
        header = f"skeleton {label}, {unit}; id type x y z radius parent"
        with open(folder / f"{label}.swc", "x") as file:
            np.savetxt(file, table[parts.nodes(k)], fmt=form, header=header)
    return graph.n_skeletons


def export_precomputed(graph: SkeletonGraph, folder: str | Path) -> int:
    """Write an unsharded source of precomputed skeletons, ``precomputed://…/FOLDER`` to Neuroglancer. Returns how many.

    Raises InputError for two skeletons with one id, and for a folder that holds other files.
    """
    raise_all(doubled_ids(graph))
    folder = _empty_folder(folder)
    radius = graph.node_radius_nm
    attribute = {"id": "radius", "data_type": "float32", "num_components": 1}
    info = {
        "@type": "neuroglancer_skeletons",
        "transform": _INTO_NM,
        "vertex_attributes": [] if radius is None else [attribute],
        "segment_properties": "segment_properties",
    }
    xyz, parts = graph.centre_nm_zyx()[:, ::-1].astype("<f4"), PerSkeleton.of(graph)
    for k, label in enumerate(graph.skeleton_id.tolist()):
        nodes, edges = parts.nodes(k), parts.edges(k).astype("<u4")
        counts = np.array([len(nodes), len(edges)], "<u4")
        arrays = [counts, xyz[nodes], edges, counts[:0] if radius is None else radius[nodes].astype("<f4")]
        with open(folder / str(label), "xb") as file:
            file.write(b"".join(array.tobytes() for array in arrays))
    (folder / "segment_properties").mkdir(exist_ok=True)
    (folder / "segment_properties" / "info").write_text(json.dumps(_lengths(graph)))
    (folder / "info").write_text(json.dumps(info))
    return graph.n_skeletons


def _lengths(graph: SkeletonGraph) -> dict[str, object]:
    """The skeletons' lengths, by which Neuroglancer can sort its list."""
    values = np.round(graph.skeleton_length_nm / 1000.0, 3).tolist()
    column = {"id": "length_um", "type": "number", "data_type": "float32", "values": values}
    ids = [str(label) for label in graph.skeleton_id.tolist()]
    return {"@type": "neuroglancer_segment_properties", "inline": {"ids": ids, "properties": [column]}}


def _empty_folder(folder: str | Path) -> Path:
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError.of("not_empty", f"{folder}: expected a new or an empty folder, because it may hold other ids")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
