"""A run of the affinity U-Net. Besides the files of any run its folder holds

    NAME-affinities.zarr        prediction
    NAME-segments/              segmentation

With folds each fold has the same in the folder fold-INDEX; last.pt then holds the networks of all.
"""

from dataclasses import dataclass
from pathlib import Path

from baselines.affinity_unet.config import UnetConfig
from baselines.common.provenance import Provenance
from baselines.common.run import Run


@dataclass
class UnetRun(Run[UnetConfig]):
    """A configuration and its folder. fold : its index where it is one fold of another run; folds : its own."""

    fold: int | None = None

    def affinities(self, name: str) -> Path:
        """Store of a volume's affinities."""
        return self.folder / f"{name}-affinities.zarr"

    def work(self, name: str) -> Path:
        """Folder of a volume's fragments and hierarchy."""
        return self.folder / f"{name}-segments"


def open_run(
    config: UnetConfig, folder: Path, *, command: str = "", quiet: bool = False, fold: int | None = None
) -> UnetRun:
    """The run of a configuration in a folder, which may hold results of earlier calls.

    command : what makes the results again, for the provenance.
    """
    folder.mkdir(parents=True, exist_ok=True)
    provenance = Provenance(folder / "provenance.json", config, command)
    folds = [
        open_run(config.fold(i), folder / f"fold-{i}", command=command, quiet=quiet, fold=i)
        for i in range(len(config.folds))
    ]
    return UnetRun(config, folder, provenance, quiet, folds, fold=fold)
