"""The stages of a run, from data to a scored segmentation. Each one goes on where an earlier call stopped."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from PIL import Image

from axonem_eval.volumes import write_label_blocks
from baselines.common.blockwise import Box, blocks
from baselines.common.data import open_raw
from baselines.common.picture import panels
from baselines.common.stages import Method, label_attributes, read_labels, run_training
from baselines.ffn.grow import grown
from baselines.ffn.refine import base_objects, final_labels, predict_volume
from baselines.ffn.run import FfnRun, open_run
from baselines.ffn.train import train
from baselines.ffn.validate import validate_network

BLOCK = (64, 512, 512)


def train_run(run: FfnRun, *, stop_after: int | None = None) -> Path:
    """Train to the end; returns the checkpoint."""

    def start() -> Path | None:
        wanted = run.config.train.start
        return run.config.resolve(wanted) if wanted and not run.checkpoint.exists() else None

    return run_training(
        run, train, start=start, validate=lambda network: validate_network(run, network), stop_after=stop_after
    )


def segment_volume(run: FfnRun, name: str) -> Path:
    """Write the labels of a volume as HDF5, ready to upload."""
    objects, out = base_objects(run, name), run.labels(name)
    with run.provenance.stage(f"segment {name}"):
        _write_labels(run, name, objects, out)
    return out


def _write_labels(run: FfnRun, name: str, objects: Path, out: Path) -> None:
    """Write objects, a Zarr array (z,y,x), joined and grown, into a file of labels, and note how many there are."""
    found = zarr.open_array(objects, mode="r")
    z, y, x = found.shape
    present: set[int] = set()
    joined, limit_nm = final_labels(run, name), run.config.grow.limit_nm
    raw = open_raw(run.config, run.spec(name))[0]
    size = run.config.voxel_size_of(run.spec(name))
    dz, dy, dx = (int(np.ceil(limit_nm / length)) for length in size)

    def parts() -> Iterator[tuple[Box, NDArray[Any]]]:
        for block in blocks((z, y, x), BLOCK, (dz, dy, dx)):
            labels = joined(np.asarray(found[block.halo]))
            if limit_nm:
                labels = grown(labels, np.asarray(raw[block.halo]), size, limit_nm)
            labels = labels[block.core_in_halo]
            present.update(np.unique(labels).tolist())
            yield block.core, labels

    write_label_blocks(out, (z, y, x), "uint32", parts(), size, attributes=label_attributes(run))
    run.provenance.note("results", f"{name} segments", len(present - {0}))


def panels_of(run: FfnRun, name: str, z: int, scale: int) -> Image.Image:
    """Section ``z``: grey values, probabilities where they were stored, segmentation, ground truth."""
    volume = run.volume(name, need_labels=False)
    outputs = []
    if run.probabilities(name).exists():
        probability = np.asarray(zarr.open_array(run.probabilities(name), mode="r")[z])
        outputs.append(("probability", np.repeat(probability[..., None], 3, -1)))
    shown = [("segmentation", read_labels(run, name, z))]
    if volume.labels is not None:
        shown.append(("ground truth", volume.labels[z]))
    return panels(volume.raw[z], outputs, shown, scale=scale)


METHOD = Method("Flood-filling network", open_run, train_run, predict_volume, segment_volume, panels_of)
