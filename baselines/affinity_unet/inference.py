"""From a trained network to affinities of a volume, and from these to all its segmentations."""

import json
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

from torch import nn

from axonem_eval.errors import InputError
from baselines.affinity_unet.config import UnetConfig
from baselines.affinity_unet.hierarchy import Hierarchy
from baselines.affinity_unet.networks import load_model
from baselines.affinity_unet.predict import Readable, Source, predict_from
from baselines.affinity_unet.run import UnetRun
from baselines.affinity_unet.segment import build_hierarchy
from baselines.common.config_data import VolumeConfig
from baselines.common.data import open_raw
from baselines.common.device import use_threads
from baselines.common.provenance import file_checksum


def predict_volume(run: UnetRun, name: str) -> Path:
    """Predict affinities of a volume. Returns the store."""
    raw, identity = open_raw(run.config, run.spec(name))
    run.provenance.note("data", f"{name} raw", identity)
    weights = file_checksum(run.checkpoint)
    use_threads(run.config.compute.threads)
    precision, store = run.precision(f"predict {name}"), run.affinities(name)
    if run.cluster.is_here:
        opened = load_model(run.config, run.checkpoint), raw
        opener: Callable[[], tuple[nn.Module, Readable]] = lambda: opened  # noqa: E731
    else:
        opener = partial(_open_on_worker, run.config, run.spec(name), run.checkpoint, (identity, weights))
    z, y, x = (int(n) for n in raw.shape)
    with run.provenance.stage(f"predict {name}"):
        predict_from(
            Source(opener, (z, y, x), precision), store, run.config.predict,
            job={"raw": identity, "checkpoint": weights}, cluster=run.cluster, quiet=run.quiet,
        )  # fmt: skip
    return store


@lru_cache(maxsize=1)
def _open_on_worker(
    config: UnetConfig, spec: VolumeConfig, checkpoint: Path, expected: tuple[str, str]
) -> tuple[nn.Module, Readable]:
    """Network and volume, opened once by a worker. expected : what identifies the volume and the weights.

    Raises InputError where the worker finds others under the same names.
    """
    raw, identity = open_raw(config, spec)
    for what, found, wanted in zip(
        (spec.raw or spec.path, checkpoint), (identity, file_checksum(checkpoint)), expected, strict=True
    ):
        if found != wanted:
            raise InputError.of(
                "other_input",
                f"{what}: a worker reads {found}, where the command reads {wanted}; all must see the same files",
            )
    use_threads(config.compute.threads)
    return load_model(config, checkpoint), raw


def hierarchy_of(run: UnetRun, name: str) -> Hierarchy:
    """All segmentations of a volume, from its affinities."""
    store = run.affinities(name)
    if not store.exists():
        raise InputError.of("no_affinities", f"{store}: no affinities; run baselines predict first")
    job = json.loads((store.with_name(store.name + ".progress") / "job.json").read_text())
    with run.provenance.stage(f"segment {name}"):
        return build_hierarchy(
            store, run.work(name), run.config.segment, cluster=run.cluster, job={"affinities": job}, quiet=run.quiet
        )
