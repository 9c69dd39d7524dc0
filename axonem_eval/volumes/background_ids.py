"""Reserved ids, which some programs write where there is no object, and a volume that reads ids as background."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.volumes.label_volume import Labels, LabelVolume, Scratch

_ALL = 1 << 64
# BigCAT and Paintera, and so the files of CREMI.
RESERVED = {
    _ALL - 1: "TRANSPARENT in CREMI and Paintera, or -1 cast to uint64",
    _ALL - 2: "INVALID in CREMI and Paintera, or -2 cast to uint64",
    _ALL - 3: "OUTSIDE in CREMI and Paintera, or -3 cast to uint64",
    (1 << 32) - 1: "-1 cast to uint32",
}


def reserved_of(dtype: np.dtype[Any]) -> dict[int, str]:
    """The reserved ids that a dtype can hold, and what they mean."""
    if dtype.kind != "u" or dtype.itemsize < 4:
        return {}
    return {label: meaning for label, meaning in RESERVED.items() if label <= np.iinfo(dtype).max}


def reserved_warning(name: str, label: int, where: str) -> str:
    """The line about a reserved id; ``where`` says how much of it there is, such as ``at 12% of the voxels``."""
    return (
        f"{name}: label {label} ({RESERVED[label]}) is {where} and counts as an object. If it is background, write it "
        f"as 0; `axonem-eval score` and `skeletonize` can also read it as 0: --background-ids {label}"
    )


class WithoutIds(LabelVolume):
    """A volume in which some ids are read as 0; -1, -2 and so on also mean what they become when cast."""

    def __init__(self, volume: LabelVolume, ids: Sequence[int]) -> None:
        super().__init__()
        self._volume = volume
        self.path, self.info, self.shape_zyx = volume.path, volume.info, volume.shape_zyx
        self.chunk_shape_zyx, self.dtype, self.sequential = volume.chunk_shape_zyx, volume.dtype, volume.sequential
        self.has_plain_axes = volume.has_plain_axes
        self.copies_per_thread = volume.copies_per_thread + 1
        self.background_ids = tuple(sorted({cast for i in ids if (cast := _as_stored(i, volume.dtype)) is not None}))
        self.fill_value = 0 if volume.fill_value in self.background_ids else volume.fill_value

    def storage_rank(self) -> NDArray[np.int64]:
        return self._volume.storage_rank()

    def stored_chunks(self) -> NDArray[np.bool_] | None:
        return self._volume.stored_chunks()

    def read_chunk(self, chunk: int) -> Labels:
        return self._without(self._volume.read_chunk(chunk))

    def read_chunks(self, chunks: NDArray[np.int64], scratch: Scratch) -> Labels:
        return self._without(self._volume.read_chunks(chunks, scratch))

    def read(self, box: tuple[slice, slice, slice]) -> Labels:
        self._volume.kept_bytes = self.kept_bytes
        return self._without(self._volume.read(box))

    def _without(self, labels: Labels) -> Labels:
        for label in self.background_ids:
            there = labels == label
            if there.any():
                labels = labels if labels.flags.writeable else labels.copy()
                labels[there] = 0
        return labels

    def close(self) -> None:
        self._volume.close()


def _as_stored(label: int, dtype: np.dtype[Any]) -> int | None:
    """The id as the dtype stores it, cast if necessary; None if it has no such value."""
    bits, limits = 8 * dtype.itemsize, np.iinfo(dtype)
    for cast in (label, label + (1 << bits), label - (1 << bits), label - _ALL):
        if limits.min <= cast <= limits.max:
            return cast
    return None
