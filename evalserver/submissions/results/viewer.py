"""What the Neuroglancer on a result page shows: its client, and the state that says which files, and where."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from axonem_eval.spec import VolumeSpec
from axonem_eval.viewer import close_up, error_marks, layer, likely_marks, mark_layer_name, viewer_state
from evalserver.benchmarks.models import TrainingFile
from evalserver.submissions.models import Evaluation

MOST_MARKS = 200
MOST_SEGMENTS = 100


@cache
def client_files() -> dict[str, Path]:
    """Files of Neuroglancer's client by name; none where the package is not installed."""
    package = find_spec("neuroglancer")
    if package is None or package.origin is None:
        return {}
    folder = Path(package.origin).parent / "static" / "client"
    return {path.name: path for path in folder.iterdir() if path.suffix != ".map"}


def state(
    evaluation: Evaluation, *, image: str, segmentation: str, ground_truth: str, error: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Neuroglancer's state for a result on public ground truth.

    image, segmentation, ground_truth : absolute addresses below which the stored files are served; no image: empty.
    error : of the report's worst; the view opens there, close up, with what it touches.
    """
    volume = evaluation.volume_file.volume
    diagnosis: dict[str, Any] = evaluation.volume_file.diagnosis.report or {}
    segments = [row["segment"] for row in diagnosis["longest_segments"][:MOST_SEGMENTS]]
    axons = [row["skeleton_id"] for row in evaluation.report.get("worst_axons", [])]
    if error:
        segments = [error[name] for name in ("segment", "other_segment") if error[name] != "0"]
        axons = [error[name] for name in ("skeleton_id", "other_skeleton_id") if error[name] != "0"]
    layers = [layer("image", "EM", f"precomputed://{image}")] if image else []
    layers += [
        layer(
            "segmentation",
            "segmentation",
            f"precomputed://{segmentation}",
            segments=segments,
            notSelectedAlpha=0.2,
            tab="segments",
        ),
        layer(
            "segmentation",
            "ground truth",
            f"precomputed://{ground_truth}",
            segments=axons,
            tab="segments",
        ),
    ]
    marks = error_marks(evaluation.report.get("top_errors", []), MOST_MARKS) | likely_marks(diagnosis, MOST_MARKS)
    title = f"{evaluation.volume_file.submission.method_name}, {volume.name}"
    shown = viewer_state(volume.rule.spec, layers, marks, title)
    if error is None:
        return shown
    listed = {"selectedLayer": {"visible": True, "layer": mark_layer_name(error["kind"])}}
    return shown | close_up(tuple(error[f"{axis}_voxel"] for axis in "zyx")) | listed


def image_state(data_file: TrainingFile, spec: VolumeSpec, image: str) -> dict[str, Any]:
    """Neuroglancer's state for EM alone. image : absolute address of its files."""
    return viewer_state(spec, [layer("image", "EM", f"precomputed://{image}")], {}, data_file.title)
