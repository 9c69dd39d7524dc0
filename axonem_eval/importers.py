"""Ground truth made elsewhere: em_erl graphs, SWC, precomputed and osteoid skeletons.

Coordinates in nm become voxel indices by floor(nm / voxel size + 1e-4): float32 nm of a voxel corner can fall
just short of it. No pickle is ever loaded. The graph is a simple one: an edge that is given twice, or in both
directions, counts once, and one from a node to itself is dropped.
"""

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.em_erl import read_em_erl
from axonem_eval.errors import Complaint, InputError
from axonem_eval.placement import ROUNDING, UNITS, placement_complaints, unit_nm
from axonem_eval.precomputed_skeletons import (
    SkeletonLayer,
    decode_skeleton,
    read_info,
    skeletons_below,
    stated_voxel_sizes,
)
from axonem_eval.skeleton_files import (
    SkeletonFile,
    SkeletonFolder,
    bounded,
    demand_skeleton,
    is_swc,
    read_file,
    skeleton_ids,
)
from axonem_eval.skeletons import SkeletonGraph
from axonem_eval.spec import VolumeSpec, format_triple
from axonem_eval.swc import read_swc


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


def import_skeletons(
    path: str | Path,
    spec: VolumeSpec,
    *,
    unit: str = "nm",
    axes: str = "xyz",
    min_length_um: float = 0.0,
    anyway: bool = False,
) -> SkeletonGraph:
    """Read skeletons of any known kind into a ground-truth graph; what a person should know is in its ``notes``.

    path : em_erl .npz (either layout; z,y,x), an SWC file, or a folder or .zip of .swc, of precomputed skeletons (with
        their ``info``), or of files written by ``osteoid.save``.
    unit, axes, anyway : see ImportOptions; ``axes`` is not of em_erl graphs.
    Raises InputError where the file is none of these, a file is damaged or leaves two readings, two files make one id,
    a node lies outside the volume, or all lie in a corner of it.
    """
    path, options = Path(path), ImportOptions(unit, axes, anyway)
    if not path.exists():
        raise InputError.of("no_file", f"{path}: no such file or folder")
    if path.suffix.lower() in (".p", ".pkl", ".pickle"):
        raise InputError.of(
            "pickle",
            f"{path.name}: a pickle, which is never loaded because unpickling runs code. Save the graph as .npz "
            "(em_erl: graph.save_npz) or the skeletons as SWC or precomputed (skeleton.to_swc, osteoid.save)",
        )
    if path.is_dir() or _is_archive_of_files(path):
        graph = _from_folder(path, spec, options)
    elif path.suffix.lower() == ".npz" or _is_zip(path):
        graph = from_em_erl(path, spec, unit=unit, anyway=anyway)
    else:
        graph = _from_file(path, spec, options)
    return _long_enough(graph, min_length_um)


def from_em_erl(path: str | Path, spec: VolumeSpec, *, unit: str = "nm", anyway: bool = False) -> SkeletonGraph:
    """Read an ERL graph as em_erl saves it: the flat layout, or the older ``nodes`` with ``edges_<i>``.

    Edge lengths are the file's own, unless the unit is not nm: then they are those between the nodes.
    """
    options = ImportOptions(unit, "zyx", anyway)
    read = read_em_erl(path)
    position = options.nm_zyx(read.position_zyx, spec)
    names = [f"skeleton {i}" for i in read.skeleton_id.tolist()]
    _raise(placement_complaints(position, read.node_skeleton, names, spec, unit, "zyx", anyway=anyway))
    length = read.edge_length if unit == "nm" else _lengths(position, read.edges)
    keep, notes = _simple(read.edges, len(position))
    notes += _coincident(position, read.node_skeleton, names)
    return SkeletonGraph(
        skeleton_id=read.skeleton_id,
        node_skeleton=read.node_skeleton,
        node_voxel_zyx=to_voxels(position, spec.voxel_size_nm_zyx),
        edge_u=read.edges[keep, 0].astype(np.int32),
        edge_v=read.edges[keep, 1].astype(np.int32),
        edge_length_nm=length[keep],
        shape_zyx=spec.shape_zyx,
        voxel_size_nm_zyx=spec.voxel_size_nm_zyx,
        provenance={"source": Path(path).name, "program": "em_erl graph", "unit": unit, "notes": notes},
    )


