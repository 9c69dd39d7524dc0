"""A pass over a volume that goes on where it was killed.

The file holds the labels read so far and how many batches of chunks they come from. It is written next to its final
name and renamed, so that a kill at any moment leaves the old one or the new one.
"""

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.files import read_npz, require_target, write_atomically
from axonem_eval.volumes import LabelVolume

EVERY_S = 10.0
# Writing may take this part of the time at most; a slow disk gets fewer checkpoints.
MOST_OF_TIME = 0.05
_VERSION = 1

MaskCounts = tuple[NDArray[np.uint64], NDArray[np.int64]]


def _nothing() -> MaskCounts:
    return np.empty(0, np.uint64), np.empty(0, np.int64)


@dataclass
class WalkState:
    """What a pass has found so far.

    node_segment : (n_nodes,) uint64, right where the node's chunk was visited.
    count : gives (segment, voxels under the mask) since it was last asked.
    """

    node_segment: NDArray[np.uint64]
    count: Callable[[], MaskCounts] = field(default=_nothing)
    _counted: MaskCounts = field(default_factory=_nothing)

    def mask_counts(self) -> MaskCounts:
        """(segment, voxels under the mask) from the start, segments ascending."""
        segment, voxels = (np.concatenate(pair) for pair in zip(self._counted, self.count(), strict=True))
        ids, of = np.unique(segment, return_inverse=True)
        total = np.zeros(len(ids), np.int64)
        np.add.at(total, of, voxels)
        self._counted = ids, total
        return self._counted

    def restore(self, node_segment: NDArray[np.uint64], counted: MaskCounts) -> None:
        """Take over what an earlier pass found."""
        self.node_segment[:] = node_segment
        self._counted = counted


class Checkpoint:
    """The state of one pass, kept in a file that fits only the same volumes and nodes."""

    def __init__(self, path: Path, volumes: Sequence[LabelVolume | None], nodes: NDArray[np.int32], batch: int) -> None:
        self._path = path
        key = {
            "version": _VERSION,
            "volumes": [None if v is None else _identity(v) for v in volumes],
            "nodes": hashlib.sha256(nodes.data).hexdigest(),
            "batch": batch,
        }
        self._key = hashlib.sha256(json.dumps(key).encode()).digest()
        self._next = time.monotonic() + EVERY_S
        require_target(path)

    def due(self) -> bool:
        """Whether it is time to write."""
        return time.monotonic() >= self._next

    def restore(self, state: WalkState) -> int:
        """Take over what the file holds, if it fits, and return the first batch that is still to do."""
        if not self._path.exists():
            return 0
        try:
            arrays = read_npz(self._path)
        except InputError:
            return 0
        if arrays.get("key", np.empty(0)).tobytes() != self._key:
            return 0
        state.restore(arrays["node_segment"], (arrays["mask_segment"], arrays["mask_voxels"]))
        return int(arrays["batches_done"])

    def save(self, batches_done: int, state: WalkState) -> None:
        """Write the state; no visit may be under way."""
        began = time.monotonic()
        mask_segment, mask_voxels = state.mask_counts()
        arrays = {
            "key": np.frombuffer(self._key, np.uint8),
            "batches_done": np.int64(batches_done),
            "node_segment": state.node_segment,
            "mask_segment": mask_segment,
            "mask_voxels": mask_voxels,
        }
        write_atomically(self._path, lambda file: np.savez(file, allow_pickle=False, **arrays))
        now = time.monotonic()
        self._next = now + max(EVERY_S, (now - began) / MOST_OF_TIME)

    def remove(self) -> None:
        """The pass is complete."""
        self._path.unlink(missing_ok=True)


def _identity(volume: LabelVolume) -> list[object]:
    """Tells one file, or folder, from another and from its later self, without reading it."""
    info = volume.info
    layout = [info.dataset, info.shape_zyx, info.dtype, volume.chunk_shape_zyx]
    return [*layout, volume.background_ids, _stat_digest(volume.path)]


def _stat_digest(path: Path) -> str:
    digest = hashlib.sha256()
    pending = [(str(path), os.stat(path))]
    while pending:
        name, status = pending.pop()
        digest.update(f"{name} {status.st_size} {status.st_mtime_ns} {status.st_ino}\n".encode())
        if stat.S_ISDIR(status.st_mode):
            with os.scandir(name) as entries:
                pending += sorted(((e.path, e.stat(follow_symlinks=False)) for e in entries), key=lambda e: e[0])
    return digest.hexdigest()
