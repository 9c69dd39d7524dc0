"""Run many small tasks: in this process, in worker processes of this machine, or by the workers of a Dask scheduler.

A task is a plain function of a small item. It stores its result in a folder that all workers share, and is then marked
in the folder's ledger. A task whose worker dies runs again elsewhere, so it must store the same each time. Dask is
imported where it is used alone: in one process nothing needs it.
"""

import itertools
import logging
import platform
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from axonem_eval.errors import InputError
from axonem_eval.processes import usable_cores
from baselines.common.blockwise import Ledger

if TYPE_CHECKING:
    from distributed import Client

Item = TypeVar("Item")
# What a task leaves in the ledger; None for nothing.
Values = dict[str, Any] | None
Task = Callable[[Item], Values]

# Tasks that the scheduler knows of at a time: enough for as many workers, and little for its memory.
IN_FLIGHT = 2000
CONNECT_S = 20
# Results are small: there is nothing to spill, and a paused worker would pause for ever.
LOCAL_CONFIG = {f"distributed.worker.memory.{action}": False for action in ("target", "spill", "pause")}


@dataclass(frozen=True)
class Cluster:
    """Where tasks run. Close it, or use it in a ``with`` statement.

    workers : worker processes on this machine; 0 runs tasks in this process.
    scheduler : address of a Dask scheduler, whose workers run the tasks; empty for none.
    """

    workers: int = 0
    scheduler: str = ""

    @property
    def is_here(self) -> bool:
        """Whether tasks run in this process."""
        return not (self.workers or self.scheduler)

    @cached_property
    def client(self) -> "Client":
        """Connection to the workers; starts them where they are this machine's. Raises InputError where none answers.

        One thread and an equal part of the memory for each worker. A worker that needs more memory is ended.
        """
        import dask
        from distributed import Client, LocalCluster
        from distributed.system import MEMORY_LIMIT

        # It logs a lost scheduler with a traceback; run_tasks says it in a line.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        if not self.scheduler:
            threads = str(max(1, usable_cores() // self.workers))
            with dask.config.set(LOCAL_CONFIG):
                local = LocalCluster(
                    n_workers=self.workers, threads_per_worker=1, memory_limit=MEMORY_LIMIT // self.workers,
                    env={"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}, dashboard_address=":0",
                )  # fmt: skip
            return Client(local, set_as_default=False)
        try:
            client = Client(self.scheduler, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InputError.of(
                "no_scheduler",
                f"{self.scheduler}: no Dask scheduler answers there ({error}); start one with `dask scheduler`, and "
                "give its address as tcp://HOST:PORT",
            ) from None
        if not client.nthreads():
            print(f"{self.scheduler}: no worker is connected yet; waiting for one", file=sys.stderr)
        return client

    def close(self) -> None:
        """End the connection, and the workers where they are this machine's."""
        client = self.__dict__.pop("client", None)
        if client is not None:
            local = client.cluster
            client.close()
            if local is not None:
                local.close()

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# In this process.
HERE = Cluster()


def run_tasks(
    function: Task[Item],
    items: Mapping[str, Item],
    ledger: Ledger,
    cluster: Cluster = HERE,
    report: Callable[[Item, bool], None] | None = None,
) -> None:
    """Run ``function`` once for each item that is not done yet, and mark it as done in the ledger.

    function, items : small and picklable where the cluster is not this process. The name of an item is its name in the
    ledger, and what the function returns is kept there.
    report : called for each item that is done, with whether it was done now; otherwise an earlier run did it.
    Raises InputError where a task raises it, where its worker died several times, where another process runs tasks of
    this ledger, and where the scheduler is lost. Any other exception of a task gets a note with the item's name.
    """
    tell = report or (lambda item, now: None)
    with ledger.held():
        finished = ledger.finished()
        for name in items.keys() & finished:
            tell(items[name], False)
        left = {name: item for name, item in items.items() if name not in finished}

        if cluster.is_here:
            for name, item in left.items():
                _attempt(function, item, name, ledger)
                tell(item, True)
        else:
            for name in _run_on(cluster, function, left, ledger):
                tell(left[name], True)


def _run_on(cluster: Cluster, function: Task[Item], items: Mapping[str, Item], ledger: Ledger) -> Iterator[str]:
    """Hand out tasks, a new one for each that ends; gives their names as they end. Dask repeats those of dead workers.

    The workers mark in the ledger: a result that had to be fetched would be lost with its worker. Dask gives up every
    task that dead workers held, also those that only waited there. So a task that was given up runs once more, alone:
    if workers die again, it is the one that kills them; otherwise the others go on.
    """
    left = dict(items)
    while left:
        given_up = None
        for name, killed in _round(cluster, function, left, ledger):
            if killed:
                given_up = name
                break
            del left[name]
            yield name
        if given_up is None:
            return
        for name, killed in _round(cluster, function, {given_up: left.pop(given_up)}, ledger):
            if killed:
                raise killed
            yield name


def _round(
    cluster: Cluster, function: Task[Item], items: Mapping[str, Item], ledger: Ledger
) -> Iterator[tuple[str, InputError | None]]:
    """Run tasks until the caller has enough; gives (name, None) for one that ended, or why Dask gave it up."""
    from distributed import KilledWorker, as_completed

    client = cluster.client
    run = uuid.uuid4().hex  # the scheduler may still know tasks of a run that was killed
    waiting = iter(list(items.items()))

    def hand_out(count: int) -> list[Any]:
        return [
            client.submit(_attempt, function, item, name, ledger, key=(run, name))
            for name, item in itertools.islice(waiting, count)
        ]

    running = as_completed(hand_out(IN_FLIGHT), loop=client.loop)
    try:
        for future in running:
            name, killed = future.key[1], None
            if future.status == "error":
                error = future.exception()
                if not isinstance(error, KilledWorker):
                    raise error
                killed = InputError.of(
                    "worker_died",
                    f"task {name}: {error.allowed_failures + 1} workers died while they ran it, the last at "
                    f"{error.last_worker.address}. Memory is the usual reason: take smaller tiles or blocks, or fewer "
                    "workers",
                )
            elif future.status != "finished":
                raise InputError.of(
                    "scheduler_lost",
                    f"{cluster.scheduler or 'local workers'}: the connection to the Dask scheduler is lost; start it "
                    "and its workers again, and run the same command: it goes on with the tasks that are not done",
                )
            yield name, killed
            running.update(hand_out(1))
    finally:
        for future in list(running.futures):  # after a fault the workers need not go on
            future.release()


def _attempt(function: Task[Item], item: Item, name: str, ledger: Ledger) -> str:
    """Run a task and mark it, where no worker that is taken for dead did so.

    Raises InputError where this worker does not see the folder of the ledger.
    """
    if not (ledger.folder / "job.json").exists():
        raise InputError.of(
            "folder_not_shared",
            f"{ledger.folder}: the worker on {platform.node()} does not see this folder; it must lie where all "
            "workers see it under the same name",
        )
    if ledger.done(name) is None:
        try:
            ledger.finish(name, **(function(item) or {}))
        except InputError:
            # On a worker Dask would log it with a traceback.
            logging.getLogger("distributed.worker").setLevel(logging.ERROR)
            raise
        except Exception as error:
            error.add_note(f"in task {name}")
            raise
    return name
