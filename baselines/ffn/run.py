"""A run of the flood-filling network. Besides the files of any run its folder holds

NAME-objects/               inference: objects of each subvolume, and of the whole volume
"""

from dataclasses import dataclass
from pathlib import Path

from axonem_eval.errors import InputError
from baselines.common.provenance import Provenance
from baselines.common.run import Run
from baselines.ffn.config import FfnConfig


@dataclass
class FfnRun(Run[FfnConfig]):
    """A configuration and its folder."""

    @property
    def weights(self) -> Path:
        """The checkpoint's file of weights, for its checksum. Raises InputError where it is missing."""
        path = self.checkpoint
        file = path if path.suffix == ".pt" else path.with_name(f"{path.name}.data-00000-of-00001")
        if not file.is_file():
            raise InputError.of("no_checkpoint", f"{file}: no such checkpoint; train first (baselines train CONFIG)")
        return file

    def work(self, name: str) -> Path:
        """Folder of a volume's objects."""
        return self.folder / f"{name}-objects"

    def objects(self, name: str) -> Path:
        """Zarr array (z,y,x) uint32 of a volume's objects."""
        return self.work(name) / "objects.zarr"

    def probabilities(self, name: str) -> Path:
        """Zarr array (z,y,x) uint8 of the probability of each voxel's object, where it is asked for; 255 is 1."""
        return self.work(name) / "probability.zarr"


def open_run(config: FfnConfig, folder: Path, *, command: str = "", quiet: bool = False) -> FfnRun:
    """The run of a configuration in a folder, which may hold results of earlier calls.

    command : what makes the results again, for the provenance.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return FfnRun(config, folder, Provenance(folder / "provenance.json", config, command), quiet)
