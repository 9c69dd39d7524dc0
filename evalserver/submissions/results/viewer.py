"""What the Neuroglancer on a result page shows: stored files, and the state that says which and where.

Only volumes with public ground truth are shown. Their segmentation and skeletons lie in the storage as precomputed,
one file a chunk or skeleton, written by the diagnosis job; a request reads one of them.
"""

import os
import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage

from axonem_eval.skeletons import export_precomputed
from axonem_eval.spec import VolumeSpec
from axonem_eval.viewer import error_marks, layer, likely_marks, viewer_state
from evalserver.benchmarks.models import GroundTruth, Volume
from evalserver.submissions.evaluation import scoring
from evalserver.submissions.models import Evaluation, VolumeFile

# Names of files in precomputed volumes and skeletons.
SKELETON_NAME = re.compile(r"info|segment_properties/info|\d{1,20}")
VIEW_NAME = re.compile(rf"info|skeletons/(?:{SKELETON_NAME.pattern})|(?:\d+_){{2}}\d+/(?:\d+-\d+_){{2}}\d+-\d+")
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


def state(evaluation: Evaluation, *, segmentation: str, ground_truth: str) -> dict[str, Any]:
    """Neuroglancer's state for a result on public ground truth.

    segmentation, ground_truth : absolute addresses below which the stored files are served.
    """
    volume = evaluation.volume_file.volume
    diagnosis = evaluation.volume_file.diagnosis.report
    longest = [row["segment"] for row in diagnosis["longest_segments"][:MOST_SEGMENTS]]
    axons = [row["skeleton_id"] for row in evaluation.report.get("worst_axons", [])]
    layers = [
        layer(
            "segmentation",
            "segmentation",
            f"precomputed://{segmentation}",
            segments=longest,
            notSelectedAlpha=0.2,
            tab="segments",
        ),
        layer("segmentation", "ground truth", f"precomputed://{ground_truth}", segments=axons, tab="segments"),
    ]
    marks = error_marks(evaluation.report.get("top_errors", []), MOST_MARKS) | likely_marks(diagnosis, MOST_MARKS)
    title = f"{evaluation.volume_file.submission.method_name}, {volume.name}"
    return viewer_state(VolumeSpec(volume.shape_zyx, volume.voxel_size_nm_zyx), layers, marks, title)
