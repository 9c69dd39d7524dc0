"""Sparse contingency tables: which pairs of uint64 ids occur, and how often.

The node counts of (skeleton, segment) and the voxel counts of (ground truth, segmentation) are both such tables.
A dense table would have a cell for each combination of ids; sorting would copy the data. One hash table with open
addressing needs neither.
"""

import os
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.uint64]
Counts = NDArray[np.int64]

# Ids come from uploads, so the hash is salted: nobody can prepare ids that all collide.
_SALT = np.uint64(int.from_bytes(os.urandom(8), "little") | 1)
_START = 1 << 12


@numba.njit(inline="always")
def _find(a, b, key_a, key_b, value, salt):  # type: ignore[no-untyped-def]
    """Slot of the pair (a, b), or the free slot (value < 0) where it belongs."""
    mask = np.uint64(len(value) - 1)
    h = (a ^ salt) * np.uint64(0x9E3779B97F4A7C15)
    h ^= h >> np.uint64(32)
    h = (h + b) * np.uint64(0xC2B2AE3D27D4EB4F)
    h ^= h >> np.uint64(29)
    h = (h * np.uint64(0x165667B19E3779F9)) >> np.uint64(16)
    slot = h & mask
    while value[slot] >= 0 and (key_a[slot] != a or key_b[slot] != b):
        slot = (slot + np.uint64(1)) & mask
    return slot


@numba.njit(nogil=True, cache=True)
def _count(a, b, start, key_a, key_b, value, used, salt):  # type: ignore[no-untyped-def]
    """Add elements from ``start`` on; stop early when the table is half full. Return (next, used)."""
    n, limit = len(a), len(value) // 2
    i = start
    while i < n:
        first_a, first_b = a[i], b[i]
        end = i + 1
        while end < n and a[end] == first_a and b[end] == first_b:  # labels come in runs along x
            end += 1
        slot = _find(np.uint64(first_a), np.uint64(first_b), key_a, key_b, value, salt)
        if value[slot] < 0:
            if used >= limit:
                return i, used
            key_a[slot], key_b[slot], value[slot] = np.uint64(first_a), np.uint64(first_b), 0
            used += 1
        value[slot] += end - i
        i = end
    return n, used


@numba.njit(nogil=True, cache=True)
def _index(a, b, start, key_a, key_b, value, used, salt, out):  # type: ignore[no-untyped-def]  # noqa: PLR0913
    """Like _count, but number the pairs in order of appearance and write each element's number to ``out``."""
    n, limit = len(a), len(value) // 2
    for i in range(start, n):
        slot = _find(np.uint64(a[i]), np.uint64(b[i]), key_a, key_b, value, salt)
        if value[slot] < 0:
            if used >= limit:
                return i, used
            key_a[slot], key_b[slot], value[slot] = np.uint64(a[i]), np.uint64(b[i]), used
            used += 1
        out[i] = value[slot]
    return n, used


@numba.njit(nogil=True, cache=True)
def _merge(other_a, other_b, other_value, key_a, key_b, value, used, salt):  # type: ignore[no-untyped-def]
    """Add the entries of another table; there must be room for them."""
    for i in range(len(other_value)):
        if other_value[i] < 0:
            continue
        slot = _find(other_a[i], other_b[i], key_a, key_b, value, salt)
        if value[slot] < 0:
            key_a[slot], key_b[slot], value[slot] = other_a[i], other_b[i], 0
            used += 1
        value[slot] += other_value[i]
    return used


def _unsigned(array: NDArray[Any]) -> NDArray[Any]:
    """The same numbers, flat and unsigned, so that few kernels are compiled; a view where possible."""
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.dtype == np.bool_:
        return flat.view(np.uint8)
    return flat.view(f"u{flat.dtype.itemsize}") if flat.dtype.kind == "i" else flat


class PairCounter:
    """Counts pairs (a, b) of non-negative ids over any number of ``add`` calls; not shared between threads."""

    def __init__(self) -> None:
        self._used = 0
        self._allocate(_START)

    def __len__(self) -> int:
        """Number of pairs."""
        return self._used

    def _allocate(self, slots: int) -> None:
        self._a = np.zeros(slots, np.uint64)
        self._b = np.zeros(slots, np.uint64)
        self._value = np.full(slots, -1, np.int64)

    def _grow(self, slots: int) -> None:
        a, b, value = self._a, self._b, self._value
        self._allocate(slots)
        self._used = int(_merge(a, b, value, self._a, self._b, self._value, 0, _SALT))

    def add(self, a: NDArray[Any], b: NDArray[Any]) -> None:
        """Count the pairs (a[i], b[i]) of two arrays of one size."""
        a, b = _unsigned(a), _unsigned(b)
        position = 0
        while True:
            position, used = _count(a, b, position, self._a, self._b, self._value, self._used, _SALT)
            self._used = int(used)
            if position >= len(a):
                return
            self._grow(2 * len(self._value))

    def merge(self, other: "PairCounter") -> None:
        """Add the counts of another counter."""
        self._merge_rows(other._a, other._b, other._value, other._used)

    def add_counts(self, a: Ids, b: Ids, count: Counts) -> None:
        """Add pairs that were counted before; the columns of ``table``."""
        self._merge_rows(a, b, count, len(count))

    def _merge_rows(self, a: Ids, b: Ids, count: Counts, used: int) -> None:
        slots = len(self._value)
        while slots < 2 * (self._used + used):
            slots *= 2
        if slots > len(self._value):
            self._grow(slots)
        self._used = int(_merge(a, b, count, self._a, self._b, self._value, self._used, _SALT))

    def table(self) -> tuple[Ids, Ids, Counts]:
        """The pairs and their counts, sorted by a, then b."""
        held = self._value >= 0
        a, b, count = self._a[held], self._b[held], self._value[held]
        order = np.lexsort((b, a))
        return a[order], b[order], count[order]


def index_pairs(a: NDArray[Any], b: NDArray[Any]) -> tuple[Ids, Ids, NDArray[np.int32]]:
    """The distinct pairs (a[i], b[i]), sorted by a then b, and for each i the index of its pair.

    a, b : (n,) non-negative integers.  Returns (pairs_a, pairs_b, pair_of) with pair_of (n,) int32.
    """
    a, b = _unsigned(a), _unsigned(b)
    number = np.empty(len(a), np.int32)
    slots = _START
    key_a, key_b, value = np.zeros(slots, np.uint64), np.zeros(slots, np.uint64), np.full(slots, -1, np.int64)
    position, used = 0, 0
    while True:
        position, used = _index(a, b, position, key_a, key_b, value, used, _SALT, number)
        if position >= len(a):
            break
        key_a, key_b, value = _rehash(key_a, key_b, value)
    held = value >= 0
    by_number = np.argsort(value[held])
    pairs_a, pairs_b = key_a[held][by_number], key_b[held][by_number]
    order = np.lexsort((pairs_b, pairs_a))
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return pairs_a[order], pairs_b[order], rank[number]


def _rehash(a: Ids, b: Ids, value: Counts) -> tuple[Ids, Ids, Counts]:
    slots = 2 * len(value)
    new_a, new_b, new_value = (
        np.zeros(slots, np.uint64),
        np.zeros(slots, np.uint64),
        np.full(slots, -1, np.int64),
    )
    _merge(a, b, value, new_a, new_b, new_value, 0, _SALT)
    return new_a, new_b, new_value
