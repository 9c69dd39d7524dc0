"""The stages that all methods share: scores of what was segmented, and all stages in order."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from axonem_eval.errors import InputError
from axonem_eval.volumes import open_labels, write_precomputed
from baselines.common import evaluate
from baselines.common.blockwise import write_json
from baselines.common.data import load_volumes
from baselines.common.evaluate import Scores
from baselines.common.picture import save_png
from baselines.common.provenance import file_checksum
from baselines.common.published import published_segmentations
from baselines.common.run import Run

AnyRun = TypeVar("AnyRun", bound=Run[Any])


@dataclass(frozen=True)
class Method(Generic[AnyRun]):
    """The stages of one method; each goes on where an earlier call stopped.

    title : for the leaderboard.   open_run : the run of a configuration in a folder (keywords ``command``, ``quiet``).
    train : up to the configured step; the checkpoint.   predict, segment : of a volume by name; what was written.
    panels : the picture of section z of a volume, enlarged by a factor.
    """

    title: str
    open_run: Callable[..., AnyRun]
    train: Callable[[AnyRun], Path]
    predict: Callable[[AnyRun, str], Path]
    segment: Callable[[AnyRun, str], Path]
    panels: Callable[[AnyRun, str, int, int], Image.Image]

    def reproduce(self, run: AnyRun) -> dict[str, Scores]:
        """Everything from data to scored labels of the test volumes; scores by name."""
        if not run.config.checkpoint:
            self.train(run)
        found = {}
        for name in run.tests:
            self.predict(run, name)
            self.segment(run, name)
            if run.has_labels(name):
                found[name] = evaluate_volume(run, name)
        return found

    def picture(self, run: AnyRun, name: str, z: int, path: Path, *, scale: int = 1) -> Path:
        """Write section ``z`` as PNG, ``scale`` pixels per voxel."""
        save_png(self.panels(run, name, z, scale), path)
        return path


def run_training(
    run: Run[Any],
    train: Callable[..., Path],
    *,
    start: Callable[[], Path | None],
    validate: Callable[[Any], dict[str, float]],
    stop_after: int | None,
) -> Path:
    """Train on the volumes of the configuration, and keep in the provenance what went in and came out.

    train : the method's own, which returns the checkpoint.   start : the weights that a new training begins with; asked
    once the data are known to be good.   validate : scores of a network, for configurations that ask for them.
    Raises InputError where there is nothing to train on.
    """
    volumes = load_volumes(run.config, run.config.data.train)
    if not volumes:
        raise InputError.of("no_volume", "the configuration has no [[data.train]] volumes")
    for index, volume in enumerate(volumes):
        run.note_volume(f"train-{index}", volume)
    begin = start()
    run.precision("train")
    scores = validate if run.config.train.validate_every else None
    with run.provenance.stage("train"):
        path = train(
            run.config, volumes, run.folder, start=begin, validate=scores, stop_after=stop_after, quiet=run.quiet
        )
    if begin:
        run.provenance.note("results", "start_sha256", file_checksum(begin))
    run.provenance.note("results", "checkpoint_sha256", file_checksum(path))
    return path


def label_attributes(run: Run[Any]) -> dict[str, Any]:
    """What a file of labels says of its origin. No times: the same labels must be the same file."""
    return {"provenance": json.dumps(run.provenance.origin)}


def read_labels(run: Run[Any], name: str, box: Any = ()) -> NDArray[Any]:
    """The written labels (z,y,x) of a volume, or a part. Raises InputError where there are none."""
    with h5py.File(_written(run, name), "r") as file:
        return np.asarray(file["main"][box])


def _written(run: Run[Any], name: str) -> Path:
    path = run.labels(name)
    if not path.exists():
        raise InputError.of("no_segmentation", f"{path}: no segmentation; run baselines segment first")
    return path


def evaluate_volume(run: Run[Any], name: str) -> Scores:
    """Score the written labels of a volume, by the scorer that the server uses."""
    labels = read_labels(run, name)
    with run.provenance.stage(f"evaluate {name}"):
        scores = evaluate.score_labels(run.truth(name), labels, run.config.evaluate)
    write_json(run.folder / f"{name}-scores.json", scores)
    run.provenance.note("results", f"{name} scores", scores)
    return scores


def export_precomputed(run: Run[Any], name: str) -> Path:
    """Write the labels of a volume, with coarser scales, for Neuroglancer; returns the folder, made anew."""
    path, folder = _written(run, name), run.folder / f"{name}-precomputed"
    if folder.exists():
        shutil.rmtree(folder)
    with open_labels(path) as volume:
        write_precomputed(volume, folder, run.config.voxel_size_of(run.spec(name)))
    return folder


def published_scores(run: Run[Any], name: str) -> dict[str, Scores]:
    """Scores by title of the segmentations that others published of a volume, cropped like it."""
    found = published_segmentations(run.config, run.spec(name))
    rows = {title: evaluate.score_labels(run.truth(name), v, run.config.evaluate) for title, v in found.items()}
    if rows:
        write_json(run.folder / f"{name}-published.json", rows)
    return rows
