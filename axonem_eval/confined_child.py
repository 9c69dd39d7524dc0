"""The child of ``confine``: reads a request on stdin, writes progress and one answer to stdout."""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numba.core.caching import Cache

from axonem_eval.check import check_labels
from axonem_eval.confine import Limits, limit_resources
from axonem_eval.errors import InputError
from axonem_eval.landlock import confine_to, die_with_parent
from axonem_eval.sample import sample_nodes, warm_kernels
from axonem_eval.spec import VolumeSpec
from axonem_eval.volume import open_labels

_PROGRESS_EVERY_S = 0.25


def main() -> None:
    """Confine this process, then do what stdin asks."""
    die_with_parent()
    request = json.loads(sys.stdin.buffer.read())
    warm_kernels()
    work = _work_of(request)
    compile_in_memory()
    limit_resources(Limits(**request["limits"]))
    # Not sys.path: an editable install has the checkout on it, and the server's files may lie below that.
    readable = [Path(p) for p in (sys.prefix, sys.base_prefix, "/usr", "/lib", "/lib64", "/etc/ld.so.cache")]
    readable += [Path(request["path"]), Path("/dev/urandom"), Path("/dev/null"), Path("/proc/self")]
    readable += [Path(p) for p in ("/sys/devices/system/cpu", "/proc/meminfo", "/proc/cpuinfo")]
    readable.append(Path(__file__).parent)
    if request["no_merge_mask"]:
        readable.append(Path(request["no_merge_mask"]))
    confine_to(readable, [Path.cwd()])
    try:
        work()
    except InputError as error:
        _say({"complaints": [{"code": c.code, "message": c.message} for c in error.complaints]})
    else:
        _say({"done": True})


def compile_in_memory() -> None:
    """From here on numba keeps in memory what it compiles: a confined process may not write to the cache, nor
    everywhere read it, and would fail at the first kernel that was not compiled before."""
    Cache.load_overload = lambda *_: None
    Cache.save_overload = lambda *_: None


def _work_of(request: dict[str, Any]) -> Callable[[], None]:
    """What is asked, with all that it needs imported and compiled."""
    if request["work"] == "sample":
        return partial(_sample, request)
    from axonem_eval.confined_diagnosis import rehearse, write_diagnosis

    rehearse()
    return partial(write_diagnosis, request, _StageReporter())


def _sample(request: dict[str, Any]) -> None:
    spec = VolumeSpec(tuple(request["shape_zyx"]), tuple(request["voxel_size_nm_zyx"]))
    check_labels(request["path"], spec, dataset=request["dataset"], on_progress=_Reporter("check"))
    nodes = np.load("nodes.npy", allow_pickle=False)
    with open_labels(request["path"], request["dataset"]) as volume:
        if request["no_merge_mask"]:
            with open_labels(request["no_merge_mask"]) as mask:
                sample = sample_nodes(volume, nodes, no_merge_mask=mask, on_progress=_Reporter("sample"))
        else:
            sample = sample_nodes(volume, nodes, on_progress=_Reporter("sample"))
    sample.save("sample.npz")


class _Reporter:
    """Progress lines, a few a second."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._next = 0.0

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() >= self._next or done == total:
            self._next = time.monotonic() + _PROGRESS_EVERY_S
            _say({"stage": self._stage, "done": done, "total": total})


class _StageReporter:
    """The same for work of several stages."""

    def __init__(self) -> None:
        self._reporters: dict[str, _Reporter] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        self._reporters.setdefault(stage, _Reporter(stage))(done, total)


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
