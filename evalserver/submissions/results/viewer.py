"""What the Neuroglancer on a result page shows: its client, and the state that says which files, and where."""

from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from axonem_eval.scoring import COLORS
from evalserver.benchmarks.models import Volume
from evalserver.submissions.models import Evaluation

MOST_MARKS = 200
MOST_SEGMENTS = 100

State = dict[str, Any]


@cache
def client_files() -> dict[str, Path]:
    """Files of Neuroglancer's client by name; none where the package is not installed."""
    package = find_spec("neuroglancer")
    if package is None or package.origin is None:
        return {}
    folder = Path(package.origin).parent / "static" / "client"
    return {path.name: path for path in folder.iterdir() if path.suffix != ".map"}


def state(evaluation: Evaluation, *, segmentation: str, ground_truth: str) -> State:
    """Neuroglancer's state for a result on public ground truth.

    segmentation, ground_truth : absolute addresses below which the stored files are served.
    """
    volume = evaluation.volume_file.volume
    report: State = evaluation.volume_file.diagnosis.report or {}
    longest = [row["segment"] for row in report["longest_segments"][:MOST_SEGMENTS]]
    axons = [row["skeleton_id"] for row in evaluation.report.get("worst_axons", [])]
    layers: list[State] = [
        {
            "type": "segmentation",
            "name": "segmentation",
            "source": f"precomputed://{segmentation}",
            "segments": longest,
            "notSelectedAlpha": 0.2,
            "tab": "segments",
        },
        {
            "type": "segmentation",
            "name": "ground truth",
            "source": f"precomputed://{ground_truth}",
            "segments": axons,
            "tab": "segments",
        },
    ]
    errors = evaluation.report.get("top_errors", [])[:MOST_MARKS]
    marks = {kind: list(_error_marks(errors, kind)) for kind in COLORS}
    marks |= {"likely split": list(_split_marks(report)), "likely merger": list(_merger_marks(report))}
    for kind, found in marks.items():
        if found:
            color = COLORS[kind.removeprefix("likely ")]
            layers.append(_mark_layer(volume, f"{kind}s", found, color, shown=kind in COLORS or not errors))
    first = next((found[0]["point"] for kind, found in marks.items() if found and kind in COLORS), None)
    extent = [n * v for n, v in zip(volume.shape_zyx, volume.voxel_size_nm_zyx, strict=True)]
    finest = min(volume.voxel_size_nm_zyx)
    return {
        "title": f"{evaluation.volume_file.submission.method_name}, {volume.name}",
        "dimensions": _dimensions(volume),
        "position": first or [n / 2 for n in volume.shape_zyx[::-1]],
        "crossSectionScale": max(1.0, max(extent[1:]) / finest / 800),
        "projectionScale": sum(e * e for e in extent) ** 0.5 / finest,
        "layers": layers,
        "selectedLayer": {"visible": len(layers) > 2, "layer": layers[min(2, len(layers) - 1)]["name"]},
        "layout": "4panel",
    }


def _dimensions(volume: Volume) -> State:
    return {axis: [size * 1e-9, "m"] for axis, size in zip("xyz", volume.voxel_size_nm_zyx[::-1], strict=True)}


def _mark_layer(volume: Volume, name: str, marks: list[State], color: str, *, shown: bool) -> State:
    numbered = [{**mark, "id": str(number)} for number, mark in enumerate(marks)]
    return {
        "type": "annotation",
        "name": name,
        "source": {"url": "local://annotations", "transform": {"outputDimensions": _dimensions(volume)}},
        "annotations": numbered,
        "annotationColor": color,
        "tab": "annotations",
        "visible": shown,
    }


def _error_marks(errors: Iterable[State], kind: str) -> Iterator[State]:
    for error in errors:
        if error["kind"] == kind:
            ids = [i for i in (error["segment"], error["other_segment"]) if i != "0"]
            where = f"segment {' and '.join(ids)}" if ids else "background"
            words = f"{kind} of axon {error['skeleton_id']}: {where}, costs {error['erl_gain_nm']:.0f} nm of ERL"
            yield _point([error["z_voxel"], error["y_voxel"], error["x_voxel"]], words)


def _split_marks(report: State) -> Iterator[State]:
    for row in report["likely_splits"]["places"][:MOST_MARKS]:
        a, b = ([v + 0.5 for v in end[::-1]] for end in row["ends_voxel"])
        words = f"likely split of segments {' and '.join(row['segments'])}, score {row['score']:.2f}"
        yield {"type": "line", "pointA": a, "pointB": b, "description": words}


def _merger_marks(report: State) -> Iterator[State]:
    for row in report["likely_mergers"]["places"][:MOST_MARKS]:
        words = f"likely merger in segment {row['segment']}: {row['kind']}, score {row['score']:.2f}"
        yield _point(row["position_voxel"], words)


def _point(voxel_zyx: list[int], words: str) -> State:
    return {"type": "point", "point": [v + 0.5 for v in voxel_zyx[::-1]], "description": words}
