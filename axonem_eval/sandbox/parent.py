"""Open an untrusted file in a child process that can only read it and knows nothing else.

HDF5 and a dozen codecs written in C open a segmentation, and a crafted file may take them over. So a child opens,
checks and decodes it. This process, which holds the nodes of the ground truth, looks labels up. Files of organisers are
read in the same way. The child has

- no environment, no inherited files but its pipes, and a working directory of its own that is removed afterwards;
- Landlock rules (Linux 5.13 on): it reads the upload and the Python installation and writes nothing (a diagnosis: only
  into its working directory, and into one that the children of one diagnosis share); no TCP, and from Linux 6.12 on no
  signal and no abstract socket beyond itself;
- a seccomp filter: no socket of any kind, no other process, no change to a file by its name;
- limits on memory, CPU time, written bytes and open files, and a limit on time that grows with the file's size.

``axonem_eval.sandbox.protection`` says which of these the machine has.
"""

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import of_ground_truth
from axonem_eval.file_kinds import is_zip
from axonem_eval.processes import usable_cores
from axonem_eval.progress import StageProgress
from axonem_eval.sampling import NodeSample, NodeTable, sample_nodes
from axonem_eval.sandbox.confined_volume import ConfinedVolume, Lanes
from axonem_eval.sandbox.process import (
    MISREAD,
    TABLE_FILE,
    ConfinedCrash,
    ConfinedProcess,
    Contents,
    Limits,
    OtherCode,
)
from axonem_eval.spec import VolumeSpec
from axonem_eval.submission_rule import ANY_FILE, FileRule
from axonem_eval.volumes import Labels, LabelVolume, ReversedAxes, split_dataset, warm_filters

__all__ = [
    "ConfinedCrash",
    "Contents",
    "Limits",
    "OtherCode",
    "counting_seconds",
    "node_table_confined",
    "open_confined",
    "sample_confined",
]

# A child that only reads writes nothing else.
MAX_STDERR_BYTES = 1 << 20
# Labels of 134 million nodes; this process holds them.
MAX_TABLE_BYTES = 1 << 30
# Speed of counting voxels (under a mask, against dense ground truth), which this process does beside the child.
VOXELS_A_SECOND = 25e6


@contextmanager
def open_confined(
    path: str | Path,
    spec: VolumeSpec | None,
    *,
    contents: Contents = Contents.SEGMENTATION,
    rule: FileRule = ANY_FILE,
    limits: Limits | None = None,
    on_progress: StageProgress | None = None,
    poll: Callable[[], None] | None = None,
) -> Iterator[LabelVolume]:
    """Check a file in a confined child, which then decodes its chunks.

    spec : the volume that it must fit; None: any, which is for ground truth, masks and images alone.
    contents : what is in it, which says how it is checked. Of a segmentation all chunks are visited, so that the child
        does not learn where nodes are; what organisers give is read where it is needed.
    rule : how the file must be stored. Its name is not looked at: ours is that of the storage.
    on_progress : called with ("check", done, total) in this process.
    poll : called every second from a thread; an error that it raises ends the child and is raised here.
    Raises InputError for any fault of the file, also where it takes too much time or memory, and ConfinedCrash where
    the child died by no fault of the file. Reading chunks raises the same.
    """
    with unpacked_confined(path, rule, limits=limits, poll=poll) as plain:
        file, dataset = split_dataset(plain)
        allowed = (limits or Limits()).for_file(stored_bytes(file))
        allowed = replace(allowed, written_bytes=min(allowed.written_bytes, MAX_STDERR_BYTES))
        lanes = Lanes(2 * min(8, usable_cores()) + 1)
        with tempfile.TemporaryDirectory(prefix="axonem-") as folder:
            request = {
                "work": "read",
                "writable": [],
                "contents": contents,
                **lanes.request(),
                **file_request(file, dataset, spec, rule),
            }
            try:
                with ConfinedProcess(request, allowed, Path(folder), pass_fds=lanes.child_fds, poll=poll) as process:
                    lanes.close_childs()
                    warm_filters()  # into the cache, for the child to load: it may not write there
                    answer = process.answer(on_progress)
                    try:
                        volume = _confined_volume(file, spec, rule, process, lanes, answer)
                    except MISREAD:
                        raise ConfinedCrash("the reader's answer is not readable") from None
                    with volume:
                        volume.visited_whole = contents == Contents.SEGMENTATION
                        yield volume
            finally:
                lanes.close()


def _confined_volume(
    file: Path, spec: VolumeSpec | None, rule: FileRule, process: ConfinedProcess, lanes: Lanes, answer: dict[str, Any]
) -> LabelVolume:
    """What the child serves, in z,y,x. Raises ConfinedCrash where it states what the rule does not allow."""
    shape = None if spec is None else spec.shape_zyx
    if not answer["reversed"]:
        return ConfinedVolume(file, shape, process, lanes, answer)
    if rule.axes != "xyz":
        raise ConfinedCrash("the reader states another order of axes than it was asked for")
    stored = ConfinedVolume(file, shape and (shape[2], shape[1], shape[0]), process, lanes, answer)
    volume = ReversedAxes(stored)
    volume.info = stored.info  # as the child checked it: z,y,x already
    return volume


