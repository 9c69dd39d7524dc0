"""What Neuroglancer shows of a workshop: the segmentation and its skeletons, one stored file a chunk or skeleton.

A worker writes them; only the organisers' pages serve them, because the segmentation may become hidden ground truth.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings

from axonem_eval.skeletons import SkeletonGraph, export_precomputed
from axonem_eval.viewer import Mark, close_up, layer, points_layer, viewer_state
from axonem_eval.volumes import LabelVolume, write_precomputed
from axonem_eval.workshop import LONG_UM, Candidate, place_of
from evalserver.uploads import SEGMENTATION, store_precomputed
from evalserver.workshop.models import VIEW, Workshop

# Layers of the points of a cut; workshop-cut.js reads them by these names.
SIDES = {"blue side": "#0072b2", "orange side": "#d55e00"}


def folder_of(workshop: Workshop) -> str:
    """Where the files are stored."""
    return workshop.beside(VIEW)


def is_shown(workshop: Workshop) -> bool:
    """Whether the volume is small enough for one file a chunk."""
    return workshop.volume.rule.spec.voxels <= settings.VIEWER_MAX_VOXELS


def store_view(
    workshop: Workshop,
    volume: LabelVolume,
    graph: SkeletonGraph,
    folder: Path,
    on_progress: Callable[[int, int], None],
) -> int:
    """Write the files into a new folder and store them; how many."""
    export_precomputed(graph.longer_than(LONG_UM), folder / "skeletons")
    write_precomputed(volume, folder, graph.voxel_size_nm_zyx, skeletons="skeletons", on_progress=on_progress)
    return store_precomputed(folder_of(workshop), folder, SEGMENTATION)


def state(
    workshop: Workshop,
    sources: Mapping[str, str],
    segments: Sequence[str],
    at_zyx: Sequence[float] | None = None,
    candidate: Candidate | None = None,
    points: Mapping[str, Sequence[Sequence[float]]] | None = None,
) -> dict[str, Any]:
    """Neuroglancer's state that shows some segments.

    sources : absolute addresses of the files, `segmentation` and, where there is EM, `image`.   at_zyx : where it
    opens, close up; the middle by default.   candidate : is marked, and opened at.   points : voxels of both sides of a
    cut, by the name of the layer in which more are placed.
    """
    layers = [layer("image", "EM", f"precomputed://{sources['image']}")] if "image" in sources else []
    source = f"precomputed://{sources['segmentation']}"
    layers.append(
        layer("segmentation", "segmentation", source, segments=list(segments), notSelectedAlpha=0.2, tab="segments")
    )
    marks: dict[str, list[Mark]] = {}
    if candidate is not None:
        at_zyx = place_of(candidate.correction)
        middle = _middle(at_zyx)
        kind = f"likely {candidate.correction.kind}"
        marks[kind] = [Mark(middle, f"{kind}, score {candidate.score:.2f}")]
    shown = viewer_state(workshop.volume.rule.spec, layers, marks, f"Workshop of {workshop.volume.name}")
    if points is not None:
        spec = workshop.volume.rule.spec
        sides = [points_layer(spec, name, SIDES[name], points[name]) for name in SIDES]
        shown["layers"] = [*sides, *shown["layers"]]
        shown["selectedLayer"] = {"visible": True, "layer": sides[0]["name"]}
    return shown if at_zyx is None else shown | close_up(at_zyx)


def _middle(voxel_zyx: Sequence[float]) -> tuple[float, float, float]:
    z, y, x = (v + 0.5 for v in voxel_zyx)
    return z, y, x
