"""A segmentation in Neuroglancer: labels, skeletons of both sides, and errors as annotations.

The viewer's client and server come with the package ``neuroglancer`` (extra ``[view]``) and run on this machine only.
Large volumes are read chunk by chunk as the viewer asks for them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from axonem_eval.errors import InputError
from axonem_eval.scoring import LocatedErrors, locate_errors, run_table, sample_file
from axonem_eval.skeletons import SkeletonGraph
from axonem_eval.spec import FloatTriple, VolumeSpec, format_triple
from axonem_eval.viewer.client import ClientFiles
from axonem_eval.viewer.sources import LazyVolume, graph_skeletons, local_volume, neuroglancer
from axonem_eval.viewer.state import Mark, State, error_marks, layer, likely_marks, viewer_state
from axonem_eval.volumes import ReadOptions, StageProgress

# Of each list at most so many, the worst; and so many skeletons, the longest, drawn from the start.
MOST_MARKS = 1000
MOST_SHOWN = 300


@dataclass
class View:
    """A running viewer. ``url`` opens it; the server ends with the process or with ``close``."""

    viewer: Any
    volumes: list[LazyVolume] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Address that opens the viewer in a browser on this machine."""
        return str(self.viewer)

    def close(self) -> None:
        """Stop the server and close the files."""
        neuroglancer().server.stop()
        for volume in self.volumes:
            volume.close()


@dataclass(frozen=True)
class Shown:
    """A segmentation and whatever else is shown with it.

    voxel_size_nm_zyx : where no file states it.
    trust_voxel_size : the size given is right, whatever the segmentation states.
    ground_truth : adds its skeletons, and the errors of the segmentation.
    predicted : the segmentation's own skeletons; without ground truth the places that look wrong in them are marked.
    raw : EM of the same shape, an integer volume.
    """

    segmentation: str | Path
    voxel_size_nm_zyx: FloatTriple | None = None
    trust_voxel_size: bool = False
    ground_truth: SkeletonGraph | None = None
    predicted: SkeletonGraph | None = None
    raw: str | Path | None = None


def open_view(
    shown: Shown, *, tolerance_nodes: int = 50, port: int = 0, on_progress: StageProgress | None = None
) -> View:
    """Serve a viewer on 127.0.0.1.

    tolerance_nodes : of the errors that are marked.
    Raises InputError where shapes or voxel sizes differ or nothing states the voxel size.
    """
    ng = neuroglancer()
    ground_truth, predicted = shown.ground_truth, shown.predicted
    labels = LazyVolume(shown.segmentation)
    volumes = [labels]
    spec = VolumeSpec(labels.shape_zyx, _voxel_size(labels, shown.voxel_size_nm_zyx, ground_truth, predicted))
    if not shown.trust_voxel_size:
        labels.require_voxel_size(spec.voxel_size_nm_zyx)
    ng.set_server_bind_address("127.0.0.1", bind_port=port)
    ng.set_static_content_source(source=ClientFiles())
    view = View(ng.Viewer(), volumes)

    def layer_of(kind: str, name: str, source: Any, **options: Any) -> State:
        return layer(kind, name, view.viewer.volume_manager.register_volume(source), **options)

    layers: list[State] = []
    if shown.raw is not None:
        volumes.append(LazyVolume(shown.raw))
        _require_shape(Path(shown.raw).name, volumes[-1].shape_zyx, spec)
        layers.append(layer_of("image", "raw", local_volume(volumes[-1], spec, "image")))
    layers.append(layer_of("segmentation", "segmentation", local_volume(labels, spec, "segmentation")))
    marks: dict[str, list[Mark]] = {}
    for name, graph in (("predicted skeletons", predicted), ("ground truth", ground_truth)):
        if graph is not None:
            _require_shape(f"the {name}", graph.shape_zyx, spec)
            layers.append(layer_of("segmentation", name, graph_skeletons(graph), segments=_longest(graph)))
    if ground_truth is not None:
        sample = sample_file(
            shown.segmentation,
            ground_truth,
            ReadOptions(trust_voxel_size=shown.trust_voxel_size),
            on_progress=on_progress,
        )
        errors = locate_errors(ground_truth, sample, run_table(ground_truth, sample), tolerance_nodes)
        marks = error_marks(_worst_first(errors), MOST_MARKS)
    elif predicted is not None:
        from axonem_eval.diagnosis import diagnose, diagnosis_json  # needs the extra [groundtruth]

        marks = likely_marks(diagnosis_json(diagnose(predicted), top=MOST_MARKS), MOST_MARKS)
    view.viewer.set_state(viewer_state(spec, layers, marks))
    return view


def _worst_first(errors: LocatedErrors) -> Iterator[dict[str, Any]]:
    columns = errors.rows(np.argsort(-errors.gain_nm, kind="stable")).columns()
    return (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))


def _longest(graph: SkeletonGraph) -> list[str]:
    longest = np.argsort(-graph.skeleton_length_nm, kind="stable")[:MOST_SHOWN]
    return [str(i) for i in graph.skeleton_id[longest].tolist()]


def _voxel_size(labels: LazyVolume, given: FloatTriple | None, *graphs: SkeletonGraph | None) -> FloatTriple:
    known = [given, *(graph.voxel_size_nm_zyx for graph in graphs if graph is not None), labels.voxel_size_nm_zyx]
    size = next((size for size in known if size is not None), None)
    if size is None:
        raise InputError.of(
            "no_voxel_size", f"{labels.name}: the file does not state its voxel size; give --voxel-size Z,Y,X in nm"
        )
    return size


def _require_shape(name: str, shape: tuple[int, int, int], spec: VolumeSpec) -> None:
    if shape != spec.shape_zyx:
        raise InputError.of(
            "wrong_shape",
            f"{name}: shape {format_triple(shape)} (z,y,x), the segmentation has {format_triple(spec.shape_zyx)}; both "
            "must be of one volume",
        )
