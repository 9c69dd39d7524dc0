"""Tasks run once each, here or on real workers; what is done stays done, whoever dies."""

import subprocess
import sys
from functools import partial

import pytest

pytest.importorskip("distributed")
pytest.importorskip("torch")

from axonem_eval.errors import InputError
from baselines.common.blockwise import Ledger
from baselines.common.cluster import HERE, Cluster, run_tasks
from tests.training import cluster_tasks
from tests.training.dask_programs import DaskPrograms

ITEMS = {f"item-{i}": i for i in range(6)}
# Workers take seconds to start.
WHERE = pytest.mark.parametrize("where", ["here", pytest.param("workers", marks=pytest.mark.slow)])


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger", {"job": 1})


@pytest.fixture(scope="module")
def two_workers():
    with Cluster(workers=2) as cluster:
        yield cluster


def begun(folder) -> dict[str, int]:
    return {path.name: len(path.read_text().split()) for path in folder.glob("begun-*")}


@WHERE
def test_each_task_runs_once_and_a_second_run_does_nothing(where, ledger, tmp_path, request):
    cluster = HERE if where == "here" else request.getfixturevalue("two_workers")
    seen: list[tuple[int, bool]] = []
    for _ in range(2):
        run_tasks(partial(cluster_tasks.square, tmp_path), ITEMS, ledger, cluster, lambda *told: seen.append(told))
    assert set(begun(tmp_path).values()) == {1}
    assert sorted(seen) == sorted((i, now) for i in range(6) for now in (True, False))
    assert [ledger.done(name) for name in ITEMS] == [{"square": i**2} for i in range(6)]


@pytest.mark.slow
def test_a_task_whose_worker_is_killed_runs_again(two_workers, ledger, tmp_path):
    run_tasks(partial(cluster_tasks.die_once, tmp_path), ITEMS, ledger, two_workers)
    assert [ledger.done(name) for name in ITEMS] == [{"square": i**2} for i in range(6)]
    assert begun(tmp_path)["begun-2"] == 2


@WHERE
def test_a_fault_of_the_input_ends_the_run_with_its_own_message(where, ledger, tmp_path, request):
    cluster = HERE if where == "here" else request.getfixturevalue("two_workers")
    with pytest.raises(InputError) as caught:
        run_tasks(partial(cluster_tasks.refuse, tmp_path), ITEMS, ledger, cluster)
    assert [complaint.message for complaint in caught.value.complaints] == ["item 1: two is expected"]
    assert ledger.done("item-1") is None


@WHERE
def test_any_other_fault_names_the_task(where, ledger, tmp_path, request):
    cluster = HERE if where == "here" else request.getfixturevalue("two_workers")
    with pytest.raises(ZeroDivisionError, match="by nothing") as caught:
        run_tasks(partial(cluster_tasks.fail, tmp_path), ITEMS, ledger, cluster)
    assert caught.value.__notes__ == ["in task item-1"]


@pytest.mark.slow
def test_one_process_needs_no_dask():
    code = "import sys, baselines.affinity_unet.stages, baselines.cli; sys.exit('distributed' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0


@pytest.mark.slow
def test_few_tasks_are_known_to_the_scheduler_at_a_time(two_workers, ledger, tmp_path, monkeypatch):
    monkeypatch.setattr("baselines.common.cluster.IN_FLIGHT", 3)
    known: list[int] = []

    def look(item: int, now: bool) -> None:
        known.append(len(two_workers.client.cluster.scheduler.tasks))

    run_tasks(partial(cluster_tasks.square, tmp_path), {str(i): i for i in range(40)}, ledger, two_workers, look)
    assert len(ledger.finished()) == 40
    assert max(known) <= 10  # those that ended are forgotten a little later


def test_an_address_where_no_scheduler_is_gives_a_message(ledger, tmp_path, monkeypatch):
    monkeypatch.setattr("baselines.common.cluster.CONNECT_S", 1)
    with pytest.raises(InputError, match=r"tcp://127.0.0.1:9: no Dask scheduler answers there"):
        run_tasks(partial(cluster_tasks.square, tmp_path), ITEMS, ledger, Cluster(scheduler="tcp://127.0.0.1:9"))


@pytest.mark.slow
def test_a_second_process_in_the_folder_is_refused_until_the_first_is_dead(ledger, tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from baselines.common.blockwise import Ledger\n"
        "with Ledger(Path(sys.argv[1]), {'job': 1}).held():\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, ledger.folder], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="another process works in this folder"):
            run_tasks(partial(cluster_tasks.square, tmp_path), ITEMS, ledger)
        first.kill()
    run_tasks(partial(cluster_tasks.square, tmp_path), ITEMS, ledger)
    assert len(ledger.finished()) == 6


@pytest.mark.slow
def test_with_the_scheduler_killed_and_started_again_the_same_call_goes_on(ledger, tmp_path):
    task, items = partial(cluster_tasks.slow_square, tmp_path), {str(i): i for i in range(12)}
    with DaskPrograms() as programs:
        programs.start()

        def kill_in_the_middle(item: int, now: bool) -> None:
            if len(ledger.finished()) == 4:
                programs.kill()

        with (
            Cluster(scheduler=programs.address) as cluster,
            pytest.raises(InputError, match="connection to the Dask scheduler is lost"),
        ):
            run_tasks(task, items, ledger, cluster, kill_in_the_middle)
        done = len(ledger.finished())
        assert 4 <= done < 12
        programs.start()
        with Cluster(scheduler=programs.address) as cluster:
            run_tasks(task, items, ledger, cluster)
    assert [ledger.done(name) for name in items] == [{"square": i**2} for i in range(12)]


@pytest.mark.slow
def test_a_task_given_up_because_of_another_ones_death_is_run_again(two_workers, ledger, tmp_path, monkeypatch):
    monkeypatch.setattr(two_workers.client.cluster.scheduler, "allowed_failures", 0)  # the first death gives up
    run_tasks(partial(cluster_tasks.die_once, tmp_path), ITEMS, ledger, two_workers)
    assert {name: ledger.done(name) for name in ITEMS} == {name: {"square": i**2} for name, i in ITEMS.items()}


@pytest.mark.slow
def test_a_task_that_kills_each_worker_ends_the_run_and_is_named(two_workers, ledger, tmp_path, monkeypatch):
    monkeypatch.setattr(two_workers.client.cluster.scheduler, "allowed_failures", 1)  # so that it is seen sooner
    with pytest.raises(InputError, match=r"item-1: 2 workers died.*smaller tiles"):
        run_tasks(partial(cluster_tasks.die_always, tmp_path), ITEMS, ledger, two_workers)
    assert ledger.done("item-1") is None
