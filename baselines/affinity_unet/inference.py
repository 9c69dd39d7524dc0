"""From a trained network to affinities of a volume, and from these to all its segmentations."""

import json
from pathlib import Path

from axonem_eval.errors import InputError
from baselines.affinity_unet.hierarchy import Hierarchy
from baselines.affinity_unet.networks import load_model
from baselines.affinity_unet.predict import predict
from baselines.affinity_unet.run import UnetRun
from baselines.affinity_unet.segment import build_hierarchy
from baselines.common.data import open_raw
from baselines.common.device import use_threads
from baselines.common.provenance import file_checksum


def predict_volume(run: UnetRun, name: str) -> Path:
    """Predict affinities of a volume; several processes may do this at once. Returns the store."""
    raw, identity = open_raw(run.config, run.spec(name))
    run.provenance.note("data", f"{name} raw", identity)
    job = {"raw": identity, "checkpoint": file_checksum(run.checkpoint)}
    use_threads(run.config.compute.threads)
    model, store = load_model(run.config, run.checkpoint), run.affinities(name)
    precision = run.precision(f"predict {name}")
    with run.provenance.stage(f"predict {name}"):
        predict(model, raw, store, run.config.predict, job=job, precision=precision, quiet=run.quiet)
    return store


def hierarchy_of(run: UnetRun, name: str) -> Hierarchy:
    """All segmentations of a volume, from its affinities."""
    store = run.affinities(name)
    if not store.exists():
        raise InputError.of("no_affinities", f"{store}: no affinities; run baselines predict first")
    job = json.loads((store.with_name(store.name + ".progress") / "job.json").read_text())
    with run.provenance.stage(f"segment {name}"):
        return build_hierarchy(store, run.work(name), run.config.segment, job={"affinities": job}, quiet=run.quiet)
