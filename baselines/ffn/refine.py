"""From a first segmentation to a better one: consensus with a second one, and agglomeration. Both are options.

NAME-objects/ of a run then also holds

reversed/ or coarser/       the second segmentation
consensus.zarr              (z,y,x) uint32, in place of objects.zarr
points.npz, scores.npz      decision points, and what the network said there; points/ while it is asked

Each step goes on where an earlier call stopped. Thresholds of the agglomeration only matter to ``final_labels``.
"""

import dataclasses
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zarr
from numpy.typing import NDArray
from tqdm import tqdm

from axonem_eval.errors import InputError
from axonem_eval.files import write_atomically
from baselines.common.blockwise import Block, Ledger, Triple, blocks, fitted, write_npz
from baselines.common.coarser import downsampled
from baselines.common.config_data import DataConfig, VolumeConfig
from baselines.common.data import open_raw
from baselines.common.device import use_threads
from baselines.ffn.agglomerate import ScoreTable, asking, merged_ids, read_scores, smaller_voxels
from baselines.ffn.consensus import Labels, consensus_ids, read_upsampled
from baselines.ffn.decision_points import DecisionPoints, decision_points, joined_points
from baselines.ffn.evaluator import Evaluator, run_together
from baselines.ffn.fill import CHUNK, flood_options, normalised
from baselines.ffn.inference import fill_volume
from baselines.ffn.networks import load_network
from baselines.ffn.resegment import Resegmenter
from baselines.ffn.run import FfnRun

BLOCK = (128, 256, 256)
# Of [agglomerate], what the scores do not depend on.
THRESHOLDS = ("enabled", "min_iou", "min_recovery", "max_deleted")


def predict_volume(run: FfnRun, name: str) -> Path:
    """All that needs the network, for a volume; returns the Zarr array (z,y,x) uint32 of its objects."""
    found = fill_volume(run, name, run.work(name))
    if run.config.consensus.second != "none":
        found = _write_consensus(run, name, found)
    if run.config.agglomerate.enabled:
        _write_scores(run, name, found)
    return found


def base_objects(run: FfnRun, name: str) -> Path:
    """The Zarr array that agglomeration begins with: the consensus where there is to be one, else the objects.

    Raises InputError where it is missing, OtherJob where the consensus is of other settings.
    """
    found = run.objects(name)
    if run.config.consensus.second != "none":
        found = run.work(name) / "consensus.zarr"
    if not found.exists():
        raise InputError.of("no_objects", f"{found}: no objects; run baselines predict first")
    if run.config.consensus.second != "none":
        _consensus_ledger(run, name)
    return found


def final_labels(run: FfnRun, name: str) -> Callable[[NDArray[Any]], NDArray[np.uint32]]:
    """Gives the ids of a part of ``base_objects`` after agglomeration, where there is to be any.

    Raises InputError where its scores are missing, OtherJob where they are of other objects or settings.
    """
    if not run.config.agglomerate.enabled:
        return lambda part: np.asarray(part, np.uint32)
    if _points_ledger(run, name).done("scores") is None:
        raise InputError.of("no_scores", f"{run.work(name)}: no scores of decision points; run baselines predict first")
    table = ScoreTable.load(run.work(name) / "scores.npz")
    merged = table.points.take(table.accepted(run.config.agglomerate))
    run.provenance.note("results", f"{name} agglomeration", {"points": len(table.points), "merges": len(merged)})
    ids = np.unique(np.concatenate([merged.a, merged.b]))
    becomes = merged_ids(ids, merged.a, merged.b)

    def rename(part: NDArray[Any]) -> NDArray[np.uint32]:
        place = np.minimum(np.searchsorted(ids, part), max(len(ids) - 1, 0))
        known = ids[place] == part if len(ids) else np.zeros(part.shape, bool)
        return np.where(known, becomes[place] if len(ids) else part, part).astype(np.uint32)

    return rename


# ---- consensus -------------------------------------------------------------------------------------------------------


def _write_consensus(run: FfnRun, name: str, objects: Path) -> Path:
    """Make the second segmentation and write the consensus; returns its Zarr array."""
    config, folder = run.config.consensus, run.work(name)
    target, other = folder / "consensus.zarr", folder / config.second
    factor: Triple = (1, 1, 1)
    if config.second == "reversed":
        second = fill_volume(run, name, other, reverse=True)
    else:
        factor = config.coarser
        second = fill_volume(_coarser(run, name, other), f"{name}-coarser", other)
    ledger = _consensus_ledger(run, name)
    if ledger.done("whole") is not None:
        return target
    first, again = zarr.open_array(objects, mode="r"), zarr.open_array(second, mode="r")

    def parts() -> Iterator[tuple[Block, NDArray[Any], NDArray[Any]]]:
        for block in blocks(_shape(first), BLOCK):
            yield block, np.asarray(first[block.core]), read_upsampled(again, factor, block.core)

    with run.provenance.stage(f"consensus {name}"):
        ids = consensus_ids(((a, b) for _, a, b in parts()), config.min_voxels)
        whole = zarr.create_array(
            target, shape=first.shape, chunks=fitted(CHUNK, _shape(first)), dtype="uint32", fill_value=0, overwrite=True
        )
        for block, a, b in parts():
            whole[block.core] = ids.apply(a, b).astype(np.uint32)
    ledger.finish("whole")
    run.provenance.note("results", f"{name} consensus", {"objects": int(np.count_nonzero(np.unique(ids.becomes)))})
    return target


