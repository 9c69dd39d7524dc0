"""Labels of a volume as HDF5, ready to upload, written box by box."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from axonem_eval.files import write_atomically
from baselines.common.blockwise import Box, Triple, fitted
from baselines.common.config_types import FloatTriple


def write_label_file(
    out: Path,
    shape: Triple,
    parts: Iterable[tuple[Box, NDArray[Any]]],
    *,
    voxel_size_nm_zyx: FloatTriple,
    attributes: Mapping[str, Any],
) -> None:
    """Write the dataset ``main`` (z,y,x) uint32 so that ``out`` is always a whole file.

    parts : boxes and their labels, which together fill the volume; one is held at a time.
    """

    def write(draft: IO[bytes]) -> None:
        with h5py.File(draft.name, "w") as file:
            labels = file.create_dataset(
                "main", shape, "uint32", chunks=fitted((64, 64, 64), shape), compression="gzip", compression_opts=4
            )
            labels.attrs["voxel_size_nm"] = np.array(voxel_size_nm_zyx, np.float64)
            for name, value in attributes.items():
                labels.attrs[name] = value
            for box, values in parts:
                labels[box] = values

    write_atomically(out, write)
