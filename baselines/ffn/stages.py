"""The stages of a run, from data to a scored segmentation. Each one goes on where an earlier call stopped."""

from pathlib import Path

from PIL import Image

from axonem_eval.errors import InputError
from baselines.common.picture import panels
from baselines.common.stages import Method, read_labels
from baselines.ffn.run import FfnRun, open_run


def train_run(run: FfnRun) -> Path:
    """Train to the end; returns the checkpoint."""
    raise InputError.of("no_training", "the flood-filling network cannot be trained yet; name a checkpoint")


def predict_volume(run: FfnRun, name: str) -> Path:
    """Fill the objects of a volume; returns the folder of its objects."""
    raise InputError.of("no_inference", f"{name}: the flood-filling network has no inference from the command line yet")


def segment_volume(run: FfnRun, name: str) -> Path:
    """Write the labels of a volume as HDF5, ready to upload."""
    raise InputError.of("no_inference", f"{name}: the flood-filling network has no inference from the command line yet")


def panels_of(run: FfnRun, name: str, z: int, scale: int) -> Image.Image:
    """Section ``z``: grey values, segmentation, ground truth."""
    volume = run.volume(name, need_labels=False)
    shown = [("segmentation", read_labels(run, name, z))]
    if volume.labels is not None:
        shown.append(("ground truth", volume.labels[z]))
    return panels(volume.raw[z], [], shown, scale=scale)


METHOD = Method("Flood-filling network", open_run, train_run, predict_volume, segment_volume, panels_of)
