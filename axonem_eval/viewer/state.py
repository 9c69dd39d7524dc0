"""The state of Neuroglancer that shows a segmentation with skeletons and marks, for `axonem-eval view` and for servers.

A state is plain JSON. Its axes are x,y,z, as Neuroglancer shows them; everything that comes in is z,y,x.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from axonem_eval.scoring import COLORS
from axonem_eval.spec import VolumeSpec

State = dict[str, Any]
# Voxels a screen pixel.
CLOSE_UP_SCALE = 0.4


@dataclass(frozen=True)
class Mark:
    """A place to look at: position in voxels z,y,x, a second one for a line, and what is there."""

    position_zyx: tuple[float, float, float]
    text: str
    other_zyx: tuple[float, float, float] | None = None


def layer(kind: str, name: str, source: str, **options: Any) -> State:
    """A layer of stored data; kind : image or segmentation.   options : further keys of Neuroglancer's layer."""
    return {"type": kind, "name": name, "source": source, **options}


def viewer_state(
    spec: VolumeSpec, layers: Sequence[State], marks: Mapping[str, Sequence[Mark]], title: str = ""
) -> State:
    """Show the layers from the worst place, or from the middle, with the whole volume in 3-D.

    marks : by kind, a kind of error or `likely ` and one; each list the worst first. Likely errors are hidden where
        errors are known.
    """
    found = {kind: places for kind, places in marks.items() if places}
    known = not COLORS.keys().isdisjoint(found)
    mark_layers = [_mark_layer(spec, kind, places, kind in COLORS or not known) for kind, places in found.items()]
    # The client (2.41.2) drops a segmentation that is listed before a layer of local annotations.
    ordered = [*mark_layers, *layers]
    first = next((places[0].position_zyx for places in found.values()), None)
    extent_nm = [n * size for n, size in zip(spec.shape_zyx, spec.voxel_size_nm_zyx, strict=True)]
    finest = min(spec.voxel_size_nm_zyx)
    return {
        "title": title,
        "dimensions": _dimensions(spec),
        "position": list(reversed(first or [n / 2 for n in spec.shape_zyx])),
        # In voxels of the finest axis: a pixel, and the height of the 3-D panel.
        "crossSectionScale": max(1.0, max(extent_nm[1:]) / finest / 800),
        "projectionScale": sum(e * e for e in extent_nm) ** 0.5 / finest,
        "layers": ordered,
        "selectedLayer": {"visible": bool(mark_layers), "layer": ordered[0]["name"]},
        "layout": "4panel",
    }


def points_layer(spec: VolumeSpec, name: str, color: str, points_zyx: Iterable[Sequence[float]]) -> State:
    """A layer of points that are placed by Ctrl and a click. points_zyx : voxels that it begins with."""
    marks = [Mark(_middle(voxel), name) for voxel in points_zyx]
    return {
        "type": "annotation",
        "name": name,
        "source": _annotations(spec),
        "annotations": [_annotation(mark, f"{name} {i}") for i, mark in enumerate(marks)],
        "annotationColor": color,
        "tool": "annotatePoint",
        "tab": "annotations",
    }


def close_up(voxel_zyx: Sequence[float]) -> State:
    """What to change of a state so that it opens at a voxel, a micrometre or two around it."""
    return {"position": list(reversed(_middle(voxel_zyx))), "crossSectionScale": CLOSE_UP_SCALE}


def mark_layer_name(kind: str) -> str:
    """Name of the layer of the marks of a kind."""
    return f"{kind}s"


def error_marks(rows: Iterable[Mapping[str, Any]], most: int) -> dict[str, list[Mark]]:
    """Marks of known errors by kind, at most so many of each.

    rows : the columns of ``LocatedErrors`` row by row, the worst first, as in the JSON of a report.
    """
    marks: dict[str, list[Mark]] = {kind: [] for kind in COLORS}
    for row in rows:
        of_kind = marks[row["kind"]]
        if len(of_kind) < most:
            ids = [str(i) for i in (row["segment"], row["other_segment"]) if str(i) != "0"]
            where = f"segment {' and '.join(ids)}" if ids else "background"
            words = f"{row['kind']} of axon {row['skeleton_id']}: {where}, costs {row['erl_gain_nm']:.0f} nm of ERL"
            of_kind.append(Mark(_middle([row["z_voxel"], row["y_voxel"], row["x_voxel"]]), words))
    return marks


def likely_marks(diagnosis: Mapping[str, Any], most: int) -> dict[str, list[Mark]]:
    """Marks of the likely splits and mergers in the JSON of a diagnosis, at most so many of each."""
    splits = [
        Mark(
            _middle(row["ends_voxel"][0]),
            f"likely split of segments {' and '.join(row['segments'])}, score {row['score']:.2f}",
            _middle(row["ends_voxel"][1]),
        )
        for row in diagnosis["likely_splits"]["places"][:most]
    ]
    mergers = [
        Mark(
            _middle(row["position_voxel"]),
            f"likely merger in segment {row['segment']}: {row['kind']}, score {row['score']:.2f}",
        )
        for row in diagnosis["likely_mergers"]["places"][:most]
    ]
    return {"likely split": splits, "likely merger": mergers}


def _middle(voxel_zyx: Iterable[float]) -> tuple[float, float, float]:
    z, y, x = (float(v) + 0.5 for v in voxel_zyx)
    return z, y, x


def _dimensions(spec: VolumeSpec) -> State:
    return {axis: [size * 1e-9, "m"] for axis, size in zip("xyz", spec.voxel_size_nm_zyx[::-1], strict=True)}


def _mark_layer(spec: VolumeSpec, kind: str, marks: Sequence[Mark], shown: bool) -> State:
    return {
        "type": "annotation",
        "name": mark_layer_name(kind),
        "source": _annotations(spec),
        "annotations": [_annotation(mark, str(i)) for i, mark in enumerate(marks)],
        "annotationColor": COLORS[kind.removeprefix("likely ")],
        "tab": "annotations",
        "visible": shown,
    }


def _annotations(spec: VolumeSpec) -> State:
    return {"url": "local://annotations", "transform": {"outputDimensions": _dimensions(spec)}}


def _annotation(mark: Mark, name: str) -> State:
    start = list(reversed(mark.position_zyx))
    if mark.other_zyx is None:
        return {"type": "point", "point": start, "description": mark.text, "id": name}
    end = list(reversed(mark.other_zyx))
    return {"type": "line", "pointA": start, "pointB": end, "description": mark.text, "id": name}
