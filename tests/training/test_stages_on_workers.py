"""Prediction and segmentation on workers, by both methods: the bytes of one process, whoever is killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("distributed")
pytest.importorskip("torch")
zarr = pytest.importorskip("zarr")

from baselines.affinity_unet.predict import Source, predict_from  # noqa: E402
from baselines.affinity_unet.segment import build_hierarchy  # noqa: E402
from baselines.cli import main  # noqa: E402
from baselines.common.cluster import HERE, Cluster  # noqa: E402
from baselines.common.config_file import load_config  # noqa: E402
from baselines.ffn.refine import predict_volume  # noqa: E402
from baselines.ffn.run import open_run  # noqa: E402
from tests.training.cells import write_experiment  # noqa: E402
from tests.training.cluster_tasks import small_network  # noqa: E402
from tests.training.dask_programs import DaskPrograms  # noqa: E402
from tests.training.tubes import write_tubes  # noqa: E402

SOURCE = Source(small_network, (10, 40, 44), "float32")
DATA = """
[[data.train]]
raw = "cells.h5:raw"
labels = "cells.h5:labels"

[[data.test]]
name = "cells"
raw = "cells.h5:raw"
labels = "cells.h5:labels"
"""
# Nine tiles.
TILES = "[predict]\nchunk = [2, 16, 16]\ntile = [16, 16]\n"


def killer(cluster: Cluster, *at: int) -> Callable[[], None]:
    """Kills a worker each time so many pieces are done."""
    calls = 0

    def count() -> None:
        nonlocal calls
        calls += 1
        if calls in at:
            pids = sorted(cluster.client.run(os.getpid).values())
            os.kill(pids[0], signal.SIGKILL)

    return count


@pytest.mark.slow
def test_workers_killed_in_prediction_and_segmentation_leave_the_bytes_of_one_process(small, tmp_path):
    config = replace(small.predict, tile=(8, 16))
    found = {}
    with Cluster(workers=2) as two:
        for name, cluster, tile, block in (("one", HERE, None, None), ("two", two, killer(two, 2), killer(two, 3, 16))):
            store, work = tmp_path / f"{name}.zarr", tmp_path / name
            affinity = predict_from(SOURCE, store, config, cluster=cluster, quiet=True, after_patch=tile)
            hierarchy = build_hierarchy(store, work, small.segment, cluster=cluster, quiet=True, after_block=block)
            fragments = zarr.open_array(work / "fragments.zarr", mode="r")
            found[name] = (affinity[:], fragments[:], hierarchy.united, hierarchy.tree.score)
    assert all(np.array_equal(one, two) for one, two in zip(found["one"], found["two"], strict=True))
    assert found["one"][0].std() > 1


@pytest.mark.slow
def test_a_worker_killed_while_objects_are_filled_leaves_those_of_one_process(tmp_path):
    config = load_config(write_tubes(tmp_path, "subvolume = [26, 39, 30]\noverlap = [0, 0, 12]"))
    found = []
    with Cluster(workers=2) as two:
        for name, cluster in (("one", HERE), ("two", two)):
            run = open_run(config, tmp_path / name, quiet=True)
            run.compute_on(cluster)
            markers = run.work("tubes") / "progress"
            if cluster is two:
                pid = min(two.client.run(os.getpid).values())
                kill = threading.Thread(target=kill_after, args=(pid, lambda m=markers: any(m.glob("pieces-*.json"))))
                kill.start()
            found.append(zarr.open_array(predict_volume(run, "tubes"), mode="r")[:])
        kill.join()
        assert pid not in two.client.run(os.getpid).values()
    assert np.array_equal(*found)
    assert found[0].max() == 6


@pytest.mark.slow
def test_a_scheduler_killed_in_prediction_is_told_and_the_same_command_goes_on(tmp_path):
    toml = write_experiment(tmp_path, DATA, steps=2)
    toml.write_text(toml.read_text().replace("[predict]\n", TILES))
    one, many = tmp_path / "one", tmp_path / "many"
    assert main(["train", str(toml), "-o", str(one), "--quiet"]) == 0
    many.mkdir()
    (many / "last.pt").write_bytes((one / "last.pt").read_bytes())
    assert main(["predict", str(toml), "-o", str(one), "--quiet"]) == 0
    goes_on_after_a_scheduler_is_killed("predict", toml, many, lambda: tiles_done(many), 9)
    stores = [zarr.open_array(folder / "cells-affinities.zarr", mode="r")[:] for folder in (one, many)]
    assert np.array_equal(*stores)


@pytest.mark.slow
def test_a_scheduler_killed_while_objects_are_filled_is_told_and_the_same_command_goes_on(tmp_path):
    toml = write_tubes(tmp_path, "subvolume = [13, 20, 30]\noverlap = [0, 0, 12]\nfill_blank = 5")
    one, many = tmp_path / "one", tmp_path / "many"
    assert main(["predict", str(toml), "-o", str(one), "--quiet"]) == 0
    progress = many / "tubes-objects" / "progress"
    pieces = len(list((one / "tubes-objects" / "progress").glob("pieces-*.json")))
    goes_on_after_a_scheduler_is_killed(
        "predict", toml, many, lambda: len(list(progress.glob("pieces-*.json"))), pieces
    )
    found = [zarr.open_array(folder / "tubes-objects" / "objects.zarr", mode="r")[:] for folder in (one, many)]
    assert np.array_equal(*found)
    assert found[0].any()


def goes_on_after_a_scheduler_is_killed(
    stage: str, toml: Path, folder: Path, done: Callable[[], int], tasks: int
) -> None:
    """Run a stage on a scheduler, kill this after the first task, and run the stage again on a new one."""
    with DaskPrograms() as programs:
        programs.start()
        command = [sys.executable, "-m", "baselines.cli", stage, str(toml), "-o", str(folder), "--quiet"]
        command += ["--scheduler", programs.address]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as first:
            wait_for(lambda: done() >= 1)
            programs.kill()
            _, errors = first.communicate(timeout=300)
        assert (first.returncode, "connection to the Dask scheduler is lost" in errors) == (1, True), errors
        assert "Traceback" not in errors
        assert 1 <= done() < tasks
        programs.start()
        assert main(command[3:]) == 0


def tiles_done(folder: Path) -> int:
    return len(list((folder / "cells-affinities.zarr.progress").glob("tile-*.json")))


def kill_after(pid: int, condition: Callable[[], bool]) -> None:
    wait_for(condition)
    os.kill(pid, signal.SIGKILL)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_workers_and_a_scheduler_exclude_each_other(capsys):
    with pytest.raises(SystemExit):
        main(["predict", "synthetic", "--workers", "2", "--scheduler", "tcp://localhost:8786"])
    assert "not allowed with argument" in capsys.readouterr().err


def test_no_workers_is_wrong_usage(capsys):
    with pytest.raises(SystemExit):
        main(["predict", "synthetic", "--workers", "0"])
    assert "expected 1 or more" in capsys.readouterr().err
