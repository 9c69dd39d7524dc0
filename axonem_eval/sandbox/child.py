"""The confined child: reads a request from stdin, confines itself, then does the requested work.

It is the only process that opens what people upload. It knows no other file, and of ground truth only its own.
"""

import json
import mmap
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from axonem_eval.errors import InputError, raise_all
from axonem_eval.file_kinds import is_zip
from axonem_eval.processes import die_with_parent
from axonem_eval.sandbox.confined_volume import serve
from axonem_eval.sandbox.process import (
    CODE,
    GRAPH_FILE,
    MAX_COMPLAINT_CHARACTERS,
    OTHER_CODE,
    TABLE_FILE,
    Contents,
    Limits,
)
from axonem_eval.sandbox.protection import confine, installation
from axonem_eval.spec import VolumeSpec, format_triple
from axonem_eval.submission_rule import FileRule
from axonem_eval.volumes import (
    LabelInfo,
    LabelVolume,
    ReadOptions,
    ReversedAxes,
    check_volume,
    header_complaints,
    open_for,
    open_labels,
    unpack_single,
    warm_filters,
)

if TYPE_CHECKING:
    from axonem_eval.sampling import NodeTable

_PROGRESS_EVERY_S = 0.25
# A reply is limited to 65,536 bytes, and a character may take 6 bytes of it.
MOST_IN_REPLY = 5


def main() -> None:
    """Confine this process, then do the work that stdin requests."""
    die_with_parent()
    request = json.loads(sys.stdin.buffer.read())
    if request.get("code") != CODE:
        # A request of another release may mean something else, and that would look like a fault of the file.
        sys.exit(OTHER_CODE)
    _import_libraries(Path(request["path"]))
    if not cache_is_readable():
        warm_filters()
    work = _work_of(request)
    if "numba" in sys.modules:
        save_no_kernels()
    limits = Limits(**request["limits"])
    # The shared memory is not the child's to waste, so it does not count.
    limits = replace(limits, memory_bytes=limits.memory_bytes + request.get("memory_bytes", 0))
    _say({"confined": confine([Path(request["path"])], request["writable"], limits)})
    try:
        work()
    except InputError as error:
        _say({"complaints": _said(error)})
    except MemoryError:
        raise  # the parent knows the limit and says it
    except Exception as error:
        _say({"complaints": _said(unreadable(request["path"], error))})


def _import_libraries(path: Path) -> None:
    """Import every library that may be needed to read such a file; some open files of their own at import."""
    of_many_files = path.is_dir() or is_zip(path)
    for library in ("tensorstore", "tifffile") if of_many_files else ("tifffile",):
        with suppress(ImportError):  # a format whose library is not installed is refused in words
            import_module(library)


def cache_is_readable() -> bool:
    """Whether numba's compiled kernels can still be loaded once this process is confined."""
    folder = os.environ.get("NUMBA_CACHE_DIR")  # by default they lie beside the code
    return not folder or any(Path(folder).resolve().is_relative_to(path.resolve()) for path in installation())


def save_no_kernels() -> None:
    """Make numba save no compiled kernels from here on, and compile those that it may not load.

    A confined process may not write to the cache, and may not read it everywhere. It would fail at the first kernel
    that was not compiled before, and at the first module with kernels that is imported behind the walls.
    """
    from numba.core.caching import Cache, _CacheLocator

    load = Cache.load_overload

    def load_if_allowed(cache: Any, *key: Any) -> Any:
        try:
            return load(cache, *key)
        except OSError:
            return None

    Cache.load_overload = load_if_allowed
    Cache.save_overload = lambda *_: None
    _CacheLocator.ensure_cache_path = lambda *_: None  # it looks whether a file can be written


def _work_of(request: dict[str, Any]) -> Callable[[], None]:
    """The requested work, with all that it needs imported and compiled."""
    if request["work"] == "read":
        memory = mmap.mmap(request["memory"], request["memory_bytes"])
        return partial(_read, request, memoryview(memory))
    if request["work"] == "unpack":
        return partial(_unpack, request)
    if request["work"] == "table":
        from axonem_eval.sampling import NodeTable

        return partial(_read_table, NodeTable, request)
    if request["work"] == "unpickle":
        from axonem_eval.sandbox.child_pickle import rehearse as rehearse_writing
        from axonem_eval.sandbox.child_pickle import write_graph

        rehearse_writing(Path("."))
        return partial(_unpickle, write_graph, request)
    if request["work"] == "import":
        from axonem_eval.sandbox.child_import import rehearse as rehearse_import
        from axonem_eval.sandbox.child_import import write_skeletons

        rehearse_import(Path("."))
        return partial(_import, write_skeletons, request)
    from axonem_eval.sampling import warm_kernels
    from axonem_eval.sandbox.child_diagnosis import STEPS, rehearse

    warm_kernels()
    rehearse()
    return partial(_diagnose, STEPS[request["step"]], request)


def _unpickle(write_graph: Callable[..., None], request: dict[str, Any]) -> None:
    write_graph(request["path"], GRAPH_FILE)
    _say({"done": True})


def _import(write_skeletons: Callable[..., None], request: dict[str, Any]) -> None:
    write_skeletons(request, GRAPH_FILE)
    _say({"done": True})


