"""The stages of a run, from data to a scored segmentation. Each one goes on where an earlier call stopped."""

from pathlib import Path

import numpy as np
import zarr
from PIL import Image

from axonem_eval.errors import InputError
from baselines.affinity_unet.config import UnetConfig
from baselines.affinity_unet.folds import join_checkpoints
from baselines.affinity_unet.inference import hierarchy_of, predict_volume
from baselines.affinity_unet.run import UnetRun, open_run
from baselines.affinity_unet.segment import write_segmentation
from baselines.affinity_unet.threshold import choose_threshold, validate_model
from baselines.affinity_unet.train import train
from baselines.common.config_file import load_config_of
from baselines.common.picture import panels
from baselines.common.provenance import file_checksum
from baselines.common.stages import Method, label_attributes, read_labels, run_training


def train_run(run: UnetRun, *, stop_after: int | None = None) -> Path:
    """Train to the end, fold by fold where there are folds; returns the checkpoint."""
    if run.folds:
        return _train_folds(run, stop_after)
    return run_training(
        run,
        train,
        start=lambda: _start(run),
        validate=lambda model: validate_model(run, model),
        stop_after=stop_after,
    )


def _train_folds(run: UnetRun, stop_after: int | None) -> Path:
    for index, fold in enumerate(run.folds):
        train_run(fold, stop_after=stop_after)
        run.provenance.take(f"fold-{index}", fold.provenance, ("train", "train start"))
    path = join_checkpoints([fold.checkpoint for fold in run.folds], run.checkpoint)
    run.provenance.note("results", "checkpoint_sha256", file_checksum(path))
    return path


def _start(run: UnetRun) -> Path | None:
    """The checkpoint that a new training begins with; a configuration is trained first, in the folder ``start``."""
    if not run.config.train.start or (run.folder / "last.pt").exists():
        return None
    path = run.config.resolve(run.config.train.start)
    if path.suffix != ".toml":
        return path
    config = load_config_of(UnetConfig, path)
    start = open_run(config, run.folder / "start", command=f"baselines train {path.stem}", quiet=run.quiet)
    if run.fold is not None:
        start = _same_fold(start, run, path)
    with run.provenance.stage("train start"):
        return train_run(start)


def _same_fold(start: UnetRun, run: UnetRun, path: Path) -> UnetRun:
    """The fold of ``start`` that ``run`` goes on from.

    Raises InputError where its network would have learnt from what is kept from this one's.
    """
    same = [fold for fold in start.folds if fold.fold == run.fold and fold.config.data == run.config.data]
    if not same:
        raise InputError.of(
            "other_folds", f"train.start {path.name}: its fold {run.fold} has other volumes than this one's; a "
            "network must not begin with weights that learnt from what is kept from it",
        )  # fmt: skip
    return same[0]


def segment_volume(run: UnetRun, name: str) -> Path:
    """Write the labels of a volume at the chosen threshold as HDF5, ready to upload."""
    threshold = choose_threshold(run)
    hierarchy = hierarchy_of(run, name)
    out = run.labels(name)
    count = write_segmentation(
        run.work(name),
        hierarchy,
        out,
        threshold=threshold,
        dust=run.config.segment.dust,
        voxel_size_nm_zyx=run.config.voxel_size_of(run.spec(name)),
        attributes=label_attributes(run),
    )
    run.provenance.note("results", f"{name} segments", count)
    return out


def panels_of(run: UnetRun, name: str, z: int, scale: int) -> Image.Image:
    """Section ``z``: grey values, affinities, segmentation, ground truth."""
    volume = run.volume(name, need_labels=False)
    affinity = np.asarray(zarr.open_array(run.affinities(name), mode="r")[:, z])
    shown = [("segmentation", read_labels(run, name, z))]
    if volume.labels is not None:
        shown.append(("ground truth", volume.labels[z]))
    outputs = [("affinities: red z, green y, blue x", affinity.transpose(1, 2, 0))]
    return panels(volume.raw[z], outputs, shown, scale=scale)


METHOD = Method("Affinity U-Net", open_run, train_run, predict_volume, segment_volume, panels_of)
