"""Read the variables of a TensorFlow checkpoint without TensorFlow.

A checkpoint is ``NAME.index``, a sorted table in LevelDB's format whose values are ``BundleEntryProto`` messages, and
``NAME.data-00000-of-00001``, the bytes of all variables. Formats: LevelDB's doc/table_format.md and TensorFlow's
core/protobuf/tensor_bundle.proto.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAGIC = 0xDB4775248B80FB57
_FOOTER_BYTES = 48
_DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("<f4"),
    2: np.dtype("<f8"),
    3: np.dtype("<i4"),
    9: np.dtype("<i8"),
}


class NotACheckpoint(ValueError):
    """The files are no TensorFlow checkpoint, or use a feature of them that is not read."""


@dataclass(frozen=True)
class _Entry:
    """Where one variable lies in the data file."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int


def read_checkpoint(prefix: str | Path) -> dict[str, NDArray[Any]]:
    """Variables of a checkpoint by name. prefix : path without ``.index``. Raises NotACheckpoint."""
    prefix = Path(prefix)
    index, data = Path(f"{prefix}.index"), Path(f"{prefix}.data-00000-of-00001")
    for path in (index, data):
        if not path.is_file():
            raise NotACheckpoint(f"{path}: no such file; a checkpoint has NAME.index and NAME.data-00000-of-00001")
    entries = {key.decode(): _entry(value) for key, value in _table(index.read_bytes(), index.name) if key}
    stored = data.read_bytes()
    return {name: _variable(name, entry, stored) for name, entry in entries.items()}


def _variable(name: str, entry: _Entry, stored: bytes) -> NDArray[Any]:
    dtype = _DTYPES.get(entry.dtype)
    if dtype is None or entry.shard != 0:
        raise NotACheckpoint(
            f"{name}: type {entry.dtype} in file {entry.shard} is not read; expected numbers in file 0"
        )
    expected = prod(entry.shape) * dtype.itemsize
    if entry.size != expected or entry.offset + entry.size > len(stored):
        raise NotACheckpoint(
            f"{name}: {entry.size} bytes at {entry.offset} of {len(stored)}; expected {expected} for {entry.shape}"
        )
    return np.frombuffer(stored, dtype, prod(entry.shape), entry.offset).reshape(entry.shape)


def _table(content: bytes, name: str) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a sorted table: its index block names the blocks that hold them."""
    if len(content) < _FOOTER_BYTES or struct.unpack("<Q", content[-8:])[0] != _MAGIC:
        raise NotACheckpoint(f"{name}: does not end as a checkpoint's index does; it is another file or was cut short")
    footer = content[-_FOOTER_BYTES:]
    at = _varint(footer, _varint(footer, 0)[1])[1]  # the handle of the first block, which is not used
    offset, at = _varint(footer, at)
    size, _ = _varint(footer, at)
    for _, handle in _block(content, offset, size, name):
        offset, at = _varint(handle, 0)
        size, _ = _varint(handle, at)
        yield from _block(content, offset, size, name)


def _block(content: bytes, offset: int, size: int, name: str) -> Iterator[tuple[bytes, bytes]]:
    """Entries of one block; each key repeats the start of the one before."""
    if offset + size + 1 > len(content):
        raise NotACheckpoint(f"{name}: a block lies beyond the end of the file")
    if content[offset + size] != 0:
        raise NotACheckpoint(f"{name}: its blocks are compressed, which is not read")
    block = content[offset : offset + size]
    restarts = struct.unpack("<I", block[-4:])[0]
    end = len(block) - 4 - 4 * restarts
    key, at = b"", 0
    while at < end:
        shared, at = _varint(block, at)
        unshared, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + unshared]
        at += unshared
        yield key, block[at : at + length]
        at += length


def _entry(message: bytes) -> _Entry:
    fields = dict(_fields(message))
    shape = tuple(
        int(dict(_fields(dimension)).get(1, 0)) for number, dimension in _fields(fields.get(2, b"")) if number == 2
    )
    return _Entry(fields.get(1, 0), shape, fields.get(3, 0), fields.get(4, 0), fields.get(5, 0))


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Numbers and values of the fields of a protocol buffer: integers, or bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield number, value
        elif kind == 2:
            length, at = _varint(message, at)
            yield number, message[at : at + length]
            at += length
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            yield number, message[at : at + size]
            at += size
        else:
            raise NotACheckpoint(f"a field of the index has the unknown kind {kind}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """An integer of 7 bits a byte, and the place after it."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise NotACheckpoint("the index is damaged: an integer in it does not end")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