def _unpack(request: dict[str, Any]) -> None:
    Path("out").mkdir()
    unpack_single(Path(request["path"]), Path("out"), FileRule.of_json(request["rule"]))
    _say({"done": True})


def _read_table(tables: "type[NodeTable]", request: dict[str, Any]) -> None:
    table = tables.load(request["path"])
    table.label.astype("<u8").tofile(TABLE_FILE)
    _say({"done": True, "nodes_sha256": table.nodes_sha256})


def _diagnose(step: Callable[..., None], request: dict[str, Any]) -> None:
    step(request, _Reporter())
    _say({"done": True})


def _read(request: dict[str, Any], memory: memoryview) -> None:
    """Check the file, report what it contains, and decode chunks as long as the parent requests them."""
    spec = (
        VolumeSpec(tuple(request["shape_zyx"]), tuple(request["voxel_size_nm_zyx"])) if request["shape_zyx"] else None
    )
    rule = FileRule.of_json(request["rule"])
    with _opened(request, spec, rule) as opened:
        if "shuffle" in opened.info.compression:
            save_no_kernels()  # reading it imports numba, which all other files do without
        checked = _checked(opened, request, spec, rule)
        # Chunks go over as they are stored: the parent reverses the axes, by the strides.
        is_reversed = isinstance(opened, ReversedAxes)
        volume = opened.stored if isinstance(opened, ReversedAxes) else opened
        rank, stored = volume.storage_rank(), volume.stored_chunks()
        in_order = bool((np.diff(rank) > 0).all())
        n = volume.n_chunks
        if not in_order:
            memory[: 8 * n] = np.ascontiguousarray(rank, np.int64).view(np.uint8).data
        if stored is not None:
            memory[8 * n : 9 * n] = stored.astype(np.uint8).data
        _say(
            {
                "info": asdict(checked),
                "reversed": is_reversed,
                "shape_zyx": volume.shape_zyx,
                "chunk_shape_zyx": volume.chunk_shape_zyx,
                # A mask of booleans goes over as bytes: of a boolean the parent would not check the value.
                "dtype": "|u1" if volume.dtype.kind == "b" else volume.dtype.str,
                "sequential": volume.sequential,
                "fill_value": volume.fill_value,
                "in_order": in_order,
                "stored_known": stored is not None,
            }
        )
        _serve_lanes(volume, memory, request)


def _opened(request: dict[str, Any], spec: VolumeSpec | None, rule: FileRule) -> LabelVolume:
    path, dataset = request["path"], request["dataset"]
    if spec is not None and request["contents"] == Contents.SEGMENTATION:
        return open_for(spec, path, dataset, ReadOptions(rule))
    is_mask = request["contents"] == Contents.MASK
    return open_labels(path, dataset or rule.dataset or None, mask=is_mask, axes=rule.axes)


def _checked(opened: LabelVolume, request: dict[str, Any], spec: VolumeSpec | None, rule: FileRule) -> LabelInfo:
    """What the file states. Raises InputError where it does not fit the volume, and of a segmentation where its labels
    are none."""
    if spec is None:
        if 0 in opened.shape_zyx:
            what = f"has shape {format_triple(opened.shape_zyx)} and so no voxel; write its voxels too"
            raise InputError.of("no_voxels", f"{opened.path.name}: the array {what}")
        return opened.info
    if request["contents"] == Contents.SEGMENTATION:
        return check_volume(opened, spec, rule=rule, on_progress=partial(_Reporter(), "check"))
    raise_all(header_complaints(opened, spec, rule=rule))
    return opened.info


def _serve_lanes(volume: LabelVolume, memory: memoryview, request: dict[str, Any]) -> None:
    def failed(error: Exception) -> bytes:
        known = error if isinstance(error, InputError) else unreadable(request["path"], error)
        return json.dumps(_said(known)[:MOST_IN_REPLY]).encode()

    lanes = [
        threading.Thread(target=serve, args=(volume, memory, reads, writes, failed), name=f"lane-{i}", daemon=True)
        for i, (reads, writes) in enumerate(request["lanes"])
    ]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()


def unreadable(path: str, error: Exception) -> InputError:
    """The complaint about a file on which a parser failed unexpectedly."""
    text = re.sub(r"\s+", " ", str(error)).replace(path, Path(path).name)[:200]
    if isinstance(error, MemoryError):
        return InputError.of("too_much_memory", "reading the file took too much memory. Store it in smaller chunks")
    return InputError.of(
        "unreadable",
        f"{Path(path).name}: the file cannot be read ({type(error).__name__}: {text}). It is damaged, or uses what is "
        "not read here: write it again, in HDF5 with gzip compression",
    )


def _said(error: InputError) -> list[dict[str, str]]:
    return [{"code": c.code, "message": c.message[:MAX_COMPLAINT_CHARACTERS]} for c in error.complaints]


class _Reporter:
    """Progress lines, a few a second of each stage."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        if time.monotonic() >= self._next.get(stage, 0.0) or done == total:
            self._next[stage] = time.monotonic() + _PROGRESS_EVERY_S
            _say({"stage": stage, "done": done, "total": total})


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
