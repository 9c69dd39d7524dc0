"""What a label file states about itself."""

import math
from dataclasses import dataclass

from axonem_eval.spec import FloatTriple


@dataclass(frozen=True)
class LabelInfo:
    """What a label file states about itself; sizes in bytes, axes z,y,x.

    offset : where the array begins, as the file states it, or empty; only shown.
    offset_nm_zyx : the same in nm where it is stated in nm, also 0; for benchmarks that ask for a part of the image.
    warnings : what may be wrong though the file can be read, one line each.
    chunks_total : number of chunks, or of shards in a sharded Zarr array.
    chunks_stored : how many of them have data in the file, or a shard; None where finding out is not cheap.
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
    offset_nm_zyx: FloatTriple | None = None
    warnings: tuple[str, ...] = ()

    @property
    def voxels(self) -> int:
        return math.prod(self.shape_zyx)


def missing_chunks(name: str, stored: int | None, total: int, what: str, fill_value: int) -> tuple[str, ...]:
    """A warning about chunks without data in the file; empty if there are none.

    what : what is missing, such as ``chunks have no file``.
    """
    if stored is None or stored == total:
        return ()
    reads = "background" if fill_value == 0 else f"label {fill_value}"
    return (f"{name}: {total - stored:,} of {total:,} {what}: they read as {reads}",)
