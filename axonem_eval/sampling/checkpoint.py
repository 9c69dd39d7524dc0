"""A file that lets a killed pass over a volume continue.

It holds the labels read so far and how many batches of chunks they come from. It is written atomically: a kill at any
moment leaves the old file or the new one.
"""

import hashlib
import json
import os
import stat
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.files import read_npz, require_target, write_atomically
from axonem_eval.volumes import LabelVolume

EVERY_S = 10.0
# Largest share of the time that writing may take; a slow disk gets fewer checkpoints.
MOST_OF_TIME = 0.05
_VERSION = 1


class Checkpoint:
    """The state of one pass, stored in a file that fits only the same volumes and nodes."""

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

    def restore(self) -> dict[str, NDArray[Any]] | None:
        """The arrays that ``save`` wrote last; None where there are none, or they are of other input."""
        if not self._path.exists():
            return None
        try:
            arrays = read_npz(self._path)
        except InputError:
            return None
        return arrays if arrays.get("key", np.empty(0)).tobytes() == self._key else None

    def save(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Write the state of the pass; no thread may change the arrays meanwhile."""
        began = time.monotonic()
        keyed = {"key": np.frombuffer(self._key, np.uint8), **arrays}
        write_atomically(self._path, lambda file: np.savez(file, allow_pickle=False, **keyed))
        now = time.monotonic()
        self._next = now + max(EVERY_S, (now - began) / MOST_OF_TIME)

    def remove(self) -> None:
        """The pass is complete."""
        self._path.unlink(missing_ok=True)


def _identity(volume: LabelVolume) -> list[object]:
    """Values that change when the file or folder is another one or was written again; its content is not read."""
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
