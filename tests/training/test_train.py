"""Training learns, and goes on after a kill as if nothing had happened."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from axonem_eval.errors import InputError  # noqa: E402
from baselines.affinity_unet.batches import fitting_workers  # noqa: E402
from baselines.affinity_unet.config import HolesConfig, TrainConfig  # noqa: E402
from baselines.affinity_unet.networks import load_model  # noqa: E402
from baselines.affinity_unet.predict import forward  # noqa: E402
from baselines.affinity_unet.train import train  # noqa: E402
from baselines.common.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from baselines.common.config import ScheduleConfig  # noqa: E402
from baselines.common.data import load_volumes  # noqa: E402
from baselines.common.schedule import learning_rate  # noqa: E402

TRAPEZOID = ScheduleConfig("trapezoid", warmup_steps=10, cooldown_steps=20)


def same_weights(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_a_stopped_run_ends_bit_for_bit_like_an_undisturbed_one(cells_config, tmp_path, average):
    config = replace(cells_config, train=replace(cells_config.train, average=average))
    volumes = load_volumes(config, config.data.train)
    whole = load_checkpoint(train(config, volumes, tmp_path / "whole", quiet=True))
    train(config, volumes, tmp_path / "cut", stop_after=5, quiet=True)  # the last checkpoint is of step 4
    assert load_checkpoint(tmp_path / "cut" / "last.pt")["step"] == 4
    cut = load_checkpoint(train(config, volumes, tmp_path / "cut", quiet=True))
    assert cut["step"] == whole["step"] == 6
    assert same_weights(cut["model"], whole["model"])
    assert (cut["learning"] is None) == (average == 0)


@pytest.mark.slow
def test_a_kill_loses_at_most_the_steps_since_the_checkpoint(cells_config, tmp_path):
    config = replace(cells_config, train=replace(cells_config.train, steps=12, checkpoint_every=2))
    values = config.to_json() | {"data": {"train": [{"raw": "cells.h5:raw", "labels": "cells.h5:labels"}]}}
    code = (
        "import json, sys; from dataclasses import replace; from pathlib import Path\n"
        "from baselines.common.config_file import config_from; from baselines.common.data import load_volumes\n"
        "from baselines.affinity_unet.train import train\n"
        "config = replace(config_from(json.loads(sys.argv[1])), folder=sys.argv[2])\n"
        "train(config, load_volumes(config, config.data.train), Path(sys.argv[3]), quiet=True)\n"
    )
    values = json.loads(json.dumps(values), object_hook=lambda o: {k: v for k, v in o.items() if v is not None})
    command = [sys.executable, "-c", code, json.dumps(values), str(tmp_path), str(tmp_path / "killed")]
    victim = subprocess.Popen(command)
    while not (tmp_path / "killed" / "last.pt").exists() and victim.poll() is None:
        time.sleep(0.01)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    assert 2 <= load_checkpoint(tmp_path / "killed" / "last.pt")["step"] <= 12
    subprocess.run(command, check=True)
    volumes = load_volumes(config, config.data.train)
    whole = load_checkpoint(train(config, volumes, tmp_path / "whole", quiet=True))
    assert same_weights(load_checkpoint(tmp_path / "killed" / "last.pt")["model"], whole["model"])


@pytest.mark.slow
def test_a_few_steps_learn_the_walls(cells_config, tmp_path):
    options = replace(cells_config.train, steps=60, learning_rate=1e-2, log_every=1, patch=(4, 24, 24))
    augmentation = replace(cells_config.augment, misalign=0, missing=0, box=0, blur=0, warp=0, grey=0)
    config = replace(cells_config, train=options, augment=augmentation)
    train(config, load_volumes(config, config.data.train), tmp_path / "run", quiet=True)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert sum(losses[-10:]) < 0.6 * sum(losses[:3]) / 3 * 10


def test_the_rate_warms_up_and_falls_to_a_hundredth():
    config = TrainConfig(steps=110, learning_rate=1.0, schedule=ScheduleConfig("cosine", warmup_steps=10))
    assert learning_rate(config, 0) == 0.1
    assert learning_rate(config, 10) == 1.0
    assert learning_rate(config, 60) == pytest.approx(0.505)
    assert learning_rate(config, 110) == pytest.approx(0.01)


def test_a_trapezoid_falls_in_its_last_steps_alone():
    config = TrainConfig(steps=100, learning_rate=1.0, schedule=TRAPEZOID)
    assert learning_rate(config, 0) == 0.1
    assert {learning_rate(config, step) for step in range(10, 81)} == {1.0}
    assert learning_rate(config, 90) == pytest.approx(0.505)
    assert learning_rate(config, 100) == pytest.approx(0.01)


def test_each_cycle_goes_through_the_whole_schedule():
    once = TrainConfig(steps=100, learning_rate=1.0, schedule=TRAPEZOID)
    twice = replace(once, steps=200, schedule=replace(TRAPEZOID, cycles=2))
    assert [learning_rate(twice, step) for step in range(200)] == 2 * [learning_rate(once, step) for step in range(100)]


def test_a_checkpoint_holds_the_weights_at_the_end_of_each_cycle(cells_config, tmp_path):
    volumes = load_volumes(cells_config, cells_config.data.train)
    once = load_checkpoint(train(cells_config, volumes, tmp_path / "once", quiet=True))
    twice = replace(cells_config, train=replace(cells_config.train, steps=12, schedule=ScheduleConfig(cycles=2)))
    whole = load_checkpoint(train(twice, volumes, tmp_path / "twice", quiet=True))
    assert len(whole["earlier"]) == 1
    assert same_weights(whole["earlier"][0], once["model"])
    assert not same_weights(whole["model"], once["model"])
    # A run of one cycle goes on as the second.
    more = load_checkpoint(train(twice, volumes, tmp_path / "once", quiet=True))
    assert same_weights(more["earlier"][0], once["model"])
    assert same_weights(more["model"], whole["model"])


def test_inference_takes_the_mean_of_the_cycles(cells_config, tmp_path):
    config = replace(cells_config, train=replace(cells_config.train, steps=12, schedule=ScheduleConfig(cycles=2)))
    path = train(config, load_volumes(config, config.data.train), tmp_path / "run", quiet=True)
    grey = np.random.default_rng(0).random((1, 4, 16, 16), np.float32)
    found = load_checkpoint(path)
    singly = []
    for weights in (found["earlier"][0], found["model"]):
        save_checkpoint(tmp_path / "one.pt", {"model": weights})
        singly.append(forward(load_model(config, tmp_path / "one.pt"), grey, precision="float32"))
    together = forward(load_model(config, path), grey, precision="float32")
    assert not np.allclose(*singly, atol=1e-4)
    np.testing.assert_allclose(together, np.mean(singly, axis=0), atol=1e-6)


def test_holes_weigh_from_the_step_that_is_asked_for(cells_config, tmp_path):
    volumes = load_volumes(cells_config, cells_config.data.train)

    def weights(name, **options):
        config = replace(cells_config, train=replace(cells_config.train, **options))
        return load_checkpoint(train(config, volumes, tmp_path / name, quiet=True))["model"]

    plain = weights("plain")
    assert same_weights(weights("after", holes=HolesConfig(30.0, hole_weight_from_step=6)), plain)
    assert not same_weights(weights("last", holes=HolesConfig(30.0, hole_weight_from_step=5)), plain)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # PyTorch's compiler warns of its own parts
def test_a_compiled_loss_is_the_same_loss(cells_config, tmp_path):
    volumes = load_volumes(cells_config, cells_config.data.train)
    losses = []
    for compiled in (False, True):
        options = replace(cells_config.train, holes=HolesConfig(3.0))
        compute = replace(cells_config.compute, compile_loss=compiled)
        config = replace(cells_config, train=options, compute=compute)
        train(config, volumes, tmp_path / str(compiled), quiet=True)
        text = (tmp_path / str(compiled) / "log.jsonl").read_text()
        losses.append([json.loads(line)["loss"] for line in text.splitlines()])
    assert len(losses[0]) == 3
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)


def test_without_a_compiler_the_loss_is_taken_as_it_is(cells_config, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    options, compute = replace(cells_config.train, steps=2), replace(cells_config.compute, compile_loss=True)
    config = replace(cells_config, train=options, compute=compute)
    train(config, load_volumes(config, config.data.train), tmp_path / "run", quiet=True)
    assert load_checkpoint(tmp_path / "run" / "last.pt")["step"] == 2
    assert "no C++ compiler" in capsys.readouterr().err


def test_loader_processes_need_room_in_shared_memory(tmp_path, capsys):
    free = shutil.disk_usage(tmp_path).free
    assert fitting_workers(2, 1000, tmp_path) == 2
    assert fitting_workers(2, free // 4, tmp_path) == 0
    assert "2 loader processes need" in capsys.readouterr().err
    assert fitting_workers(2, free, tmp_path / "none") == 2  # a system that keeps shared memory elsewhere


def test_a_checkpoint_without_a_network_is_refused_by_name(cells_config, tmp_path):
    save_checkpoint(tmp_path / "none.pt", {"step": 1})
    with pytest.raises(InputError, match=r"none\.pt: its weights are of another model"):
        load_model(cells_config, tmp_path / "none.pt")


@pytest.mark.slow
def test_two_processes_train_one_model(cells_config, tmp_path):
    """torchrun on CPU: both see other crops and end with one set of weights."""
    code = tmp_path / "ddp.py"
    code.write_text(
        "import json, sys; from dataclasses import replace; from pathlib import Path\n"
        "from baselines.common.config_file import config_from; from baselines.common.data import load_volumes\n"
        "from baselines.affinity_unet.train import train\n"
        "config = replace(config_from(json.loads(sys.argv[1])), folder=sys.argv[2])\n"
        "train(config, load_volumes(config, config.data.train), Path(sys.argv[2]) / 'ddp', quiet=True)\n"
    )
    values = cells_config.to_json() | {"data": {"train": [{"raw": "cells.h5:raw", "labels": "cells.h5:labels"}]}}
    values = json.loads(json.dumps(values), object_hook=lambda o: {k: v for k, v in o.items() if v is not None})
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(code),
         json.dumps(values), str(tmp_path)],
        check=False, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert load_checkpoint(tmp_path / "ddp" / "last.pt")["step"] == 6
