"""Where an organiser's files of ground truth are stored."""

from pathlib import Path
from typing import Any

from evalserver.uploads import label_suffix

# Of files of skeletons and bundles; a reader goes by the content where it can.
SKELETON_SUFFIXES = (".npz", ".p", ".pkl", ".pickle", ".swc")


def ground_truth_path(ground_truth: Any, filename: str) -> str:
    """Storage name of a ground-truth file. It contains nothing of the uploaded name."""
    volume = ground_truth.volume
    own = Path(filename).suffix.lower()
    suffix = own if own in SKELETON_SUFFIXES else label_suffix(filename)
    return f"groundtruth/{volume.benchmark.slug}/{volume.slug}/source{suffix}"
