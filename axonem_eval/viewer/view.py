"""A segmentation in Neuroglancer: labels, skeletons of both sides, and errors as annotations.

The viewer's client and server come with the package ``neuroglancer`` (extra ``[view]``) and run on this machine only.
Large volumes are read chunk by chunk as the viewer asks for them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.diagnosis import Diagnosis, diagnose, diagnosis_json
from axonem_eval.errors import InputError
from axonem_eval.scoring import COLORS, KINDS, LocatedErrors, locate_errors, run_table, sample_file
from axonem_eval.skeletons import SkeletonGraph
from axonem_eval.spec import FloatTriple, VolumeSpec, format_triple
from axonem_eval.viewer.sources import LazyVolume, graph_skeletons, local_volume, neuroglancer
from axonem_eval.volumes import StageProgress

# Of each list at most so many, the worst; and so many skeletons, the longest, drawn from the start.
MOST_MARKS = 1000
MOST_SHOWN = 300


@dataclass(frozen=True)
class Mark:
    """A place to look at: position in voxels z,y,x, a second one for a line, and what is there."""

    position_zyx: tuple[float, float, float]
    text: str
    other_zyx: tuple[float, float, float] | None = None


@dataclass
class View:
    """A running viewer. ``url`` opens it; the server ends with the process or with ``close``."""

    viewer: Any
    volumes: list[LazyVolume] = field(default_factory=list)

    @property
    def url(self) -> str:
        return str(self.viewer)

    def close(self) -> None:
        """Stop the server and close the files."""
        neuroglancer().server.stop()
        for volume in self.volumes:
            volume.close()


def open_view(
    segmentation: str | Path,
    *,
    voxel_size_nm_zyx: FloatTriple | None = None,
    ground_truth: SkeletonGraph | None = None,
    predicted: SkeletonGraph | None = None,
    raw: str | Path | None = None,
    tolerance_nodes: int = 50,
    trust_voxel_size: bool = False,
    port: int = 0,
    on_progress: StageProgress | None = None,
) -> View:
    """Serve a viewer on 127.0.0.1 that shows a segmentation and whatever else is given.

    ground_truth : adds its skeletons, and the errors of the segmentation at the tolerance.
    predicted : the segmentation's own skeletons; without ground truth the places that look wrong in them are marked.
    raw : EM of the same shape, an integer volume.
    trust_voxel_size : the size given is right, whatever the segmentation states.
    Raises InputError where shapes or voxel sizes differ or nothing states the voxel size.
    """
    ng = neuroglancer()
    labels = LazyVolume(segmentation)
    volumes = [labels]
    spec = VolumeSpec(labels.shape_zyx, _voxel_size(labels, voxel_size_nm_zyx, ground_truth, predicted))
    if not trust_voxel_size:
        labels.demand_voxel_size(spec.voxel_size_nm_zyx)
    layers: list[tuple[str, Any]] = []
    if raw is not None:
        volumes.append(LazyVolume(raw))
        _demand_shape(Path(raw).name, volumes[-1].shape_zyx, spec)
        layers.append(("raw", ng.ImageLayer(source=local_volume(volumes[-1], spec, "image"))))
    layers.append(("segmentation", ng.SegmentationLayer(source=local_volume(labels, spec, "segmentation"))))
    marks: dict[str, list[Mark]] = {}
    for name, graph in (("predicted skeletons", predicted), ("ground truth", ground_truth)):
        if graph is not None:
            _demand_shape(f"the {name}", graph.shape_zyx, spec)
            layers.append((name, _skeleton_layer(graph)))
    if ground_truth is not None:
        sample = sample_file(segmentation, ground_truth, trust_voxel_size=trust_voxel_size, on_progress=on_progress)
        errors = locate_errors(ground_truth, sample, run_table(ground_truth, sample), tolerance_nodes)
        marks = error_marks(errors)
    elif predicted is not None:
        marks = suspect_marks(diagnose(predicted))
    layers += [
        (f"{name}s", _mark_layer(found, spec, COLORS[name.removeprefix("likely ")]))
        for name, found in marks.items()
        if found
    ]
    ng.set_server_bind_address("127.0.0.1", bind_port=port)
    view = View(ng.Viewer(), volumes)
    _arrange(view.viewer, layers, spec, next((found[0] for found in marks.values() if found), None))
    return view


def _voxel_size(labels: LazyVolume, given: FloatTriple | None, *graphs: SkeletonGraph | None) -> FloatTriple:
    known = [given, *(graph.voxel_size_nm_zyx for graph in graphs if graph is not None), labels.voxel_size_nm_zyx]
    size = next((size for size in known if size is not None), None)
    if size is None:
        raise InputError.of(
            "no_voxel_size", f"{labels.name}: the file does not state its voxel size; give --voxel-size Z,Y,X in nm"
        )
    return size


def _demand_shape(name: str, shape: tuple[int, int, int], spec: VolumeSpec) -> None:
    if shape != spec.shape_zyx:
        raise InputError.of(
            "wrong_shape",
            f"{name}: shape {format_triple(shape)} (z,y,x), the segmentation has {format_triple(spec.shape_zyx)}; both "
            "must be of one volume",
        )


def error_marks(errors: LocatedErrors) -> dict[str, list[Mark]]:
    """The worst errors of each kind, as the ground truth sees them."""
    marks = {}
    for number, kind in enumerate(KINDS):
        of_kind = errors.rows(np.flatnonzero(errors.kind == number))
        worst = of_kind.rows(np.argsort(-of_kind.gain_nm, kind="stable")[:MOST_MARKS])
        marks[kind] = [
            Mark(
                _middle(worst.voxel_zyx[i]),
                f"{kind} of axon {worst.skeleton_id[worst.skeleton[i]]}: {_segments(worst, i)}, "
                f"costs {worst.gain_nm[i] / 1000:.3f} um of ERL",
            )
            for i in range(len(worst))
        ]
    return marks


def _segments(errors: LocatedErrors, i: int) -> str:
    ids = [int(s) for s in (errors.segment[i], errors.other_segment[i]) if s]
    return "segment " + " and ".join(map(str, ids)) if ids else "background"


def suspect_marks(diagnosis: Diagnosis) -> dict[str, list[Mark]]:
    """The places that look wrong by shape alone."""
    data = diagnosis_json(diagnosis, top=MOST_MARKS)
    splits = [
        Mark(
            _middle(row["ends_voxel"][0]),
            f"likely split of segments {' and '.join(row['segments'])}, score {row['score']:.2f}",
            _middle(row["ends_voxel"][1]),
        )
        for row in data["likely_splits"]["places"]
    ]
    mergers = [
        Mark(
            _middle(row["position_voxel"]),
            f"likely merger in segment {row['segment']}: {row['kind']}, score {row['score']:.2f}",
        )
        for row in data["likely_mergers"]["places"]
    ]
    return {"likely split": splits, "likely merger": mergers}


def _middle(voxel_zyx: Iterable[int] | NDArray[Any]) -> tuple[float, float, float]:
    z, y, x = (float(v) + 0.5 for v in voxel_zyx)
    return z, y, x


def _dimensions(spec: VolumeSpec) -> Any:
    return neuroglancer().CoordinateSpace(names=["z", "y", "x"], units="nm", scales=spec.voxel_size_nm_zyx)


def _skeleton_layer(graph: SkeletonGraph) -> Any:
    longest = np.argsort(-graph.skeleton_length_nm, kind="stable")[:MOST_SHOWN]
    source = graph_skeletons(graph, _dimensions(graph.spec))
    return neuroglancer().SegmentationLayer(source=source, segments=[int(i) for i in graph.skeleton_id[longest]])


def _mark_layer(marks: list[Mark], spec: VolumeSpec, color: str) -> Any:
    ng = neuroglancer()
    annotations = [
        ng.PointAnnotation(id=str(i), point=mark.position_zyx, description=mark.text)
        if mark.other_zyx is None
        else ng.LineAnnotation(id=str(i), point_a=mark.position_zyx, point_b=mark.other_zyx, description=mark.text)
        for i, mark in enumerate(marks)
    ]
    layer = ng.LocalAnnotationLayer(dimensions=_dimensions(spec), annotations=annotations, annotation_color=color)
    layer.tab = "annotations"
    return layer


def _arrange(viewer: Any, layers: list[tuple[str, Any]], spec: VolumeSpec, first: Mark | None) -> None:
    """Show the layers from the worst place, or from the middle, with the whole volume in 3-D."""
    extent_nm = np.asarray(spec.shape_zyx) * np.asarray(spec.voxel_size_nm_zyx)
    finest = min(spec.voxel_size_nm_zyx)
    with viewer.txn() as state:
        state.dimensions = _dimensions(spec)
        state.display_dimensions = ["x", "y", "z"]  # the first two span the section
        for name, layer in layers:
            state.layers[name] = layer
        state.position = first.position_zyx if first else [n / 2 for n in spec.shape_zyx]
        state.layout = "4panel"
        # In voxels of the finest axis: a pixel, and the height of the 3-D panel.
        state.cross_section_scale = max(1.0, float(extent_nm[1:].max()) / finest / 800)
        state.projection_scale = float(np.linalg.norm(extent_nm)) / finest
        if layers[-1][0].endswith(("splits", "omissions", "mergers")):
            state.selected_layer.layer = layers[-1][0]
            state.selected_layer.visible = True
