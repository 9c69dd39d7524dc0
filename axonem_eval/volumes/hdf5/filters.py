"""HDF5's chunk filters undone outside the HDF5 library, which does its work under one lock.

Filter numbers are those of the HDF Group's registry. The codecs are imagecodecs' (libdeflate, zstd, blosc, lz4,
liblzf); a pipeline with any other filter is left to h5py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import h5py
import imagecodecs
import numpy as np
from numpy.typing import NDArray

from axonem_eval.volumes.label_volume import Scratch

DEFLATE, SHUFFLE, FLETCHER32, NBIT, SCALEOFFSET = 1, 2, 3, 5, 6
LZF, BLOSC, LZ4, ZSTD = 32000, 32001, 32004, 32015
FILTER_NAMES = {
    DEFLATE: "gzip",
    SHUFFLE: "shuffle",
    FLETCHER32: "fletcher32",
    4: "szip",
    307: "bzip2",
    NBIT: "nbit",
    SCALEOFFSET: "scaleoffset",
    LZF: "lzf",
    BLOSC: "blosc",
    LZ4: "lz4",
    32008: "bitshuffle",
    ZSTD: "zstd",
    32026: "blosc2",
}
# Made for floats or pictures: what they give back may be other ids. Some end the whole process where data are damaged.
_INEXACT = {32013: "ZFP", 32017: "SZ", 32018: "FCIDECOMP", 32024: "SZ3", 32028: "SPERR", 32033: "HTJ2K"}

Buffer = NDArray[np.uint8]


class BadChunk(ValueError):
    """The stored bytes of a chunk cannot be decoded."""


# Each takes the stored bytes and the buffer to fill, and returns the filled part of it.
_INFLATE: dict[int, Callable[..., Any]] = {
    DEFLATE: imagecodecs.deflate_decode,
    LZF: imagecodecs.lzf_decode,
    BLOSC: partial(imagecodecs.blosc_decode, numthreads=1),
    LZ4: imagecodecs.lz4h5_decode,
    ZSTD: imagecodecs.zstd_decode,
}


@dataclass(frozen=True)
class FilterPipeline:
    """The filters of a dataset, in the order in which they were applied on writing.

    codes : filter numbers.   itemsize : bytes that the shuffle filter takes as one item.
    """

    codes: tuple[int, ...]
    itemsize: int

    @classmethod
    def of(cls, dataset: h5py.Dataset) -> "FilterPipeline":
        """The pipeline that the dataset's header states."""
        plist = dataset.id.get_create_plist()
        filters = [plist.get_filter(i) for i in range(plist.get_nfilters())]
        itemsize = next((int(f[2][0]) for f in filters if f[0] == SHUFFLE and len(f[2])), dataset.dtype.itemsize)
        return cls(tuple(int(f[0]) for f in filters), itemsize)

    @property
    def known(self) -> bool:
        """Whether ``decode`` undoes all of it: one compressor at most, after shuffle and before the checksum."""
        order = [1 if code in _INFLATE else {SHUFFLE: 0, FLETCHER32: 2}.get(code, 9) for code in self.codes]
        return order == sorted(set(order)) and 9 not in order and self.itemsize in (1, 2, 4, 8)

    @property
    def repeated(self) -> int:
        """How often chunks are compressed, 0 for at most once: each time may multiply the size by a thousand."""
        compressors = [code for code in self.codes if code not in (SHUFFLE, FLETCHER32, NBIT, SCALEOFFSET)]
        return len(compressors) if len(compressors) > 1 else 0

    @property
    def unread(self) -> str:
        """What is wrong with the first filter that is not read; empty where all are."""
        code = next((code for code in self.codes if code not in FILTER_NAMES), None)
        if code is None:
            return ""
        name = _INEXACT.get(code)
        return f"{name}, which may change ids" if name else f"filter {code}, which is not read here"

    @property
    def names(self) -> str:
        """Names of the filters; empty without any."""
        return ", ".join(FILTER_NAMES.get(code, f"filter {code}") for code in self.codes)

    def decode(self, data: Buffer, skipped: int, out: Buffer, scratch: Scratch) -> None:
        """Turn the stored bytes of one chunk into its labels' bytes.

        skipped : bit i is set where filter i was not applied to this chunk.
        Raises BadChunk.
        """
        active = [code for i, code in enumerate(self.codes) if not skipped >> i & 1]
        shuffled = SHUFFLE in active and self.itemsize > 1
        if active and active[-1] == FLETCHER32:
            data = _verified(data)
        planes = scratch.bytes("planes", len(out)) if shuffled else out
        compressor = next((code for code in active if code in _INFLATE), None)
        if compressor is not None:
            try:
                data = _INFLATE[compressor](data, out=planes)
            except (RuntimeError, ValueError, TypeError) as error:
                raise BadChunk(str(error)) from None
        if len(data) != len(out):
            raise BadChunk(f"{len(data):,} bytes where {len(out):,} were expected")
        if shuffled:
            _unshuffle(np.asarray(data), out, self.itemsize)
        elif compressor is None:
            out[:] = data


def _verified(data: Buffer) -> Buffer:
    """The data before its checksum. HDF5 before 1.6.3 stored the checksum's bytes in pairs reversed."""
    body, stored = data[:-4], bytes(data[-4:])
    if len(stored) < 4:
        raise BadChunk("shorter than its checksum")
    checksum = int(imagecodecs.h5checksum_fletcher32(bytes(body))).to_bytes(4, "little")
    if stored not in (checksum, bytes([checksum[1], checksum[0], checksum[3], checksum[2]])):
        raise BadChunk("its fletcher32 checksum is wrong")
    return body


def _unshuffle(planes: Buffer, out: Buffer, itemsize: int) -> None:
    # Numba takes longer to import than all else that a reader needs, and few files are shuffled.
    from axonem_eval.volumes.hdf5.unshuffle import unshuffle

    unshuffle(planes, out, itemsize)


@cache
def warm_filters() -> None:
    """Compile, or load from the cache, the kernels that filters need; once in a process."""
    for itemsize in (2, 4, 8):
        planes = np.zeros(itemsize, np.uint8)
        _unshuffle(planes, np.empty(itemsize, np.uint8), itemsize)