def from_osteoid(
    skeletons: Mapping[int, Any], spec: VolumeSpec, *, axes: str = "zyx", provenance: dict[str, Any] | None = None
) -> SkeletonGraph:
    """A kimimaro or osteoid skeleton set, {label: skeleton with ``vertices`` in nm and ``edges``}.

    axes : order of the vertices' coordinates; kimimaro keeps the order of the array that it was given.
    """
    options = ImportOptions("nm", axes)
    as_nm = [
        NmSkeleton(
            int(label),
            options.nm_zyx(np.asarray(s.vertices, np.float64), spec),
            np.asarray(s.edges, np.int64),
            f"skeleton {label}",
        )
        for label, s in sorted(skeletons.items())
    ]
    return from_skeletons(as_nm, spec, provenance or {"program": "osteoid skeletons"}, options)


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
    _raise(placement_complaints(vertex, node_skeleton, names, spec, options.unit, options.axes, anyway=options.anyway))
    keep, notes = _simple(edge, len(vertex))
    edge = edge[keep]
    notes = [*provenance.get("notes", []), *notes, *_coincident(vertex, node_skeleton, names)]
    return SkeletonGraph(
        skeleton_id=np.array([s.label for s in kept], np.uint64),
        node_skeleton=node_skeleton,
        node_voxel_zyx=to_voxels(vertex, spec.voxel_size_nm_zyx),
        edge_u=edge[:, 0].astype(np.int32),
        edge_v=edge[:, 1].astype(np.int32),
        edge_length_nm=_lengths(vertex, edge),
        shape_zyx=spec.shape_zyx,
        voxel_size_nm_zyx=spec.voxel_size_nm_zyx,
        provenance={**provenance, "notes": notes},
    )


def _simple(edges: NDArray[np.int64], n_nodes: int) -> tuple[NDArray[np.intp], list[str]]:
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


def _coincident(position: NDArray[np.float64], skeleton: NDArray[np.int32], names: list[str]) -> list[str]:
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


def _lengths(position_nm: NDArray[np.float64], edges: NDArray[np.int64]) -> NDArray[np.float64]:
    length: NDArray[np.float64] = np.linalg.norm(position_nm[edges[:, 0]] - position_nm[edges[:, 1]], axis=1)
    return length


def _from_file(path: Path, spec: VolumeSpec, options: ImportOptions) -> SkeletonGraph:
    file = read_file(path)
    reader = _Reader(spec, options, SkeletonLayer.none())
    skeleton = reader.read(file, skeleton_ids([file.name])[0][0], swc=is_swc(path.name) or not path.name.isdigit())
    return reader.graph([skeleton], path, [])


def _from_folder(path: Path, spec: VolumeSpec, options: ImportOptions) -> SkeletonGraph:
    folder = SkeletonFolder.of(path)
    layer, notes = SkeletonLayer.none(), []
    stated = folder.info()
    if stated is not None:
        info = read_info(path, stated)
        below = skeletons_below(path, info)
        if below is not None:
            if not path.is_dir():
                raise InputError.of(
                    "segmentation_layer",
                    f"{path.name}: a segmentation layer in an archive; unpack it and give its folder {below}",
                )
            _demand_stated_size(path, stated_voxel_sizes(info), spec, options)
            graph = _from_folder(path / below, spec, options)
            notes = [f"{path} is a segmentation layer; read from its skeletons in {below}", *graph.notes]
            return replace(graph, provenance={**graph.provenance, "notes": notes})
        layer = SkeletonLayer.of(str(path), info)
    if not folder.skeletons:
        raise InputError.of("no_skeletons", f"{path}: {folder.nothing()}")
    ids, id_notes = skeleton_ids(list(folder.skeletons))
    reader = _Reader(spec, options, layer)
    skeletons: list[NmSkeleton] = []
    complaints: list[Complaint] = []
    for label, file in zip(ids, folder.read(), strict=True):
        try:
            skeletons.append(reader.read(file, label, swc=file.is_swc))
        except InputError as error:
            complaints += error.complaints
    _raise(bounded(complaints))
    return reader.graph(skeletons, path, [*folder.notes(), *id_notes])


