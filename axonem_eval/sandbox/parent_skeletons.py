"""Read files of skeletons in a confined child: SWC, precomputed, em_erl, groups in HDF5, pickles of graphs."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from axonem_eval.errors import InputError
from axonem_eval.files import MAX_NPZ_BYTES, read_npz
from axonem_eval.sandbox.parent import file_request, require_plain, stored_bytes
from axonem_eval.sandbox.process import GRAPH_FILE, ConfinedProcess, Limits
from axonem_eval.skeletons import ForeignGraph, ImportOptions, SkeletonGraph
from axonem_eval.spec import VolumeSpec
from axonem_eval.submission_rule import ANY_FILE

# Skeletons are held whole, in several forms while they are read.
MEMORY_BYTES = 12 << 30


def import_confined(
    path: str | Path,
    spec: VolumeSpec,
    options: ImportOptions,
    *,
    drop_outside: bool = False,
    min_length_um: float = 0.0,
    limits: Limits | None = None,
    poll: Callable[[], None] | None = None,
) -> SkeletonGraph:
    """As ``import_any``, in a confined child, which runs nothing that a pickle names.

    poll : as in ``open_confined``.
    Raises InputError as ``import_any`` does, and ConfinedCrash where the child died by no fault of the file.
    """
    wanted = {"options": asdict(options), "drop_outside": drop_outside, "min_length_um": min_length_um}
    path = Path(path)
    request = {"work": "import", **file_request(path, None, spec, ANY_FILE), **wanted}
    with tempfile.TemporaryDirectory(prefix="axonem-") as folder:
        graph = SkeletonGraph.load(_made(path, request, Path(folder), limits, poll))
    if graph.spec != spec:
        raise InputError.of("bad_graph", f"{path.name}: its reader left skeletons of another volume")
    return graph


def unpickle_confined(
    path: str | Path, *, limits: Limits | None = None, poll: Callable[[], None] | None = None
) -> ForeignGraph:
    """Read the graph of skeletons in a pickle, in a confined child that runs nothing that the pickle names.

    poll : as in ``open_confined``.
    Raises InputError for a pickle that is damaged, holds no such graph, or names anything else, and ConfinedCrash where
    the child died by no fault of the file.
    """
    path = Path(path)
    request = {"work": "unpickle", "path": str(path.resolve())}
    with tempfile.TemporaryDirectory(prefix="axonem-") as folder:
        return ForeignGraph.of_arrays(read_npz(_made(path, request, Path(folder), limits, poll)), path.name)


def _made(
    path: Path, request: dict[str, Any], work: Path, limits: Limits | None, poll: Callable[[], None] | None
) -> Path:
    """The file of arrays that a child leaves in the folder ``work``."""
    if not path.exists():
        raise InputError.of("no_file", f"{path}: no such file")
    allowed = limits or Limits(memory_bytes=MEMORY_BYTES, written_bytes=MAX_NPZ_BYTES)
    allowed = allowed.for_file(stored_bytes(path))
    with ConfinedProcess({**request, "writable": [str(work)]}, allowed, work, poll=poll) as process:
        process.answer()
    require_plain(work / GRAPH_FILE)
    return work / GRAPH_FILE
