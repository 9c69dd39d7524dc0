"""The shuffle filter of HDF5 undone: the bytes of each item stand apart, first all lowest ones."""

import numba
import numpy as np
from numpy.typing import NDArray


def unshuffle(planes: NDArray[np.uint8], out: NDArray[np.uint8], itemsize: int) -> None:
    """Fill ``out`` with the items; what is left over at the end of a chunk is stored as it is."""
    usable = len(out) // itemsize * itemsize
    kernel = {2: unshuffle2, 4: unshuffle4, 8: unshuffle8}[itemsize]
    kernel(planes[:usable], out[:usable].view(f"u{itemsize}"))
    out[usable:] = planes[usable:]


@numba.njit(nogil=True, cache=True)
def unshuffle2(planes, out):  # type: ignore[no-untyped-def]
    """Items of 16 bits."""
    n = len(out)
    for i in range(n):
        out[i] = np.uint16(planes[i]) | (np.uint16(planes[n + i]) << np.uint16(8))


@numba.njit(nogil=True, cache=True)
def unshuffle4(planes, out):  # type: ignore[no-untyped-def]
    """Items of 32 bits."""
    n = len(out)
    for i in range(n):
        low = np.uint32(planes[i]) | (np.uint32(planes[n + i]) << np.uint32(8))
        high = np.uint32(planes[2 * n + i]) | (np.uint32(planes[3 * n + i]) << np.uint32(8))
        out[i] = low | (high << np.uint32(16))


@numba.njit(nogil=True, cache=True)
def unshuffle8(planes, out):  # type: ignore[no-untyped-def]
    """Items of 64 bits."""
    n = len(out)
    for i in range(n):
        value = np.uint64(planes[i])
        for k in range(1, 8):
            value |= np.uint64(planes[k * n + i]) << np.uint64(8 * k)
        out[i] = value
