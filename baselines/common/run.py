"""A run: a configuration, the folder that its results go to, and what they come from. Each method adds its own files.

last.pt, log.jsonl          training
NAME.h5                     labels of the volume NAME: ``validate`` or a test volume
NAME-scores.json            evaluation
provenance.json             code, configuration, data, hardware, seconds
"""

import dataclasses
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Self, TypeVar

from axonem_eval.errors import InputError
from baselines.common import evaluate
from baselines.common.cluster import HERE, Cluster
from baselines.common.config import ExperimentConfig
from baselines.common.config_data import VolumeConfig
from baselines.common.data import Volume, checksum, load_one
from baselines.common.device import pick_device
from baselines.common.precision import choose_precision
from baselines.common.provenance import Provenance

VALIDATE = "validate"
Config = TypeVar("Config", bound=ExperimentConfig)


@dataclass
class Run(Generic[Config]):
    """A configuration and its folder. folds : runs of its folds, where the method has them.

    cluster : where what can be divided is computed.
    """

    config: Config
    folder: Path
    provenance: Provenance
    quiet: bool = False
    folds: list[Self] = field(default_factory=list)
    cluster: Cluster = HERE
    _volumes: dict[str, Volume] = field(default_factory=dict)

    def compute_on(self, cluster: Cluster) -> None:
        """Compute there from now on, for folds as well."""
        self.cluster = cluster
        for fold in self.folds:
            fold.compute_on(cluster)

    @property
    def tests(self) -> list[str]:
        """Names of the volumes to report on."""
        return [volume.name for volume in self.config.data.test]

    @property
    def checkpoint(self) -> Path:
        """The checkpoint that the configuration names, or the last one trained here."""
        return self.config.resolve(self.config.checkpoint) if self.config.checkpoint else self.folder / "last.pt"

    def labels(self, name: str) -> Path:
        """File of a volume's labels, to upload."""
        return self.folder / f"{name}.h5"

    def spec(self, name: str) -> VolumeConfig:
        """Where ``validate`` or a test volume comes from. Raises InputError where there is none of that name."""
        known = {volume.name: volume for volume in self.config.data.test}
        if self.config.data.validate:
            known[VALIDATE] = self.config.data.validate
        if name not in known:
            raise InputError.of("no_volume", f"no volume {name!r} in the configuration; it has {', '.join(known)}")
        return known[name]

    def volume(self, name: str, *, need_labels: bool = True) -> Volume:
        """The volume ``validate`` or a test volume by name. Raises InputError where there is none of that name."""
        if name not in self._volumes:
            # Ground truth for scoring keeps its boundaries, whatever training does.
            spec = dataclasses.replace(self.spec(name), erode=0)
            self._volumes[name] = load_one(self.config, spec, need_labels=need_labels)
            self.note_volume(name, self._volumes[name])
        return self._volumes[name]

    def has_labels(self, name: str) -> bool:
        """Whether a volume can be scored here; one without labels is scored by the server alone."""
        spec = self.spec(name)
        return spec.kind != "pair" or bool(spec.labels)

    def truth(self, name: str) -> evaluate.Truth:
        """Labels and skeletons to score a volume against."""
        volume = self.volume(name)
        assert volume.labels is not None
        place, size = self.folder / "truth", volume.voxel_size_nm_zyx
        return evaluate.make_truth(volume.labels, size, self.config.evaluate, place, name)

    def note_volume(self, name: str, volume: Volume) -> None:
        """Keep in the provenance which data a volume holds."""
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

    def precision(self, stage: str) -> str:
        """The number type of a stage, told in the log and kept in the provenance."""
        chosen = choose_precision(self.config.compute.precision, pick_device(self.config.compute.device))
        self.provenance.note("precision", stage, {"type": chosen.name, "why": chosen.why})
        if not self.quiet:
            print(f"{stage} in {chosen}", file=sys.stderr)
        return chosen.name
