"""Read many chunks of a volume at a time, by threads."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from axonem_eval.processes import usable_cores
from axonem_eval.progress import Progress
from axonem_eval.volumes.label_volume import BATCH_BYTES, MEMORY_BUDGET_BYTES, Labels, LabelVolume, Scratch


def reading_threads(volume: LabelVolume, wanted: int | None = None) -> int:
    """Number of threads that may read: one for each core, fewer where their chunks exceed the memory budget."""
    if volume.sequential:
        return 1
    if volume.reads_at_once is not None:
        return min(wanted or volume.reads_at_once, volume.reads_at_once)
    within = MEMORY_BUDGET_BYTES // max(1, volume.copies_per_thread * max(volume.chunk_bytes, BATCH_BYTES))
    return max(1, min(wanted or usable_cores(), within))


def for_each_chunk(
    volume: LabelVolume,
    chunks: Sequence[int] | NDArray[Any],
    visit: Callable[[int, Labels], None],
    *,
    threads: int | None = None,
    on_progress: Progress | None = None,
) -> None:
    """Call ``visit(position, labels)`` for each chunk of the list once, in the order of the list, from several threads.

    ``position`` counts in ``chunks``. Several threads call ``visit`` at the same time. Memory holds at most one
    chunk for each thread. The first error stops all threads and is raised here.
    """

    def work(position: int, _scratch: Scratch) -> None:
        visit(position, volume.read_chunk(int(chunks[position])))

    report = (lambda done: on_progress(done, len(chunks))) if on_progress else None
    run_threads(0, len(chunks), work, reading_threads(volume, threads), on_progress=report)


def run_threads(
    first: int,
    n_items: int,
    work: Callable[[int, Scratch], None],
    n_threads: int,
    *,
    on_progress: Callable[[int], None] | None = None,
    until: Callable[[], bool] | None = None,
) -> int:
    """Do the items first..n_items - 1, each once and started in order, by several threads.

    Starts no new items once ``until()`` is true. Returns the first item that is not done; all before it are.
    The first error stops all threads and is raised here.
    """
    state = threading.Lock()
    taken = finished = first
    errors: list[BaseException] = []

    def loop() -> None:
        nonlocal taken, finished
        scratch = Scratch()
        while True:
            with state:
                if errors or taken >= n_items or (until is not None and until()):
                    return
                item, taken = taken, taken + 1
            try:
                work(item, scratch)
                with state:
                    finished += 1
                    if on_progress and (finished % 16 == 0 or finished == n_items):
                        on_progress(finished)
            except BaseException as error:
                with state:
                    errors.append(error)
                return

    workers = [
        threading.Thread(target=loop, name=f"chunks-{i}", daemon=True) for i in range(min(n_threads, n_items - first))
    ]
    for worker in workers:
        worker.start()
    try:
        for worker in workers:
            worker.join()
    except BaseException as error:  # Ctrl-C: the files are closed next, so no thread may be left reading
        errors.append(error)
        for worker in workers:
            worker.join()
    if errors:
        raise errors[0]
    return taken
