"""What the Neuroglancer on a result page shows: stored files, and the state that says which and where.

Only volumes with public ground truth are shown. Their segmentation and skeletons lie in the storage as precomputed,
one file a chunk or skeleton, written by the diagnosis job; a request reads one of them.
"""

import os
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage

from axonem_eval.scoring import COLORS
from axonem_eval.skeletons import export_precomputed
from evalserver.benchmarks.models import GroundTruth, Volume
from evalserver.submissions.evaluation import scoring
from evalserver.submissions.models import Evaluation, VolumeFile

# Names of files in precomputed volumes and skeletons.
SKELETON_NAME = re.compile(r"info|segment_properties/info|\d{1,20}")
VIEW_NAME = re.compile(rf"info|skeletons/(?:{SKELETON_NAME.pattern})|(?:\d+_){{2}}\d+/(?:\d+-\d+_){{2}}\d+-\d+")
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


def is_shown(volume: Volume) -> bool:
    """Whether results on this volume get a viewer."""
    voxels = volume.shape_z * volume.shape_y * volume.shape_x
    return volume.ground_truth_public and voxels <= settings.VIEWER_MAX_VOXELS


def folder_of(volume_file: VolumeFile) -> str:
    """Where files made from a segmentation are stored; names begin with it."""
    return f"submissions/{volume_file.submission.code}/{volume_file.volume.slug}"


def ground_truth_folder(ground_truth: GroundTruth) -> str:
    volume = ground_truth.volume
    return f"groundtruth/{volume.benchmark.slug}/{volume.slug}/v{ground_truth.version}-skeletons"


def store(name: str, path: Path) -> str:
    """Store a file under exactly this name, in place of what a run that broke off may have left there."""
    if default_storage.exists(name):
        default_storage.delete(name)
    with path.open("rb") as file:
        return default_storage.save(name, File(file))


def store_view(volume_file: VolumeFile, folder: Path) -> int:
    """Store what the viewer may ask for of a folder, and the skeletons of the ground truth; how many files.

    Names that the viewer never asks with are left behind, whatever wrote them.
    """
    names = [name for name in _names_in(folder) if VIEW_NAME.fullmatch(name)]
    for name in names:
        store(f"{folder_of(volume_file)}-view/{name}", folder / name)
    current = GroundTruth.objects.filter(volume=volume_file.volume, is_current=True).first()
    if current:
        store_ground_truth_skeletons(current)
    return len(names)


def store_ground_truth_skeletons(ground_truth: GroundTruth) -> None:
    """Store the skeletons of public ground truth, once; its info file comes last and says that all are there."""
    target = ground_truth_folder(ground_truth)
    if default_storage.exists(f"{target}/info"):
        return
    with TemporaryDirectory(dir=settings.SCRATCH_DIR) as scratch:
        folder = Path(scratch) / "skeletons"
        export_precomputed(scoring.load_graph(ground_truth), folder)
        for name in sorted(_names_in(folder), key=lambda name: name == "info"):
            store(f"{target}/{name}", folder / name)


def _names_in(folder: Path) -> Iterator[str]:
    for where, _, names in os.walk(folder):
        for name in names:
            yield (Path(where) / name).relative_to(folder).as_posix()


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
