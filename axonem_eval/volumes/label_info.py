"""What a label file says of itself, and what may be wrong with it."""

import math
from dataclasses import dataclass

from axonem_eval.spec import FloatTriple


@dataclass(frozen=True)
class LabelInfo:
    """What a label file says of itself; sizes in bytes, axes z,y,x.

    offset : where the array begins by the file's own words, or empty; it is shown and not used.
    warnings : what may be wrong though the file can be read, one line each.
    chunks_total : chunks as the file has them; of a sharded store its shards.   chunks_stored : how many of these have
    data in the file, None where that cannot be told cheaply.
    """

    format: str
    dataset: str
    shape_zyx: tuple[int, ...]
    dtype: str
    chunk_shape_zyx: tuple[int, ...]
    compression: str
    voxel_size_nm_zyx: FloatTriple | None
    stored_bytes: int
    chunks_total: int
    chunks_stored: int | None = None
    offset: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def voxels(self) -> int:
        return math.prod(self.shape_zyx)


def missing_chunks(name: str, stored: int | None, total: int, what: str, fill_value: int) -> tuple[str, ...]:
    """The warning about chunks that the file has no data for; empty where none is missing.

    what : what is missing, such as ``chunks have no file``.
    """
    if stored is None or stored == total:
        return ()
    reads = "background" if fill_value == 0 else f"label {fill_value}"
    return (f"{name}: {total - stored:,} of {total:,} {what}: they read as {reads}",)
