"""Skeletonizing one volume on many workers: the parts of `axonem_eval.skeletonize.tasks` as Celery tasks.

Labels are read in confined children, and a submission's parts are traced in them, too: what one read from a hostile
file another would read.

A part is done when its file lies in the work folder, which all workers share; a part that failed leaves its reasons
there. So no result travels through Redis, and a part that is delivered twice, or again after a worker died, does no
harm.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

from celery import current_app
from django.conf import settings

from axonem_eval.errors import Complaint, InputError
from axonem_eval.files import write_atomically
from axonem_eval.sandbox import Limits, has_traced_share, trace_share_confined
from axonem_eval.skeletonize import Plan, has_read_block, has_skeletonized_batch, read_block, skeletonize_batch
from axonem_eval.spec import VolumeSpec
from axonem_eval.submission_rule import FileRule
from axonem_eval.volumes import LabelVolume
from evalserver.benchmarks.organiser_files import open_truth

TASK = "evalserver.benchmarks.tasks.skeleton_part_task"
# A part takes seconds to minutes. Where nothing has come for so long, workers have died: send the rest again.
SEND_AGAIN_S = 900.0
POLL_S = 0.2


class PartFailed(RuntimeError):
    """A part ended with an error that is not the input's fault; the worker's log has it."""


class NotWanted(Exception):
    """The job has ended, and its folder is gone."""


def _trace_share(work_dir: str, number: int) -> None:
    def poll() -> None:
        if not _errors(work_dir).is_dir():
            raise NotWanted(work_dir)

    limits = Limits(wall_seconds=settings.MAX_RUN_SECONDS, cpu_seconds=settings.MAX_RUN_SECONDS)
    trace_share_confined(work_dir, number, limits=limits, poll=poll)


def _read_block(work_dir: str, number: int) -> None:
    def opener(plan: Plan) -> AbstractContextManager[LabelVolume]:
        return open_truth(plan.path, VolumeSpec(plan.shape, plan.voxel_size_nm), FileRule(plan.axes, plan.dataset))

    read_block(work_dir, number, opener)


# By the name of the function that a mapper is given: what a worker does, and whether it is done.
PARTS = {
    "read_block": (_read_block, has_read_block),
    "skeletonize_batch": (skeletonize_batch, has_skeletonized_batch),
    "trace_share_confined": (_trace_share, has_traced_share),
}


class WorkerMapper:
    """Runs parts as tasks on the queue SKELETONIZE_QUEUE; see ``axonem_eval.skeletonize.volume.Mapper``."""

    def __init__(self, alive: Callable[[], None], *, send_again_s: float = SEND_AGAIN_S) -> None:
        """alive : called while waiting; what it raises ends the wait."""
        self._alive, self._send_again_s = alive, send_again_s

    def map(self, work: Callable[[int], None], numbers: Iterable[int]) -> Iterator[None]:
        """Send a part for each number; yields once for each that is done. ``work`` is a partial of one of PARTS."""
        if not isinstance(work, partial):
            raise TypeError(f"{work} is no partial of a part")
        name, (work_dir,) = work.func.__name__, work.args
        is_done = PARTS[name][1]
        wanted = list(numbers)
        remaining = [number for number in wanted if not is_done(work_dir, number)]
        yield from repeat(None, len(wanted) - len(remaining))
        _errors(work_dir).mkdir(exist_ok=True)  # while it is there, the parts are wanted
        for old in _errors(work_dir).iterdir():
            old.unlink()
        send_at = 0.0
        while remaining:
            if time.monotonic() >= send_at:
                for number in remaining:
                    current_app.send_task(TASK, args=[name, str(work_dir), number], queue=settings.SKELETONIZE_QUEUE)
                send_at = time.monotonic() + self._send_again_s
            time.sleep(POLL_S)
            self._alive()
            _raise_errors(work_dir)
            left = [number for number in remaining if not is_done(work_dir, number)]
            if len(left) < len(remaining):
                send_at = max(send_at, time.monotonic() + self._send_again_s)
            yield from repeat(None, len(remaining) - len(left))
            remaining = left


def run_part(name: str, work_dir: str, number: int) -> None:
    """Do one part; an error is left in the work folder for the job that waits for it."""
    if not _errors(work_dir).is_dir():
        return  # the job has ended, and its folder is gone
    try:
        PARTS[name][0](work_dir, number)
    except NotWanted:
        return
    except InputError as error:
        _leave_error(work_dir, number, [{"code": c.code, "message": c.message} for c in error.complaints])
    except Exception:
        _leave_error(work_dir, number, [])
        raise


def _errors(work_dir: str | Path) -> Path:
    return Path(work_dir) / "errors"


def _leave_error(work_dir: str, number: int, complaints: list[dict[str, Any]]) -> None:
    text = json.dumps(complaints)
    write_atomically(_errors(work_dir) / f"{number}.json", lambda file: file.write(text.encode()))


def _raise_errors(work_dir: str | Path) -> None:
    for path in sorted(_errors(work_dir).glob("*.json")):
        complaints = json.loads(path.read_text())
        if not complaints:
            raise PartFailed(f"part {path.stem} of {work_dir}")
        raise InputError(Complaint(c["code"], c["message"]) for c in complaints)