def _consensus_ledger(run: FfnRun, name: str) -> Ledger:
    """The ledger of the consensus of both segmentations. Raises OtherJob where it is of other ones or settings."""
    config, folder = run.config.consensus, run.work(name)
    first, second = (Ledger.of(place / "progress").job for place in (folder, folder / config.second))
    return Ledger(folder / "consensus", {"first": first, "second": second, "min_voxels": config.min_voxels})


def _coarser(run: FfnRun, name: str, folder: Path) -> FfnRun:
    """The run with the image at a lower resolution as its test volume, which is written into the folder."""
    config, factor = run.config, run.config.consensus.coarser
    raw, identity = open_raw(config, run.spec(name))
    file = folder.resolve() / "raw.h5"
    ledger = Ledger(folder / "raw", {"raw": identity, "factor": factor})
    if ledger.done("whole") is None:
        write_atomically(file, lambda draft: _write_coarser(raw, factor, Path(draft.name)))
        ledger.finish("whole")
    z, y, x = (size * f for size, f in zip(config.voxel_size_of(run.spec(name)), factor, strict=True))
    spec = VolumeConfig(kind="pair", name=f"{name}-coarser", raw=f"{file}:raw", voxel_size_nm=(z, y, x))
    fewer = max(1, config.inference.min_voxels // int(np.prod(factor)))
    inference = dataclasses.replace(config.inference, min_voxels=fewer)
    return dataclasses.replace(
        run, config=dataclasses.replace(config, data=DataConfig(test=(spec,)), inference=inference)
    )


def _write_coarser(raw: Any, factor: Triple, path: Path) -> None:
    """Write the dataset ``raw`` (z,y,x) uint8 of a coarser image, a few sections at a time."""
    z, y, x = (int(n) // f for n, f in zip(raw.shape, factor, strict=True))
    with h5py.File(path, "w") as file:
        out = file.create_dataset("raw", (z, y, x), "uint8", chunks=fitted((64, 64, 64), (z, y, x)))
        for block in blocks((z, y, x), (16, y, x)):
            box = tuple(slice(part.start * f, part.stop * f) for part, f in zip(block.core, factor, strict=True))
            out[block.core] = downsampled(np.asarray(raw[box]), factor)


# ---- agglomeration ---------------------------------------------------------------------------------------------------


def _write_scores(run: FfnRun, name: str, objects: Path) -> None:
    """Find the decision points of a volume, ask the network at each, and write the table of scores."""
    config, folder, ledger = run.config, run.work(name), _points_ledger(run, name)
    if ledger.done("scores") is not None:
        return
    labels = zarr.open_array(objects, mode="r")
    raw, _ = open_raw(config, run.spec(name))
    size = config.voxel_size_of(run.spec(name))
    if ledger.done("points") is None:
        with run.provenance.stage(f"decision points {name}"):
            write_npz(folder / "points.npz", **vars(_find_points(labels, size, config.agglomerate.limit_nm)))
        ledger.finish("points")
    points = _wanted(_read_points(folder / "points.npz"), labels, config.agglomerate.max_smaller_voxels)
    use_threads(config.compute.threads)
    evaluator = Evaluator(
        load_network(config, run.checkpoint),
        batch=config.inference.batch,
        precision=run.precision(f"agglomerate {name}"),
    )
    model = config.model
    resegmenter = Resegmenter(
        evaluator.step, model.fov, model.deltas, size, flood_options(config.inference), config.agglomerate
    )
    works = asking(points, lambda box: normalised(raw[box], config), labels, resegmenter, ledger)
    with run.provenance.stage(f"agglomerate {name}"):
        run_together(tqdm(works, "points", disable=run.quiet, file=sys.stderr), evaluator)
    read_scores(points, ledger).save(folder / "scores.npz")
    ledger.finish("scores")


def _points_ledger(run: FfnRun, name: str) -> Ledger:
    """The ledger of the decision points. Raises OtherJob where they are of other objects or settings."""
    folder, config = run.work(name), run.config
    shaping = {k: v for k, v in dataclasses.asdict(config.agglomerate).items() if k not in THRESHOLDS}
    base = Ledger.of(folder / ("progress" if config.consensus.second == "none" else "consensus")).job
    return Ledger(folder / "points", {"objects": base, "agglomerate": shaping})


def _find_points(labels: Labels, voxel_size_nm_zyx: tuple[float, float, float], limit_nm: float) -> DecisionPoints:
    """Decision points of a stored segmentation, block by block."""
    z, y, x = (int(np.ceil(limit_nm / size)) + 1 for size in voxel_size_nm_zyx)
    found = []
    for block in blocks(_shape(labels), BLOCK, (z, y, x)):
        part = decision_points(np.asarray(labels[block.halo]), voxel_size_nm_zyx, limit_nm, block.core_in_halo)
        corner = np.array([span.start for span in block.halo])
        found.append(dataclasses.replace(part, zyx=part.zyx + corner))
    return joined_points(found)


def _wanted(points: DecisionPoints, labels: Labels, max_smaller_voxels: int) -> DecisionPoints:
    """The points whose smaller segment is small enough; 0 for all. Small ones come first: they take few steps."""
    parts = (np.asarray(labels[block.core]) for block in blocks(_shape(labels), BLOCK))
    voxels = smaller_voxels(points, parts)
    order = np.argsort(voxels, kind="stable")
    return points.take(order[voxels[order] <= max_smaller_voxels] if max_smaller_voxels else order)


def _read_points(path: Path) -> DecisionPoints:
    with np.load(path, allow_pickle=False) as file:
        return DecisionPoints(**{column.name: file[column.name] for column in dataclasses.fields(DecisionPoints)})


def _shape(labels: Labels) -> Triple:
    z, y, x = (int(n) for n in labels.shape)
    return z, y, x
