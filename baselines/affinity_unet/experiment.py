"""The steps from data to a scored segmentation, each resumable, each writing into one folder.

train      last.pt, log.jsonl
predict    NAME-affinities.zarr       NAME is validate or a test volume's
segment    NAME-segments/, then NAME.h5 at the chosen threshold
evaluate   NAME-scores.json

With folds each has the same in the folder fold-INDEX; last.pt holds the networks of all then.
"""

import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from torch import nn

from axonem_eval.errors import InputError
from baselines.affinity_unet.folds import join_checkpoints, mean_of_sweeps
from baselines.affinity_unet.model import MeanOfNetworks, ResidualUNet
from baselines.affinity_unet.predict import predict
from baselines.affinity_unet.segment import Hierarchy, build_hierarchy, global_fragments, write_segmentation
from baselines.affinity_unet.train import pick_device, train
from baselines.common import evaluate
from baselines.common.blockwise import blocks, write_json
from baselines.common.checkpoint import load_checkpoint, load_weights, save_checkpoint
from baselines.common.config import ExperimentConfig, VolumeConfig, load_config
from baselines.common.data import Volume, checksum, load_one, load_volumes, open_raw
from baselines.common.precision import choose_precision
from baselines.common.provenance import Provenance, file_checksum
from baselines.common.published import published_segmentations

CONFIGS = Path(__file__).parent.parent / "configs"