class _Reader:
    """Reads files one by one; gathers notes, and what files state that the options contradict."""

    def __init__(self, spec: VolumeSpec, options: ImportOptions, layer: SkeletonLayer) -> None:
        self.spec, self.options, self.layer = spec, options, layer
        self.notes: list[str] = []
        self._other_unit: dict[str, list[str]] = {}
        self._other_size: list[str] = []
        self._scaled: list[str] = []

    def read(self, file: SkeletonFile, label: int, *, swc: bool) -> NmSkeleton:
        """One skeleton. Raises InputError where the file is no skeleton."""
        if not swc:
            try:
                vertex, edges = decode_skeleton(file.data, self.layer, file.name)
            except InputError:
                demand_skeleton(file)  # a better reason, where it is known what else it is
                raise
            return NmSkeleton(label, self.options.nm_zyx(vertex, self.spec), edges, file.name)
        demand_skeleton(file)
        tree = read_swc(file.data, file.name)
        self.notes += tree.notes if len(self.notes) < 20 else ()
        if tree.unit not in (None, self.options.unit):
            self._other_unit.setdefault(str(tree.unit), []).append(file.name)
        if tree.voxel_size_xyz not in (None, (1.0, 1.0, 1.0)):
            self._scaled.append(file.name)
            stated = tree.voxel_size_xyz[::-1] if tree.voxel_size_xyz else ()
            if self.options.unit == "voxel" and not np.allclose(stated, self.spec.voxel_size_nm_zyx, rtol=1e-3):
                self._other_size.append(f"{file.name} states voxels of {format_triple(stated)} nm (z,y,x)")
        return NmSkeleton(label, self.options.nm_zyx(tree.vertex_xyz, self.spec), tree.edges, file.name)

    def graph(self, skeletons: list[NmSkeleton], source: Path, notes: list[str]) -> SkeletonGraph:
        """The graph of all skeletons read. Raises InputError with everything that is to be questioned."""
        questions = self._questions()
        made = {"program": "imported", "unit": self.options.unit, "axes": self.options.axes}
        provenance = {"source": source.name, "files": len(skeletons), **made, "notes": [*notes, *self.notes]}
        try:
            graph = from_skeletons(skeletons, self.spec, provenance, self.options)
        except InputError as error:
            raise InputError([*questions, *error.complaints]) from None
        _raise(questions)
        return graph

    def _questions(self) -> list[Complaint]:
        """What the files state against the options, and a note of what their SCALE means."""
        if self._scaled:
            self.notes.append(
                f"{_names(self._scaled)}: SCALE is not applied, because the program that wrote it (osteoid, kimimaro, "
                "cloud-volume) states the voxel size with it"
            )
        if self.options.anyway:
            return []
        unit = self.options.unit
        complaints = [
            Complaint(
                "other_unit",
                f"{_names(names)}: a comment states the unit {other}, but coordinates are read as {unit}; give --unit "
                f"{other}, or --anyway where the comment is wrong",
            )
            for other, names in self._other_unit.items()
        ]
        if self._other_size:
            complaints.append(
                Complaint(
                    "other_voxel_size",
                    f"{self._other_size[0]}, but --voxel-size is {format_triple(self.spec.voxel_size_nm_zyx)}; correct "
                    "--voxel-size, or give --anyway where the file is wrong",
                )
            )
        return complaints


def _demand_stated_size(
    path: Path, sizes: list[tuple[float, float, float]], spec: VolumeSpec, options: ImportOptions
) -> None:
    """A segmentation layer has the volume's voxel size at one of its scales."""
    fitting = any(np.allclose(size, spec.voxel_size_nm_zyx, rtol=1e-3) for size in sizes)
    if sizes and not fitting and not options.anyway:
        raise InputError.of(
            "other_voxel_size",
            f"{path}: info states voxels of {' or '.join(format_triple(s) for s in sizes[:3])} nm (z,y,x), but "
            f"--voxel-size is {format_triple(spec.voxel_size_nm_zyx)}; correct --voxel-size, or give --anyway where "
            "info is wrong",
        )


def _long_enough(graph: SkeletonGraph, min_length_um: float) -> SkeletonGraph:
    if min_length_um <= 0:
        return graph
    kept = graph.longer_than(min_length_um)
    if not kept.n_skeletons:
        longest = float(graph.skeleton_length_nm.max(initial=0)) / 1000.0
        raise InputError.of(
            "too_short",
            f"none of {graph.n_skeletons:,} skeletons is {min_length_um:g} um long; the longest is {longest:.4g} um",
        )
    return kept


def _is_zip(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")


def _is_archive_of_files(path: Path) -> bool:
    """A zip archive that is no .npz: NumPy's hold .npy files alone."""
    if not _is_zip(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return path.suffix.lower() != ".npz"
    return not all(name.endswith(".npy") for name in names)


def _names(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1:,} more files"


def _raise(complaints: list[Complaint]) -> None:
    if complaints:
        raise InputError(complaints)
