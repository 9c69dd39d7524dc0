"""The stages of a run, from data to a scored segmentation. Each one goes on where an earlier call stopped."""

import json
from pathlib import Path

import h5py
import numpy as np
import zarr

from axonem_eval.errors import InputError
from baselines.affinity_unet.folds import join_checkpoints
from baselines.affinity_unet.inference import hierarchy_of, predict_volume
from baselines.affinity_unet.run import Run, open_run
from baselines.affinity_unet.segment import write_segmentation
from baselines.affinity_unet.threshold import choose_threshold, validate_model
from baselines.affinity_unet.train import train
from baselines.common import evaluate
from baselines.common.blockwise import write_json
from baselines.common.config_file import load_config
from baselines.common.data import load_volumes
from baselines.common.evaluate import Scores
from baselines.common.picture import panels, save_png
from baselines.common.provenance import file_checksum
from baselines.common.published import published_segmentations


def train_run(run: Run, *, stop_after: int | None = None) -> Path:
    """Train to the end, fold by fold where there are folds; returns the checkpoint."""
    if run.folds:
        return _train_folds(run, stop_after)
    volumes = load_volumes(run.config, run.config.data.train)
    if not volumes:
        raise InputError.of("no_volume", "the configuration has no [[data.train]] volumes")
    for index, volume in enumerate(volumes):
        run.note_volume(f"train-{index}", volume)
    start = _start(run)
    run.precision("train")
    validate = (lambda model: validate_model(run, model)) if run.config.train.validate_every else None
    with run.provenance.stage("train"):
        path = train(
            run.config, volumes, run.folder, start=start, validate=validate, stop_after=stop_after, quiet=run.quiet
        )
    if start:
        run.provenance.note("results", "start_sha256", file_checksum(start))
    run.provenance.note("results", "checkpoint_sha256", file_checksum(path))
    return path


def _train_folds(run: Run, stop_after: int | None) -> Path:
    for index, fold in enumerate(run.folds):
        train_run(fold, stop_after=stop_after)
        run.provenance.take(f"fold-{index}", fold.provenance, ("train", "train start"))
    path = join_checkpoints([fold.checkpoint for fold in run.folds], run.checkpoint)
    run.provenance.note("results", "checkpoint_sha256", file_checksum(path))
    return path


def _start(run: Run) -> Path | None:
    """The checkpoint that a new training begins with; a configuration is trained first, in the folder ``start``."""
    if not run.config.train.start or (run.folder / "last.pt").exists():
        return None
    path = run.config.resolve(run.config.train.start)
    if path.suffix != ".toml":
        return path
    command = f"baselines train {path.stem}"
    start = open_run(load_config(path), run.folder / "start", command=command, quiet=run.quiet, cluster=run.cluster)
    if run.fold is not None:
        start = _same_fold(start, run, path)
    with run.provenance.stage("train start"):
        return train_run(start)


def _same_fold(start: Run, run: Run, path: Path) -> Run:
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


def segment_volume(run: Run, name: str) -> Path:
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
        # No times: the same labels must be the same file, which the server recognises.
        attributes={"provenance": json.dumps(run.provenance.origin)},
    )
    run.provenance.note("results", f"{name} segments", count)
    return out


def evaluate_volume(run: Run, name: str) -> Scores:
    """Score the written labels of a volume, by the scorer that the server uses."""
    out = run.labels(name)
    if not out.exists():
        raise InputError.of("no_segmentation", f"{out}: no segmentation; run baselines segment first")
    with h5py.File(out, "r") as file:
        labels = file["main"][()]
    with run.provenance.stage(f"evaluate {name}"):
        scores = evaluate.score_labels(run.truth(name), labels, run.config.evaluate)
    write_json(run.folder / f"{name}-scores.json", scores)
    run.provenance.note("results", f"{name} scores", scores)
    return scores


def published_scores(run: Run, name: str) -> dict[str, Scores]:
    """Scores by title of the segmentations that others published of a volume, cropped like it."""
    found = published_segmentations(run.config, run.spec(name))
    rows = {title: evaluate.score_labels(run.truth(name), v, run.config.evaluate) for title, v in found.items()}
    if rows:
        write_json(run.folder / f"{name}-published.json", rows)
    return rows


def picture(run: Run, name: str, z: int, path: Path, *, scale: int = 1) -> Path:
    """PNG of section ``z``: grey values, affinities, segmentation, ground truth."""
    volume = run.volume(name, need_labels=False)
    affinity = np.asarray(zarr.open_array(run.affinities(name), mode="r")[:, z])
    with h5py.File(run.labels(name), "r") as file:
        shown = [("segmentation", file["main"][z])]
    if volume.labels is not None:
        shown.append(("ground truth", volume.labels[z]))
    save_png(panels(volume.raw[z], affinity, shown, scale=scale), path)
    return path


def reproduce(run: Run) -> dict[str, Scores]:
    """Everything from data to scored labels of the test volumes; scores by name."""
    if not run.config.checkpoint:
        train_run(run)
    choose_threshold(run)
    found = {}
    for name in run.tests:
        predict_volume(run, name)
        segment_volume(run, name)
        if _has_labels(run, name):
            found[name] = evaluate_volume(run, name)
    return found


def _has_labels(run: Run, name: str) -> bool:
    """Whether a volume can be scored here; one without labels is scored by the server alone."""
    spec = run.spec(name)
    return spec.kind != "pair" or bool(spec.labels)