@contextmanager
def unpacked_confined(
    path: str | Path, rule: FileRule, *, limits: Limits | None = None, poll: Callable[[], None] | None = None
) -> Iterator[str | Path]:
    """The file itself; of an archive that the rule takes, the one file in it, unpacked by a confined child."""
    if not (rule.zipped and is_zip(Path(path))):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="axonem-") as folder:
        work = Path(folder)
        request = {"work": "unpack", "writable": [folder], "path": str(Path(path).resolve()), "rule": rule.to_json()}
        allowed = (limits or Limits()).for_file(stored_bytes(Path(path)))
        with ConfinedProcess(request, allowed, work, poll=poll) as process:
            process.answer()
        require_plain(work / "out")
        yield work / "out" / rule.file_name


def sample_confined(
    path: str | Path,
    spec: VolumeSpec,
    node_voxel_zyx: NDArray[np.int32],
    *,
    no_merge_mask: str | Path | None = None,
    limits: Limits | None = None,
    on_open: Callable[[LabelVolume], Callable[[int, Labels], None] | None] | None = None,
    on_progress: StageProgress | None = None,
    **confinement: Any,
) -> NodeSample:
    """Check a label file in a confined child, and look up the labels at the nodes here.

    no_merge_mask : a file of the ground truth, which a second confined child reads.
    on_open : called with the volume once it is checked; what it returns is called with each chunk, for other counts in
        the same pass (``also`` of ``sample_nodes``). Give limits with time for them.
    on_progress : called with (stage, done, total) in this process, stages check and sample; an error that it raises
    ends the child and is raised here.
    confinement : ``rule`` and ``poll`` of ``open_confined``.
    Raises as ``open_confined`` does, and GroundTruthError for a fault of the mask.
    """
    allowed = limits or Limits()
    if no_merge_mask is not None:
        allowed = replace(allowed, our_seconds=allowed.our_seconds + counting_seconds(spec))
    sampled = partial(on_progress, "sample") if on_progress else None
    opened = open_confined(path, spec, limits=allowed, on_progress=on_progress, **confinement)
    with opened as volume:
        also = on_open(volume) if on_open else None
        if no_merge_mask is None:
            return sample_nodes(volume, node_voxel_zyx, on_progress=sampled, also=also)
        # It is open for as long as the segmentation is.
        patient = Limits(our_seconds=allowed.for_file(stored_bytes(split_dataset(path)[0])).wall_seconds)
        with ExitStack() as opened_mask:
            with of_ground_truth():
                mask = opened_mask.enter_context(
                    open_confined(no_merge_mask, spec, contents=Contents.MASK, limits=patient)
                )
            return sample_nodes(volume, node_voxel_zyx, no_merge_mask=mask, on_progress=sampled, also=also)


def counting_seconds(spec: VolumeSpec) -> float:
    """Time that this process may take for a count over all voxels, beside the child."""
    return spec.voxels / VOXELS_A_SECOND


def node_table_confined(
    path: str | Path, *, limits: Limits | None = None, poll: Callable[[], None] | None = None
) -> NodeTable:
    """Read a table of labels at nodes in a confined child.   poll : as in ``open_confined``.

    Raises InputError for a file that is none, and ConfinedCrash where the child died by no fault of the file.
    """
    path = Path(path)
    allowed = (limits or Limits()).for_file(stored_bytes(path))
    allowed = replace(allowed, written_bytes=min(allowed.written_bytes, MAX_TABLE_BYTES))
    with tempfile.TemporaryDirectory(prefix="axonem-") as folder:
        work = Path(folder)
        request = {"work": "table", "writable": [folder], "path": str(path.resolve())}
        with ConfinedProcess(request, allowed, work, poll=poll) as process:
            answer = process.answer()
        require_plain(work / TABLE_FILE)
        label = np.fromfile(work / TABLE_FILE, "<u8").astype(np.uint64, copy=False)
        return NodeTable(label, str(answer.get("nodes_sha256"))[:64])


def file_request(file: Path, dataset: str | None, spec: VolumeSpec | None, rule: FileRule) -> dict[str, Any]:
    """What every child is told of a file of labels."""
    return {
        "path": str(file.resolve()),
        "dataset": dataset,
        "shape_zyx": spec and spec.shape_zyx,
        "voxel_size_nm_zyx": spec and spec.voxel_size_nm_zyx,
        "rule": rule.to_json(),
    }


def stored_bytes(path: Path) -> int:
    """Size of a file, or of all files of a folder."""
    if not path.is_dir():
        return path.stat().st_size if path.exists() else 0
    return sum(os.lstat(os.path.join(at, name)).st_size for at, _, names in os.walk(path) for name in names)


def require_plain(path: Path) -> None:
    """Raises ConfinedCrash unless there are only files and folders: a link would be followed with our rights."""
    inside = [Path(folder) / name for folder, *names in os.walk(path) for name in (*names[0], *names[1])]
    for found in (path, *inside):
        mode = found.lstat().st_mode if found.is_symlink() or found.exists() else 0
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise ConfinedCrash(f"the reader left no plain file at {found.name}")
