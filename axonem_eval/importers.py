"""Ground truth made elsewhere: em_erl graphs, SWC folders, precomputed and osteoid skeletons.

Coordinates in nm become voxel indices by floor(nm / voxel size + 1e-4): float32 nm of a voxel corner can fall
just short of it. No pickle is ever loaded.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.skeletons import SkeletonGraph, read_npz
from axonem_eval.spec import VolumeSpec

ROUNDING = 1e-4
_UNIT_NM = {"nm": 1.0, "um": 1000.0}


@dataclass(frozen=True)
class NmSkeleton:
    """One skeleton: its id, (n, 3) vertices z,y,x in nm, (m, 2) edges."""

    label: int
    vertex_nm_zyx: NDArray[np.float64]
    edges: NDArray[np.int64]


def to_voxels(position_nm_zyx: NDArray[Any], voxel_size_nm_zyx: tuple[float, float, float]) -> NDArray[np.int32]:
    """(n, 3) voxel indices of positions in nm, both z,y,x."""
    position = np.asarray(position_nm_zyx, np.float64) / np.asarray(voxel_size_nm_zyx)
    index: NDArray[np.int32] = np.floor(position + ROUNDING).astype(np.int32)
    return index


def import_skeletons(
    path: str | Path, spec: VolumeSpec, *, unit: str = "nm", axes: str = "xyz", min_length_um: float = 0.0
) -> SkeletonGraph:
    """Read skeletons of any known kind into a ground-truth graph.

    path : em_erl .npz (either layout; z,y,x nm), or a folder of .swc, of precomputed skeletons (with their ``info``),
        or of files written by ``osteoid.save``.
    unit : nm or um, of SWC coordinates.   axes : order of the coordinates in SWC and precomputed files, xyz or zyx.
    Raises InputError where the file is none of these or a node lies outside the volume.
    """
    path = Path(path)
    if not path.exists():
        raise InputError.of("no_file", f"{path}: no such file or folder")
    if path.is_dir():
        graph = _from_folder(path, spec, unit, axes)
    elif path.suffix.lower() in (".swc", ".gz") or path.name.isdigit():
        graph = from_skeletons([_read_one(path, 1, unit, axes, None)], spec, {"source": path.name})
    elif path.suffix.lower() in (".p", ".pkl", ".pickle"):
        raise InputError.of(
            "pickle",
            f"{path.name}: a pickle, which is never loaded because unpickling runs code. Save the graph as .npz "
            "(em_erl: graph.save_npz) or the skeletons as SWC or precomputed (skeleton.to_swc, osteoid.save)",
        )
    else:
        graph = from_em_erl(path, spec)
    return graph.longer_than(min_length_um) if min_length_um > 0 else graph


def from_em_erl(path: str | Path, spec: VolumeSpec) -> SkeletonGraph:
    """Read an ERL graph as em_erl saves it: the flat layout, or the older ``nodes`` with ``edges_<i>``."""
    arrays = read_npz(path)
    if {"node_skeleton_index", "node_coords_zyx", "edge_u", "edge_v", "edge_len", "edge_ptr"} <= arrays.keys():
        skeleton, node = arrays["node_skeleton_index"], arrays["node_coords_zyx"]
        edge_u, edge_v, length = arrays["edge_u"], arrays["edge_v"], arrays["edge_len"]
    elif "nodes" in arrays and any(name.startswith("edges_") for name in arrays):
        skeleton, node = arrays["nodes"][:, 0], arrays["nodes"][:, 1:4]
        names = sorted((n for n in arrays if n.startswith("edges_")), key=lambda n: int(n.split("_")[1]))
        edges = np.concatenate([arrays[n].reshape(-1, 3) for n in names])
        edge_u, edge_v, length = edges[:, 0], edges[:, 1], edges[:, 2]
    else:
        raise InputError.of(
            "unknown_graph",
            f"{path}: an .npz with {', '.join(sorted(arrays)) or 'nothing'}; expected an em_erl graph, with either "
            "node_skeleton_index, node_coords_zyx, edge_u, edge_v, edge_len, edge_ptr or nodes and edges_<i>",
        )
    n_skeletons = int(skeleton.max(initial=0)) + 1
    ids = arrays.get("skeleton_id", np.arange(1, n_skeletons + 1))
    return SkeletonGraph(
        skeleton_id=ids.astype(np.uint64),
        node_skeleton=skeleton.astype(np.int32),
        node_voxel_zyx=to_voxels(node, spec.voxel_size_nm_zyx),
        edge_u=edge_u.astype(np.int32),
        edge_v=edge_v.astype(np.int32),
        edge_length_nm=length.astype(np.float64),
        shape_zyx=spec.shape_zyx,
        voxel_size_nm_zyx=spec.voxel_size_nm_zyx,
        provenance={"source": Path(path).name, "program": "em_erl graph"},
    )


def from_osteoid(
    skeletons: Mapping[int, Any], spec: VolumeSpec, *, axes: str = "zyx", provenance: dict[str, Any] | None = None
) -> SkeletonGraph:
    """A kimimaro or osteoid skeleton set, {label: skeleton with ``vertices`` in nm and ``edges``}.

    axes : order of the vertices' coordinates; kimimaro keeps the order of the array that it was given.
    """
    as_nm = [
        NmSkeleton(int(label), _zyx(np.asarray(s.vertices, np.float64), axes), np.asarray(s.edges, np.int64))
        for label, s in sorted(skeletons.items())
    ]
    return from_skeletons(as_nm, spec, provenance or {"program": "osteoid skeletons"})


def from_skeletons(skeletons: Iterable[NmSkeleton], spec: VolumeSpec, provenance: dict[str, Any]) -> SkeletonGraph:
    """A graph of skeletons given in nm; edge lengths are those between the given positions, in nm."""
    kept = list(skeletons)
    counts = np.array([len(s.vertex_nm_zyx) for s in kept], np.int64)
    first = np.cumsum(counts) - counts
    vertex = np.concatenate([s.vertex_nm_zyx for s in kept]) if kept else np.empty((0, 3))
    edges = [s.edges.reshape(-1, 2) + f for s, f in zip(kept, first, strict=True)]
    edge = np.concatenate(edges) if edges else np.empty((0, 2), np.int64)
    if len(edge) and (edge.min() < 0 or edge.max() >= len(vertex)):
        raise InputError.of("bad_skeletons", f"an edge names node {edge.max()} of {len(vertex)}; the file is damaged")
    return SkeletonGraph(
        skeleton_id=np.array([s.label for s in kept], np.uint64),
        node_skeleton=np.repeat(np.arange(len(kept), dtype=np.int32), counts),
        node_voxel_zyx=to_voxels(vertex, spec.voxel_size_nm_zyx),
        edge_u=edge[:, 0].astype(np.int32),
        edge_v=edge[:, 1].astype(np.int32),
        edge_length_nm=np.linalg.norm(vertex[edge[:, 0]] - vertex[edge[:, 1]], axis=1),
        shape_zyx=spec.shape_zyx,
        voxel_size_nm_zyx=spec.voxel_size_nm_zyx,
        provenance=provenance,
    )


def _zyx(position: NDArray[np.float64], axes: str) -> NDArray[np.float64]:
    if axes not in ("xyz", "zyx"):
        raise InputError.of("bad_axes", f"axes {axes!r}; expected xyz or zyx")
    return position if axes == "zyx" else position[:, ::-1]


def _from_folder(path: Path, spec: VolumeSpec, unit: str, axes: str) -> SkeletonGraph:
    info = _read_info(path)
    files = sorted(p for p in path.iterdir() if p.is_file() and p.name != "info" and not p.name.startswith("."))
    named = [p for p in files if ".swc" in p.suffixes or p.suffix in ("", ".gz", ".ng", ".bin")]
    if not named:
        raise InputError.of(
            "no_skeletons",
            f"{path}: no .swc and no precomputed skeleton in this folder; it has {len(files)} other files",
        )
    skeletons = [_read_one(file, number, unit, axes, info) for number, file in enumerate(named, start=1)]
    return from_skeletons(skeletons, spec, {"source": path.name, "files": len(named), "program": "imported"})


def _read_info(path: Path) -> dict[str, Any] | None:
    import json

    if not (path / "info").is_file():
        return None
    info: dict[str, Any] = json.loads((path / "info").read_text())
    if info.get("sharding"):
        raise InputError.of(
            "sharded",
            f"{path}: sharded skeletons; write them unsharded (cloud-volume: cv.skeleton.upload) and import those",
        )
    return info


def _read_one(file: Path, number: int, unit: str, axes: str, info: dict[str, Any] | None) -> NmSkeleton:
    """A skeleton file; its id is the number in the file's name, or its place in the folder."""
    try:
        import osteoid
    except ImportError:
        raise InputError.of(
            "missing_extra", "reading skeleton files needs osteoid: pip install 'axonem[groundtruth]'"
        ) from None
    stem = file.name.split(".")[0]
    label = int(stem) if stem.isdigit() else number
    try:
        if info is not None and ".swc" not in file.suffixes:
            skeleton = osteoid.Skeleton.from_precomputed(
                _bytes(file), segid=label, vertex_attributes=info.get("vertex_attributes", [])
            )
        else:
            skeleton = osteoid.load(str(file))
    except Exception as error:
        raise InputError.of("bad_skeleton", f"{file.name}: not readable as a skeleton ({error})") from None
    vertex = np.asarray(skeleton.vertices, np.float64).reshape(-1, 3)
    if info is not None and "transform" in info:
        matrix = np.asarray(info["transform"], np.float64).reshape(3, 4)
        vertex = vertex @ matrix[:, :3].T + matrix[:, 3]
    if ".swc" in file.suffixes:
        vertex = vertex * _UNIT_NM[unit]
    return NmSkeleton(label, _zyx(vertex, axes), np.asarray(skeleton.edges, np.int64).reshape(-1, 2))


def _bytes(file: Path) -> bytes:
    import gzip

    data = file.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
