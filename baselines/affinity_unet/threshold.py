"""Which threshold to segment at: scores at every threshold of the configuration, on volumes with ground truth."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from torch import nn

from baselines.affinity_unet.folds import mean_of_sweeps
from baselines.affinity_unet.hierarchy import Hierarchy, segment_array
from baselines.affinity_unet.inference import hierarchy_of, predict_volume
from baselines.affinity_unet.predict import predict
from baselines.affinity_unet.run import UnetRun
from baselines.affinity_unet.work_folder import WorkFolder
from baselines.common import evaluate
from baselines.common.blockwise import write_json
from baselines.common.evaluate import Scores
from baselines.common.provenance import file_checksum
from baselines.common.run import VALIDATE


def choose_threshold(run: UnetRun) -> float:
    """The configuration's threshold, or the best of the sweep on the validation volume."""
    if run.config.segment.threshold is not None:
        return run.config.segment.threshold
    note, weights = run.folder / "threshold.json", file_checksum(run.checkpoint)
    known = json.loads(note.read_text()) if note.exists() else {}
    if known.get("checkpoint") == weights:  # other weights need another threshold
        return float(known["threshold"])
    rows = validation_sweep(run)
    chosen = float(_best(run, rows)["threshold"])
    choice = {"threshold": chosen, "chosen_by": run.config.evaluate.choose_by}
    write_json(note, {**choice, "checkpoint": weights, "sweep": rows})
    run.provenance.note("results", "threshold", chosen)
    return chosen


def validation_sweep(run: UnetRun) -> list[Scores]:
    """Scores at every threshold on the validation volume; with folds the mean over each fold's own."""
    if run.folds:
        return mean_of_sweeps([validation_sweep(fold) for fold in run.folds])
    predict_volume(run, VALIDATE)
    return sweep(run, VALIDATE, hierarchy_of(run, VALIDATE))


def sweep(run: UnetRun, name: str, hierarchy: Hierarchy) -> list[Scores]:
    """Scores at every threshold of the configuration, from one table of overlaps."""
    truth, fragments = run.truth(name), WorkFolder(run.work(name))
    table = evaluate.overlaps((truth.labels[b.core], fragments.read(b.core)) for b in fragments.grid)
    nodes = None if truth.graph is None else fragments.at(truth.graph.node_voxel_zyx)
    rows = []
    for threshold in run.config.segment.thresholds:
        lookup = hierarchy.lookup(threshold, run.config.segment.dust)
        renamed, node_segment = evaluate.renamed(table, lookup), None if nodes is None else lookup[nodes]
        row = evaluate.scores(renamed, truth.graph, node_segment, run.config.evaluate)
        rows.append({"threshold": threshold, **row})
    return rows


def validate_model(run: UnetRun, model: nn.Module) -> dict[str, float]:
    """Scores of a model under training on the validation volume, at the best threshold of the sweep."""
    volume, truth, config = run.volume(VALIDATE), run.truth(VALIDATE), run.config
    with tempfile.TemporaryDirectory() as place:
        store = Path(place) / "affinities.zarr"
        predict(model, volume.raw, store, config.predict, precision=config.compute.precision, quiet=True)
        fragments, hierarchy = segment_array(np.asarray(zarr.open_array(store, mode="r")[:]), config.segment)
    rows: list[dict[str, Any]] = []
    for threshold in config.segment.thresholds:
        labels = hierarchy.lookup(threshold, config.segment.dust)[fragments]
        rows.append({"threshold": threshold, **evaluate.score_labels(truth, labels, config.evaluate)})
    row = _best(run, rows)
    found = {f"validate/{k}": float(row[k]) for k in ("threshold", "arand_error", "voi_split", "voi_merge")}
    if "erl" in row:
        found["validate/erl_nm"] = float(row["erl"]["erl_nm"])
    return found


def _best(run: UnetRun, rows: list[Scores]) -> Scores:
    return evaluate.best(rows, run.config.evaluate.choose_by, within=run.config.evaluate.threshold_window)
