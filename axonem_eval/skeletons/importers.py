"""Ground truth made elsewhere: em_erl graphs, SWC, precomputed and osteoid skeletons.

Coordinates in nm become voxel indices by floor(nm / voxel size + 1e-4): float32 nm of a voxel corner can fall
just short of it. No pickle is loaded.
"""

import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import Complaint, InputError, raise_all
from axonem_eval.file_kinds import is_zip
from axonem_eval.skeletons.em_erl import read_em_erl
from axonem_eval.skeletons.files import (
    SkeletonFile,
    SkeletonFolder,
    bounded,
    is_swc,
    read_file,
    require_skeleton,
    skeleton_ids,
)
from axonem_eval.skeletons.graph import SkeletonGraph
from axonem_eval.skeletons.imported_graph import (
    ImportOptions,
    NmSkeleton,
    coincident_notes,
    edge_lengths,
    from_skeletons,
    simple_edges,
    to_voxels,
)
from axonem_eval.skeletons.placement import UNITS, placement_complaints
from axonem_eval.skeletons.precomputed import (
    SkeletonLayer,
    StatedScale,
    decode_skeleton,
    read_info,
    skeletons_below,
    stated_scales,
)
from axonem_eval.skeletons.swc import read_swc
from axonem_eval.spec import VolumeSpec, format_triple


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
            f"{path.name}: a pickle, which is not loaded here because unpickling runs code. `axonem-eval import` reads "
            "one of AxonEM, XPRESS or NISB in a confined process; save others as .npz (em_erl: graph.save_npz), SWC or "
            "precomputed (skeleton.to_swc, osteoid.save)",
        )
    if path.is_dir() or _is_archive_of_files(path):
        with closing(SkeletonFolder.of(path)) as folder:
            graph = _from_folder(folder, spec, options)
    elif path.suffix.lower() == ".npz" or is_zip(path):
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
    raise_all(placement_complaints(position, read.node_skeleton, names, spec, unit, "zyx", anyway=anyway))
    length = read.edge_length if unit == "nm" else edge_lengths(position, read.edges)
    keep, notes = simple_edges(read.edges, len(position))
    notes += coincident_notes(position, read.node_skeleton, names)
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


def _from_file(path: Path, spec: VolumeSpec, options: ImportOptions) -> SkeletonGraph:
    file = read_file(path)
    reader = _Reader(spec, options, SkeletonLayer.none())
    skeleton = reader.read(file, skeleton_ids([file.name])[0][0], swc=is_swc(path.name) or not path.name.isdigit())
    return reader.graph([skeleton], path, [])


def _from_folder(
    folder: SkeletonFolder, spec: VolumeSpec, options: ImportOptions, origin_nm_xyz: NDArray[np.float64] | None = None
) -> SkeletonGraph:
    path, layer = folder.path, SkeletonLayer.none()
    stated = folder.info()
    if stated is not None:
        info = read_info(path, stated)
        below = skeletons_below(path, info)
        if below is not None:
            if folder.archive:
                raise InputError.of(
                    "segmentation_layer",
                    f"{path.name}: a segmentation layer in an archive; unpack it and give its folder {below}",
                )
            scale = _stated_scale(path, stated_scales(info), spec, options)
            graph = _from_folder(SkeletonFolder.of(path / below), spec, options, scale.origin_nm_xyz if scale else None)
            notes = [f"{path} is a segmentation layer; read from its skeletons in {below}", *graph.notes]
            if scale and any(scale.offset_voxel_zyx):
                notes.append(f"the layer begins at voxel {scale.offset_voxel_zyx} (z,y,x); places count from there")
            return replace(graph, provenance={**graph.provenance, "notes": notes})
        layer = SkeletonLayer.of(str(path), info)
        layer = layer if origin_nm_xyz is None else layer.moved(origin_nm_xyz)
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
    raise_all(bounded(complaints))
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
        """One skeleton. Raises InputError where the file is no skeleton, or nodes without a single edge."""
        skeleton = self._decoded(file, label, swc=swc)
        if len(skeleton.vertex_nm_zyx) > 1 and not len(skeleton.edges):
            raise InputError.of(
                "no_edge",
                f"{file.name}: none of its {len(skeleton.vertex_nm_zyx):,} nodes is joined to another, so it has no "
                "cable; expected edges, in SWC the parent's id in the last column. Leave the file out if it is no axon",
            )
        return skeleton

    def _decoded(self, file: SkeletonFile, label: int, *, swc: bool) -> NmSkeleton:
        if not swc:
            try:
                vertex, edges = decode_skeleton(file.data, self.layer, file.name)
            except InputError:
                require_skeleton(file, swc=False)  # a better reason, where it is known what else it is
                raise
            return NmSkeleton(label, self.options.nm_zyx(vertex, self.spec), edges, file.name)
        require_skeleton(file)
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
            applied = [Complaint("header", note) for note in self.notes if "header is applied" in note]
            raise InputError([*questions, *error.complaints, *applied[:3]]) from None
        raise_all(questions)
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
                f"{_names(names)}: a comment states the unit {other}, but coordinates are read as {unit}; "
                + (f"give --unit {other}" if other in UNITS else "write them in nm, um or voxels")
                + ", or --anyway where the comment is wrong",
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


def _stated_scale(
    path: Path, scales: list[StatedScale], spec: VolumeSpec, options: ImportOptions
) -> StatedScale | None:
    """The scale of a segmentation layer that has the volume's voxel size. Raises InputError where none has."""
    for scale in scales:
        if np.allclose(scale.voxel_size_nm_zyx, spec.voxel_size_nm_zyx, rtol=1e-3):
            return scale
    if scales and not options.anyway:
        sizes = [scale.voxel_size_nm_zyx for scale in scales]
        raise InputError.of(
            "other_voxel_size",
            f"{path}: info states voxels of {' or '.join(format_triple(s) for s in sizes[:3])} nm (z,y,x), but "
            f"--voxel-size is {format_triple(spec.voxel_size_nm_zyx)}; correct --voxel-size, or give --anyway where "
            "info is wrong",
        )
    return None


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


def _is_archive_of_files(path: Path) -> bool:
    """A zip archive that is no .npz: NumPy's hold .npy files alone."""
    if not is_zip(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return path.suffix.lower() != ".npz"
    return not all(name.endswith(".npy") for name in names)


def _names(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1:,} more files"
