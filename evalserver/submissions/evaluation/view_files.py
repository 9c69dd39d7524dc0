"""Files that the viewer shows.

Only volumes with public ground truth are shown. Their segmentation and skeletons lie in the storage as precomputed,
one file a chunk or skeleton, written by the diagnosis job; a request reads one of them.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from django.conf import settings
from django.core.files.storage import default_storage

from axonem_eval.skeletons import export_precomputed
from evalserver.benchmarks.models import GroundTruth, Volume
from evalserver.submissions.evaluation import scoring
from evalserver.submissions.models import VolumeFile
from evalserver.uploads import SEGMENTATION, SKELETONS, label_suffix, store_precomputed


def is_shown(volume: Volume) -> bool:
    """Whether results on this volume get a viewer."""
    return volume.ground_truth_public and volume.rule.spec.voxels <= settings.VIEWER_MAX_VOXELS


def folder_of(volume_file: VolumeFile) -> str:
    """Where files made from a segmentation are stored; names begin with it.

    Beside the segmentation, which stays where it is when the volume gets another short name.
    """
    name = volume_file.file.name or ""
    return name.removesuffix(label_suffix(name))


def ground_truth_folder(ground_truth: GroundTruth) -> str:
    """Beside the bundle, which stays where it is when the benchmark gets another address."""
    return f"{(ground_truth.bundle.name or '').removesuffix('.npz')}-skeletons"


def store_view(volume_file: VolumeFile, folder: Path) -> int:
    """Store what the viewer may ask for of a folder, and the skeletons of the ground truth; how many files."""
    stored = store_precomputed(f"{folder_of(volume_file)}-view", folder, SEGMENTATION)
    current = GroundTruth.objects.filter(volume=volume_file.volume, is_current=True).first()
    if current:
        store_ground_truth_skeletons(current)
    return stored


def store_ground_truth_skeletons(ground_truth: GroundTruth) -> None:
    """Store the skeletons of public ground truth, once."""
    target = ground_truth_folder(ground_truth)
    if default_storage.exists(f"{target}/info"):
        return
    with TemporaryDirectory(dir=settings.SCRATCH_DIR) as scratch:
        folder = Path(scratch) / "skeletons"
        export_precomputed(scoring.load_graph(ground_truth), folder)
        store_precomputed(target, folder, SKELETONS)
