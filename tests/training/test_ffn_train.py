"""The flood-filling network learns, and goes on after a kill as if nothing had happened."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from axonem_eval.errors import InputError  # noqa: E402
from baselines.common.checkpoint import load_checkpoint, load_weights  # noqa: E402
from baselines.common.config import ScheduleConfig  # noqa: E402
from baselines.common.config_file import config_from  # noqa: E402
from baselines.common.data import load_volumes  # noqa: E402
from baselines.ffn.config import FfnConfig  # noqa: E402
from baselines.ffn.evaluator import Evaluator  # noqa: E402
from baselines.ffn.fill import flood_options, normalised  # noqa: E402
from baselines.ffn.flood import Canvas  # noqa: E402
from baselines.ffn.networks import new_network  # noqa: E402
from baselines.ffn.run import open_run  # noqa: E402
from baselines.ffn.stages import train_run  # noqa: E402
from baselines.ffn.train import object_loss, optimizer_of, take_step, train  # noqa: E402
from baselines.ffn.train_config import FfnTrainConfig  # noqa: E402
from baselines.ffn.training_objects import Fields  # noqa: E402
from tests.training.cells import cells, write_cells  # noqa: E402

SMALL = {
    "name": "small",
    "method": "ffn",
    "voxel_size_nm": [300, 80, 80],
    "seed": 5,
    "model": {"depth": 3, "features": 8, "fov": [5, 9, 9], "deltas": [1, 3, 3], "grey_mean": 150, "grey_std": 60},
    "train": {
        "steps": 6, "batch": 2, "optimizer": "adam", "learning_rate": 0.01, "min_object_voxels": 100, "workers": 0,
        "checkpoint_every": 2, "log_every": 2,
    },
    "inference": {"pad_probability": 0.5, "move_probability": 0.6, "min_voxels": 200},
    "augment": {"misalign": 0, "missing": 0, "lost": 0, "blur": 0, "box": 0, "warp": 0, "grey": 0},
    "compute": {"threads": 1, "precision": "float32"},
    "evaluate": {"tolerance_nodes": 5},
}  # fmt: skip
CELLS = {"raw": "cells.h5:raw", "labels": "cells.h5:labels"}


@pytest.fixture
def config(tmp_path: Path) -> FfnConfig:
    write_cells(tmp_path)
    values = SMALL | {"data": {"train": [CELLS], "validate": CELLS | {"y": [0, 24], "x": [0, 24]}}}
    return config_from(values, folder=str(tmp_path))


def with_train(config: FfnConfig, **options) -> FfnConfig:
    return replace(config, train=replace(config.train, **options))


def log_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def same(a, b) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


# ---- a step ----------------------------------------------------------------------------------------------------------


def fields(batch=2, weight=1.0) -> Fields:
    parts = [torch.rand(batch, 1, 5, 9, 9, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    return Fields(parts[0], parts[1], (parts[2] > 0.5) * 0.9 + 0.05, torch.full_like(parts[0], weight))


@pytest.mark.slow
def test_no_weight_changes_by_more_than_the_rate_times_the_clip(config):
    """SGD moves a weight by rate * gradient, so the largest change shows the largest entry."""
    largest = {}
    for clip in (0.0, 1e-3):
        torch.manual_seed(0)
        network = new_network(config.model)
        before = [p.detach().clone() for p in network.parameters()]
        optimizer = optimizer_of(network, FfnTrainConfig(optimizer="sgd", learning_rate=0.5))
        take_step(network, optimizer, fields(), clip, "float32")
        changes = [(p.detach() - q).abs().max() for p, q in zip(network.parameters(), before, strict=True)]
        largest[clip] = float(max(changes))
    assert largest[1e-3] == pytest.approx(0.5e-3, rel=1e-3)
    assert largest[0.0] > 1e-3


def test_the_loss_is_the_mean_over_all_voxels_and_unknown_ones_count_as_0():
    part = fields()
    weight = part.weight.clone()
    weight[:, :, :, :4] = 0
    p = torch.sigmoid(part.logits).double()
    entropy = -(part.target * p.log() + (1 - part.target) * (1 - p).log()) * weight
    assert float(object_loss(part.logits, part.target, weight)) == pytest.approx(float(entropy.mean()), rel=1e-5)


def test_unknown_voxels_teach_nothing(config):
    network = new_network(config.model)
    before = [p.detach().clone() for p in network.parameters()]
    optimizer = optimizer_of(network, FfnTrainConfig(optimizer="sgd", learning_rate=1.0))
    take_step(network, optimizer, fields(weight=0.0), 0.7, "float32")
    assert all(map(torch.equal, network.parameters(), before))


def test_momentum_carries_a_step_into_the_next(config):
    moved = []
    for momentum in (0.0, 0.9):
        torch.manual_seed(0)
        network = new_network(config.model)
        optimizer = optimizer_of(network, FfnTrainConfig(optimizer="sgd", learning_rate=0.1, momentum=momentum))
        take_step(network, optimizer, fields(), 0.7, "float32")
        before = network.last.bias.detach().clone()
        take_step(network, optimizer, fields(weight=0.0), 0.7, "float32")
        moved.append(bool((network.last.bias.detach() != before).any()))
    assert moved == [False, True]


# ---- a whole training ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_tiny_network_learns_to_fill_tubes(config, tmp_path):
    # Of ten seeds each fills two tubes and more; with a batch of 4 it depends on how a processor rounds.
    options = {"steps": 800, "batch": 16, "learning_rate": 3e-3, "average": 0.95, "log_every": 100}
    options |= {"given_share": 0.5}
    config = with_train(config, **options, checkpoint_every=800, schedule=ScheduleConfig("cosine"))
    config = replace(config, inference=replace(config.inference, move_probability=0.9))
    path = train(config, load_volumes(config, config.data.train), tmp_path / "run", quiet=True)
    accuracy = [row["train/accuracy"] for row in log_of(tmp_path / "run") if "train/accuracy" in row]
    assert accuracy[-1] > 0.8 > accuracy[0]
    network = new_network(config.model)
    load_weights(network, load_checkpoint(path), path)
    raw, labels = cells((12, 48, 48))
    step = Evaluator(network, precision="float32").step
    canvas = Canvas(normalised(raw, config), step, network.fov_zyx, network.deltas_zyx, flood_options(config.inference))
    shares = []
    for seed in [(6, y, x) for y in (18, 30) for x in (18, 30)]:  # the four tubes that do not touch the border
        filled, tube = canvas.segmentation == canvas.segment_from(seed), labels == labels[seed]
        shares.append((filled & tube).sum() / max(filled.sum(), tube.sum()))
    assert sorted(shares)[2] > 0.7, shares


@pytest.mark.parametrize(
    "options",
    [{}, {"average": 0.9, "still_steps": 3}, {"movement": "max_pred_moves", "given_share": 0.5}, {"optimizer": "sgd"}],
)
def test_a_stopped_training_ends_bit_for_bit_like_an_undisturbed_one(config, tmp_path, options):
    config = with_train(config, **options)
    volumes = load_volumes(config, config.data.train)
    whole = load_checkpoint(train(config, volumes, tmp_path / "whole", quiet=True))
    train(config, volumes, tmp_path / "cut", stop_after=5, quiet=True)  # the last checkpoint is of step 4
    assert load_checkpoint(tmp_path / "cut" / "last.pt")["step"] == 4
    cut = load_checkpoint(train(config, volumes, tmp_path / "cut", quiet=True))
    assert cut["step"] == 6
    assert same(cut, whole)


@pytest.mark.slow
def test_a_killed_training_ends_bit_for_bit_like_an_undisturbed_one(config, tmp_path):
    config = with_train(config, steps=16)
    code = (
        "import json, sys; from pathlib import Path\n"
        "from baselines.common.config_file import config_from; from baselines.common.data import load_volumes\n"
        "from baselines.ffn.train import train\n"
        "config = config_from(json.loads(sys.argv[1]), folder=sys.argv[2])\n"
        "train(config, load_volumes(config, config.data.train), Path(sys.argv[2]) / 'killed', quiet=True)\n"
    )
    values = SMALL | {"data": {"train": [CELLS]}, "train": SMALL["train"] | {"steps": 16}}
    command = [sys.executable, "-c", code, json.dumps(values), str(tmp_path)]
    victim = subprocess.Popen(command)
    while not (tmp_path / "killed" / "last.pt").exists() and victim.poll() is None:
        time.sleep(0.01)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    assert 2 <= load_checkpoint(tmp_path / "killed" / "last.pt")["step"] <= 16
    subprocess.run(command, check=True)
    whole = load_checkpoint(train(config, load_volumes(config, config.data.train), tmp_path / "whole", quiet=True))
    killed = load_checkpoint(tmp_path / "killed" / "last.pt")
    assert all(same(killed[part], whole[part]) for part in ("step", "model", "optimizer", "slots", "counts"))


def test_threads_for_examples_change_no_bit(config, tmp_path):
    volumes = load_volumes(config, config.data.train)
    found = [
        load_checkpoint(train(with_train(config, workers=n), volumes, tmp_path / str(n), quiet=True)) for n in (0, 2)
    ]
    assert same(found[0]["model"], found[1]["model"])


def test_a_checkpoint_with_other_objects_at_work_is_refused(config, tmp_path):
    volumes = load_volumes(config, config.data.train)
    train(config, volumes, tmp_path / "run", quiet=True)
    with pytest.raises(InputError, match=r"2 objects are at work.*train\.batch 3 on 1 processes makes 3"):
        train(with_train(config, batch=3), volumes, tmp_path / "run", quiet=True)


def test_a_training_begins_with_the_weights_of_another(config, tmp_path):
    first = train_run(open_run(config, tmp_path / "first", quiet=True))
    more = with_train(config, start=str(first), optimizer="sgd", learning_rate=1e-9)
    second = train_run(open_run(more, tmp_path / "second", quiet=True))
    a, b = (load_checkpoint(path)["model"] for path in (first, second))
    assert all(torch.allclose(a[k], b[k], atol=1e-6) for k in a)


def test_the_log_has_voxel_scores_of_training_and_object_scores_of_validation(config, tmp_path):
    config = with_train(config, steps=60, log_every=30, validate_every=60)
    train_run(open_run(config, tmp_path / "run", quiet=True))
    rows = log_of(tmp_path / "run")
    assert {"objects", "precision", "recall", "accuracy"} <= {k[6:] for row in rows for k in row if k[:6] == "train/"}
    (scored,) = [row for row in rows if "validate/arand_error" in row]
    assert scored["step"] == 60
    assert 0 <= scored["validate/arand_error"] <= 1
    assert {"validate/voi_split", "validate/voi_merge", "validate/objects", "validate/fov_steps"} <= scored.keys()


@pytest.mark.parametrize(
    ("table", "values", "words"),
    [
        ("train", {"fov_moves": 2}, "fov_moves 2 with movement 'fixed'"),
        ("train", {"momentum": 0.9}, "momentum 0.9 with optimizer 'adam'"),
        ("train", {"validate_every": 2}, "train.validate_every 2 needs [data.validate]"),
        ("train", {"schedule": {"cycles": 2}, "steps": 4}, "schedule.cycles 2"),
        ("inference", {"move_probability": 0.97}, "move_probability 0.97 is above inference.seed_probability 0.95"),
    ],
)
def test_options_that_contradict_each_other_are_named(table, values, words):
    with pytest.raises(InputError, match=re.escape(words)):
        config_from(SMALL | {table: SMALL[table] | values})


@pytest.mark.slow
def test_two_processes_train_one_model_on_the_objects_that_one_would_take(config, tmp_path):
    """torchrun on CPU, each with half of the batch: the same examples in the same slots, the same sum of gradients."""
    code = tmp_path / "ddp.py"
    code.write_text(
        "import json, sys; from pathlib import Path\n"
        "from baselines.common.config_file import config_from; from baselines.common.data import load_volumes\n"
        "from baselines.ffn.train import train\n"
        "config = config_from(json.loads(sys.argv[1]), folder=sys.argv[2])\n"
        "train(config, load_volumes(config, config.data.train), Path(sys.argv[2]) / 'ddp', quiet=True)\n"
    )
    # SGD: Adam would turn the rounding of small gradients into whole steps.
    options = SMALL["train"] | {"optimizer": "sgd", "learning_rate": 0.1}
    values = SMALL | {"data": {"train": [CELLS]}, "train": options | {"batch": 1}}
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(code),
         json.dumps(values), str(tmp_path)],
        check=False, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    together = load_checkpoint(tmp_path / "ddp" / "last.pt")
    config = with_train(config, optimizer="sgd", learning_rate=0.1)
    alone = load_checkpoint(train(config, load_volumes(config, config.data.train), tmp_path / "alone", quiet=True))
    assert [slot["number"] for slot in together["slots"]] == [slot["number"] for slot in alone["slots"]]
    for name, value in alone["model"].items():
        torch.testing.assert_close(together["model"][name], value, atol=1e-5, rtol=1e-4)
