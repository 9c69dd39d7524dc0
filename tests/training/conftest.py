"""Small networks and volumes; PyTorch on one thread, because results are compared bit by bit."""

import sys
from pathlib import Path

import pytest

from baselines.affinity_unet.config import UnetConfig
from baselines.common.config_file import config_from
from tests.training.cells import SMALL, write_cells


@pytest.fixture
def small() -> UnetConfig:
    return config_from(SMALL)


@pytest.fixture
def cells_config(tmp_path: Path) -> UnetConfig:
    """An experiment on a file of cells with dark walls: grey values from which a few steps can learn."""
    write_cells(tmp_path)
    volume = {"raw": "cells.h5:raw", "labels": "cells.h5:labels"}
    values = SMALL | {
        "data": {"train": [volume], "validate": volume | {"z": [0, 6]}, "test": [volume | {"name": "cells"}]}
    }
    return config_from(values, folder=str(tmp_path))


@pytest.fixture(autouse=True)
def one_thread():
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