class Experiment:
    """A configuration and the folder that its results go to. fold : which it is of another, None where of none."""

    def __init__(
        self,
        config: ExperimentConfig,
        folder: Path,
        *,
        command: str = "",
        quiet: bool = False,
        fold: int | None = None,
    ) -> None:
        self.config, self.folder, self.quiet, self.fold = config, folder, quiet, fold
        folder.mkdir(parents=True, exist_ok=True)
        self.provenance = Provenance(folder / "provenance.json", config, command)
        self.folds = [
            Experiment(config.fold(i), folder / f"fold-{i}", command=command, quiet=quiet, fold=i)
            for i in range(len(config.folds))
        ]
        self._volumes: dict[str, Volume] = {}

    def volume(self, name: str, *, need_labels: bool = True) -> Volume:
        """The volume ``validate`` or a test volume by name. Raises InputError where there is none of that name."""
        if name not in self._volumes:
            spec = self._spec(name)
            # Truth for scoring keeps its boundaries, whatever training does.
            volume = load_one(self.config, dataclasses.replace(spec, erode=0), need_labels=need_labels)
            self._note(name, volume)
            self._volumes[name] = volume
        return self._volumes[name]

    def _spec(self, name: str) -> VolumeConfig:
        known = {volume.name: volume for volume in self.config.data.test}
        if self.config.data.validate:
            known["validate"] = self.config.data.validate
        if name not in known:
            raise InputError.of("no_volume", f"no volume {name!r} in the configuration; it has {', '.join(known)}")
        return known[name]

    @property
    def tests(self) -> list[str]:
        """Names of the volumes to report on."""
        return [volume.name for volume in self.config.data.test]

    def _note(self, name: str, volume: Volume) -> None:
        self.provenance.note(
            "data",
            name,
            {
                "volume": volume.name,
                "shape": list(volume.raw.shape),
                "raw_sha256": checksum(volume.raw),
                "labels_sha256": None if volume.labels is None else checksum(volume.labels),
            },
        )

    @property
    def checkpoint(self) -> Path:
        """The shipped checkpoint that the configuration names, or the last one trained here."""
        return self.config.resolve(self.config.checkpoint) if self.config.checkpoint else self.folder / "last.pt"

    def train(self, *, stop_after: int | None = None) -> Path:
        """Train to the end, from where an earlier run stopped; fold by fold where there are folds."""
        if self.folds:
            for index, fold in enumerate(self.folds):
                fold.train(stop_after=stop_after)
                self.provenance.take(f"fold-{index}", fold.provenance, ("train", "train start"))
            path = join_checkpoints([fold.checkpoint for fold in self.folds], self.checkpoint)
            self.provenance.note("results", "checkpoint_sha256", file_checksum(path))
            return path
        volumes = load_volumes(self.config, self.config.data.train)
        if not volumes:
            raise InputError.of("no_volume", "the configuration has no [[data.train]] volumes")
        for index, volume in enumerate(volumes):
            self._note(f"train-{index}", volume)
        start = self._start()
        self.precision("train")
        with self.provenance.stage("train"):
            validate = self.validate if self.config.train.validate_every else None
            path = train(
                self.config, volumes, self.folder, start=start, validate=validate, stop_after=stop_after,
                quiet=self.quiet,
            )  # fmt: skip
        if start:
            self.provenance.note("results", "start_sha256", file_checksum(start))
        self.provenance.note("results", "checkpoint_sha256", file_checksum(path))
        return path

    def _start(self) -> Path | None:
        """What a new run begins with; another configuration is trained for it, in the folder ``start``."""
        if not self.config.train.start or (self.folder / "last.pt").exists():
            return None
        path = self.config.resolve(self.config.train.start)
        if path.suffix != ".toml":
            return path
        command = f"baselines train {path.stem}"
        start = Experiment(load_config(path), self.folder / "start", command=command, quiet=self.quiet)
        if self.fold is not None:
            start = self._same_fold(start, path)
        with self.provenance.stage("train start"):
            return start.train()

    def _same_fold(self, start: "Experiment", path: Path) -> "Experiment":
        """The fold that this one goes on from; InputError where it would learn from what is kept from this one."""
        same = [fold for fold in start.folds[self.fold : self.fold + 1] if fold.config.data == self.config.data]  # type: ignore[operator]
        if not same:
            raise InputError.of(
                "other_folds", f"train.start {path.name}: its fold {self.fold} has other volumes than this one's; a "
                "network must not begin with weights that learnt from what is kept from it",
            )  # fmt: skip
        return same[0]

    def precision(self, stage: str) -> str:
        """The number type of a stage, told in the log and kept in the provenance."""
        chosen = choose_precision(self.config.train.autocast, pick_device(self.config.train.device))
        self.provenance.note("precision", stage, {"type": chosen.name, "why": chosen.why})
        if not self.quiet:
            print(f"{stage} in {chosen}", file=sys.stderr)
        return chosen.name

    def model(self) -> nn.Module:
        """The trained network, ready for inference."""
        return load_model(self.config, self.checkpoint)

    def predict(self, name: str) -> Path:
        """Affinities of a volume; several processes may run this at once."""
        raw, identity = open_raw(self.config, self._spec(name))
        self.provenance.note("data", f"{name} raw", identity)
        store = self.folder / f"{name}-affinities.zarr"
        job = {"raw": identity, "checkpoint": file_checksum(self.checkpoint)}
        if self.config.train.threads:
            torch.set_num_threads(self.config.train.threads)
        model = self.model()
        with self.provenance.stage(f"predict {name}"):
            predict(
                model, raw, store, self.config.predict, job=job, precision=self.precision(f"predict {name}"),
                quiet=self.quiet,
            )  # fmt: skip
        return store

    def hierarchy(self, name: str) -> Hierarchy:
        """All segmentations of a volume, from its affinities."""
        store = self.folder / f"{name}-affinities.zarr"
        if not store.exists():
            raise InputError.of("no_affinities", f"{store}: no affinities; run baselines predict first")
        job = json.loads((store.with_name(store.name + ".progress") / "job.json").read_text())
        with self.provenance.stage(f"segment {name}"):
            return build_hierarchy(
                store, self._work(name), self.config.segment, job={"affinities": job}, quiet=self.quiet
            )

    def _work(self, name: str) -> Path:
        return self.folder / f"{name}-segments"

    def truth(self, name: str) -> evaluate.Truth:
        """Labels and skeletons to score against."""
        volume = self.volume(name)
        assert volume.labels is not None
        return evaluate.make_truth(
            volume.labels, volume.voxel_size_nm_zyx, self.config.evaluate, self.folder / "truth", name
        )

    def sweep(self, name: str, hierarchy: Hierarchy) -> list[dict[str, Any]]:
        """Scores at every threshold of the configuration, from one table of overlaps."""
        truth = self.truth(name)
        work = self._work(name)
        grid = blocks(truth.labels.shape, self.config.segment.block)  # type: ignore[arg-type]
        table = evaluate.overlaps((truth.labels[b.core], global_fragments(work, b.core)) for b in grid)
        nodes = None
        if truth.graph is not None:
            whole = tuple(slice(0, n) for n in truth.labels.shape)
            nodes = global_fragments(work, whole)[tuple(truth.graph.node_voxel_zyx.T)]  # type: ignore[arg-type]
        rows = []
        for threshold in self.config.segment.thresholds:
            lookup = hierarchy.lookup(threshold, self.config.segment.dust)
            row = evaluate.scores(
                evaluate.renamed(table, lookup),
                truth.graph,
                None if nodes is None else lookup[nodes],
                self.config.evaluate,
            )
            rows.append({"threshold": threshold, **row})
        return rows

    def choose_threshold(self) -> float:
        """The configuration's threshold, or the best of the sweep on the validation volume."""
        if self.config.segment.threshold >= 0:
            return self.config.segment.threshold
        note, weights = self.folder / "threshold.json", file_checksum(self.checkpoint)
        known = json.loads(note.read_text()) if note.exists() else {}
        if known.get("checkpoint") == weights:  # other weights need another threshold
            return float(known["threshold"])
        rows = self.validation_sweep()
        chosen = self._best(rows)
        choice = {"threshold": chosen["threshold"], "chosen_by": self.config.evaluate.choose_by}
        write_json(note, {**choice, "checkpoint": weights, "sweep": rows})
        self.provenance.note("results", "threshold", chosen["threshold"])
        return float(chosen["threshold"])

    def validation_sweep(self) -> list[dict[str, Any]]:
        """Scores at every threshold on the validation volume; with folds the mean over each fold's own."""
        if self.folds:
            return mean_of_sweeps([fold.validation_sweep() for fold in self.folds])
        self.predict("validate")
        return self.sweep("validate", self.hierarchy("validate"))

    def _best(self, sweep: list[dict[str, Any]]) -> dict[str, Any]:
        return evaluate.best(sweep, self.config.evaluate.choose_by, within=self.config.evaluate.choose_within)

    def segment(self, name: str) -> Path:
        """Write the labels of a volume at the chosen threshold as HDF5, ready to upload."""
        threshold = self.choose_threshold()
        hierarchy = self.hierarchy(name)
        out = self.folder / f"{name}.h5"
        count = write_segmentation(
            self._work(name),
            hierarchy,
            out,
            threshold=threshold,
            dust=self.config.segment.dust,
            voxel_size_nm_zyx=self.config.voxel_size_of(self._spec(name)),
            # No times: the same labels must be the same file, which the server knows again.
            attributes={"provenance": json.dumps(self.provenance.origin)},
        )
        self.provenance.note("results", f"{name} segments", count)
        return out

    def evaluate(self, name: str) -> dict[str, Any]:
        """Scores of the written labels, by the scorer that the server uses."""
        import h5py

        out = self.folder / f"{name}.h5"
        if not out.exists():
            raise InputError.of("no_segmentation", f"{out}: no segmentation; run baselines segment first")
        with h5py.File(out, "r") as file:
            labels = file["main"][()]
        with self.provenance.stage(f"evaluate {name}"):
            scores = evaluate.score_labels(self.truth(name), labels, self.config.evaluate)
        write_json(self.folder / f"{name}-scores.json", scores)
        self.provenance.note("results", f"{name} scores", scores)
        return scores

    def published(self, name: str) -> dict[str, dict[str, Any]]:
        """Scores by title of what others published of a volume, cropped like it."""
        found = published_segmentations(self.config, self._spec(name))
        rows = {title: evaluate.score_labels(self.truth(name), v, self.config.evaluate) for title, v in found.items()}
        if rows:
            write_json(self.folder / f"{name}-published.json", rows)
        return rows

    def picture(self, name: str, z: int, path: Path, *, scale: int = 1) -> Path:
        """PNG of section ``z``: grey values, affinities, segmentation, ground truth."""
        import h5py

        from baselines.common.picture import panels, save_png

        volume = self.volume(name, need_labels=False)
        affinity = np.asarray(zarr.open_array(self.folder / f"{name}-affinities.zarr", mode="r")[:, z])
        with h5py.File(self.folder / f"{name}.h5", "r") as file:
            shown = [("segmentation", file["main"][z])]
        if volume.labels is not None:
            shown.append(("ground truth", volume.labels[z]))
        save_png(panels(volume.raw[z], affinity, shown, scale=scale), path)
        return path

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Scores of a model under training on the validation volume, at the best threshold of the sweep."""
        volume, truth = self.volume("validate"), self.truth("validate")
        with tempfile.TemporaryDirectory() as place:
            store = Path(place) / "affinities.zarr"
            predict(model, volume.raw, store, self.config.predict, precision=self.config.train.autocast, quiet=True)
            from baselines.affinity_unet.segment import segment_array

            fragments, hierarchy = segment_array(np.asarray(zarr.open_array(store, mode="r")[:]), self.config.segment)
        rows = []
        for threshold in self.config.segment.thresholds:
            labels = hierarchy.lookup(threshold, self.config.segment.dust)[fragments]
            rows.append({"threshold": threshold, **evaluate.score_labels(truth, labels, self.config.evaluate)})
        row = self._best(rows)
        found = {f"validate/{k}": float(row[k]) for k in ("threshold", "arand_error", "voi_split", "voi_merge")}
        if "erl" in row:
            found["validate/erl_nm"] = float(row["erl"]["erl_nm"])
        return found

    def reproduce(self) -> dict[str, Any]:
        """Everything from data to scored labels of the test volumes; scores by name."""
        if not self.config.checkpoint:
            self.train()
        self.choose_threshold()
        found = {}
        for name in self.tests:
            self.predict(name)
            self.segment(name)
            if self._has_labels(name):
                found[name] = self.evaluate(name)
        return found

    def _has_labels(self, name: str) -> bool:
        """A volume without labels is scored by the server alone."""
        spec = self._spec(name)
        return spec.kind != "pair" or bool(spec.labels)


def load_model(config: ExperimentConfig, checkpoint: Path) -> nn.Module:
    """The configuration's network with a checkpoint's weights, ready for inference on the configured device.

    Of a checkpoint of several cycles the mean of the networks at the ends of them.
    """
    found = load_checkpoint(checkpoint)
    networks = []
    for state in (*({"model": weights} for weights in found.get("earlier", [])), found):
        networks.append(ResidualUNet(config.model))
        load_weights(networks[-1], state, checkpoint)
    model = networks[0] if len(networks) == 1 else MeanOfNetworks(networks)
    return model.to(pick_device(config.train.device), memory_format=torch.channels_last_3d).eval()


def export_weights(source: Path, target: Path) -> int:
    """Write a small checkpoint to ship: weights in half precision and the configuration; returns its bytes."""
    checkpoint = load_checkpoint(source)
    kept = {
        "step": checkpoint["step"],
        "model": _halved(checkpoint["model"]),
        "earlier": [_halved(weights) for weights in checkpoint.get("earlier", [])],
        "config": checkpoint["config"],
    }
    save_checkpoint(target, kept)
    return target.stat().st_size


def _halved(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}
