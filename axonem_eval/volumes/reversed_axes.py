"""A volume whose array is stored in x,y,z, shown in z,y,x: views with swapped strides, no voxel is moved."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.spec import Triple
from axonem_eval.volumes.label_volume import Labels, LabelVolume, Scratch


class ReversedAxes(LabelVolume):
    """The volume ``stored``, with its first axis last. Chunks keep their place in the file, and get another index."""

    def __init__(self, stored: LabelVolume) -> None:
        super().__init__()
        self.stored = stored
        stored.axis_order = "x,y,z"
        self.path, self.dtype, self.sequential = stored.path, stored.dtype, stored.sequential
        self.shape_zyx, self.chunk_shape_zyx = reverse(stored.shape_zyx), reverse(stored.chunk_shape_zyx)
        self.has_plain_axes = True
        self.fill_value, self.background_ids = stored.fill_value, stored.background_ids
        self.copies_per_thread, self.batch_bytes = stored.copies_per_thread, stored.batch_bytes
        self.reads_at_once, self.visited_whole = stored.reads_at_once, stored.visited_whole
        info, size = stored.info, stored.info.voxel_size_nm_zyx
        self.info = replace(
            info,
            shape_zyx=info.shape_zyx[::-1],
            chunk_shape_zyx=info.chunk_shape_zyx[::-1],
            voxel_size_nm_zyx=None if size is None else (size[2], size[1], size[0]),
            offset_nm_zyx=None if info.offset_nm_zyx is None else info.offset_nm_zyx[::-1],
        )

    def storage_rank(self) -> NDArray[np.int64]:
        return self._turned(self.stored.storage_rank())

    def stored_chunks(self) -> NDArray[np.bool_] | None:
        there = self.stored.stored_chunks()
        return None if there is None else self._turned(there)

    def read_chunk(self, chunk: int) -> Labels:
        return self.stored.read_chunk(int(self._stored_index(np.array([chunk]))[0])).transpose(2, 1, 0)

    def read_chunks(self, chunks: NDArray[np.int64], scratch: Scratch) -> Labels:
        return self.stored.read_chunks(self._stored_index(chunks), scratch).transpose(0, 3, 2, 1)

    def read(self, box: tuple[slice, slice, slice]) -> Labels:
        self.stored.kept_bytes = self.kept_bytes
        return self.stored.read((box[2], box[1], box[0])).transpose(2, 1, 0)

    def _stored_index(self, chunks: NDArray[np.int64]) -> NDArray[np.int64]:
        place = np.unravel_index(chunks, self.grid_zyx)
        return np.ravel_multi_index(place[::-1], self.stored.grid_zyx).astype(np.int64)

    def _turned(self, of_chunks: NDArray[Any]) -> NDArray[Any]:
        return of_chunks.reshape(self.stored.grid_zyx).transpose(2, 1, 0).ravel()

    def close(self) -> None:
        self.stored.close()


def reverse(zyx: Triple) -> Triple:
    """The three in the other order."""
    return zyx[2], zyx[1], zyx[0]
