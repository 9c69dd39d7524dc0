"""Small networks and volumes; PyTorch on one thread, because results are compared bit by bit."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from baselines.common.config import ExperimentConfig
from baselines.common.config_file import config_from

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


@pytest.fixture
def small() -> ExperimentConfig:
    return config_from(SMALL)


@pytest.fixture
def cells_config(tmp_path: Path) -> ExperimentConfig:
    """An experiment on a file of cells with dark walls: grey values from which a few steps can learn."""
    import h5py

    raw, labels = cells((12, 48, 48))
    with h5py.File(tmp_path / "cells.h5", "w") as file:
        file["raw"], file["labels"] = raw, labels
    volume = {"raw": "cells.h5:raw", "labels": "cells.h5:labels"}
    values = SMALL | {
        "data": {"train": [volume], "validate": volume | {"z": [0, 6]}, "test": [volume | {"name": "cells"}]}
    }
    return replace(config_from(values), folder=str(tmp_path))


def cells(shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """(raw uint8, labels uint32): columns of 12 x 12 pixels with dark walls, which are background."""
    _, y, x = np.indices(shape)
    labels = (1 + (y // 12) * 10 + x // 12).astype(np.uint32)
    wall = (y % 12 == 0) | (x % 12 == 0)
    raw = np.where(wall, 40, 180) + np.random.default_rng(0).integers(-9, 10, shape)
    return raw.astype(np.uint8), np.where(wall, 0, labels).astype(np.uint32)


@pytest.fixture(autouse=True)
def one_thread():
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
