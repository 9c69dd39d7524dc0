"""The stages of a run, from data to a scored segmentation. Each one goes on where an earlier call stopped."""

from pathlib import Path

from PIL import Image

from axonem_eval.errors import InputError
from baselines.common.data import load_volumes
from baselines.common.picture import panels
from baselines.common.provenance import file_checksum
from baselines.common.stages import Method, read_labels
from baselines.ffn.run import FfnRun, open_run
from baselines.ffn.train import train
from baselines.ffn.validate import validate_network


def train_run(run: FfnRun, *, stop_after: int | None = None) -> Path:
    """Train to the end; returns the checkpoint."""
    volumes = load_volumes(run.config, run.config.data.train)
    if not volumes:
        raise InputError.of("no_volume", "the configuration has no [[data.train]] volumes")
    for index, volume in enumerate(volumes):
        run.note_volume(f"train-{index}", volume)
    options = run.config.train
    start = run.config.resolve(options.start) if options.start and not run.checkpoint.exists() else None
    run.precision("train")
    validate = (lambda network: validate_network(run, network)) if options.validate_every else None
    with run.provenance.stage("train"):
        path = train(
            run.config, volumes, run.folder, start=start, validate=validate, stop_after=stop_after, quiet=run.quiet
        )
    if start:
        run.provenance.note("results", "start_sha256", file_checksum(start))
    run.provenance.note("results", "checkpoint_sha256", file_checksum(path))
    return path


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
