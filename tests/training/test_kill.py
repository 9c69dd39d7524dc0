"""kill -9 in the middle of prediction and segmentation, then the same call again: the undisturbed result.

Training has the same in test_train.py.
"""

import signal
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("torch")
zarr = pytest.importorskip("zarr")

SCRIPT = """
import os, signal, sys
from pathlib import Path
import numpy as np, torch
from baselines.affinity_unet.model import ResidualUNet
from baselines.affinity_unet.predict import predict
from baselines.affinity_unet.segment import build_hierarchy
from baselines.affinity_unet.work_folder import WorkFolder
from baselines.common.config_file import config_from
from tests.training.cells import SMALL, cells

stage, deadline, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
calls = 0

def tick(name):
    def step():
        global calls
        calls += name == stage
        if name == stage and calls == deadline:
            os.kill(os.getpid(), signal.SIGKILL)
    return step

torch.manual_seed(0)
torch.set_num_threads(1)
config = config_from(SMALL)
model = ResidualUNet(config.model)
torch.nn.init.normal_(model.head.weight, std=0.3)
raw = cells((10, 40, 44))[0]
predict(model, raw, folder / "a.zarr", config.predict, quiet=True, after_patch=tick("predict"))
hierarchy = build_hierarchy(folder / "a.zarr", folder / "work", config.segment, quiet=True, after_block=tick("segment"))
labels = hierarchy.lookup(0.5, 0)[WorkFolder(folder / "work").read(tuple(slice(0, n) for n in raw.shape))]
np.save(folder / "labels.npy", labels)
"""


def run(folder, stage: str = "none", deadline: int = 0) -> int:
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-c", SCRIPT, stage, str(deadline), str(folder)]
    return subprocess.run(command, check=False, timeout=120).returncode


@pytest.mark.slow
def test_killed_in_both_stages_it_ends_like_an_undisturbed_run(tmp_path):
    assert run(tmp_path / "whole") == 0
    # of 2 x 12 blocks: one kill among the fragments, one in the region graph after the 3 fragments that are left
    for stage, deadline in (("predict", 23), ("segment", 9), ("segment", 8)):
        assert run(tmp_path / "killed", stage, deadline) == -signal.SIGKILL
    assert run(tmp_path / "killed") == 0
    whole, killed = (tmp_path / name for name in ("whole", "killed"))
    affinities = [zarr.open_array(folder / "a.zarr", mode="r")[:] for folder in (whole, killed)]
    assert np.array_equal(*affinities)
    assert affinities[0].std() > 1
    assert np.array_equal(np.load(whole / "labels.npy"), np.load(killed / "labels.npy"))
