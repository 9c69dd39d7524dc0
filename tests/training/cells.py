"""A small network's configuration, and a volume of cells that it learns from."""

from pathlib import Path

import h5py
import numpy as np

SMALL = {
    "name": "small",
    "voxel_size_nm": [30, 8, 8],
    "seed": 5,
    "model": {
        "widths": [4, 8],
        "pool": [[1, 2, 2]],
        "norm": "group",
        "offsets": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 4]],
    },
    "train": {"steps": 6, "patch": [4, 16, 16], "workers": 0, "checkpoint_every": 2, "log_every": 2},
    "compute": {"threads": 1},
    "predict": {"patch": [4, 16, 16], "overlap": [0.5, 0.5, 0.5], "chunk": [2, 8, 8]},
    "segment": {"block": [6, 20, 20], "halo": [2, 6, 6], "min_fragment_voxels": 10, "dust": 5},
}

# After the tables that say what is learnt.
EXPERIMENT = """
[model]
widths = [4, 8]
pool = [[1, 2, 2]]
norm = "group"
offsets = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 4]]

[train]
steps = {steps}
patch = [4, 24, 24]
learning_rate = 0.01
workers = 0

[compute]
threads = 1

[augment]
misalign = 0.0
missing = 0.0
blur = 0.0
box = 0.0
warp = 0.0

[predict]
patch = [4, 24, 24]

[segment]
block = [6, 20, 20]
halo = [2, 6, 6]
min_fragment_voxels = 10
dust = 5

[evaluate]
tolerance_nodes = 5
"""


def cells(shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """(raw uint8, labels uint32): columns of 12 x 12 pixels with dark walls, which are background."""
    _, y, x = np.indices(shape)
    labels = (1 + (y // 12) * 10 + x // 12).astype(np.uint32)
    wall = (y % 12 == 0) | (x % 12 == 0)
    raw = np.where(wall, 40, 180) + np.random.default_rng(0).integers(-9, 10, shape)
    return raw.astype(np.uint8), np.where(wall, 0, labels).astype(np.uint32)


def write_cells(folder: Path) -> None:
    """cells.h5, the volume of 12 sections of 48 x 48 pixels."""
    raw, labels = cells((12, 48, 48))
    with h5py.File(folder / "cells.h5", "w") as file:
        file["raw"], file["labels"] = raw, labels


def write_experiment(folder: Path, data: str, steps: int) -> Path:
    """cells.h5 and the configuration cells.toml, whose tables of data are given as text; returns the configuration."""
    write_cells(folder)
    head = 'name = "cells"\nvoxel_size_nm = [300, 80, 80]\nseed = 5\n'
    path = folder / "cells.toml"
    path.write_text(head + data + EXPERIMENT.format(steps=steps))
    return path
