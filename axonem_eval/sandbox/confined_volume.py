"""A label volume that a confined child decodes and this process only looks at.

The child has the file and nothing else. It is told which chunks to decode, and writes their labels into shared memory;
nodes, masks and dense ground truth stay here. Requests and replies go through pipes, one pair for each *lane*, so
that several chunks are decoded at a time.

    request   offset in the shared memory, number of chunks, their flat indices: int64 each
    reply     status and length, int64 each, then that many bytes: nothing, or JSON with complaints
"""

import json
import mmap
import os
import queue
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import Complaint, InputError
from axonem_eval.sandbox.process import MISREAD, ConfinedCrash, ConfinedProcess, complaints_of
from axonem_eval.spec import Triple
from axonem_eval.volumes import (
    MAX_CHUNK_BYTES,
    MAX_CHUNKS,
    MEMORY_BUDGET_BYTES,
    LabelInfo,
    Labels,
    LabelVolume,
    Scratch,
)

REQUEST = struct.Struct("<qq")
REPLY = struct.Struct("<qq")
MAX_REPLY_BYTES = 64 << 10
MAX_CHUNKS_A_REQUEST = 4096
# A request costs about 50 us of waiting, so small chunks are requested this much at a time.
SLOT_BYTES = 4 << 20
_PAGE = mmap.PAGESIZE
_DTYPES = frozenset(order + kind + size for order in "<>|=" for kind in "iu" for size in "1248")


@dataclass
class _Lane:
    """One pair of pipes: what this process keeps of it."""

    number: int
    requests: int
    replies: int


class SharedMemory:
    """Memory that this process and the child share, of fixed size; its pages are allocated when they are used.

    The size is sealed: if a child shrank it, this process would be killed at its next read.
    """

    def __init__(self, size: int) -> None:
        import fcntl

        self.descriptor = os.memfd_create("axonem-labels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.descriptor, size)
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        self.bytes = np.frombuffer(mmap.mmap(self.descriptor, size, prot=mmap.PROT_READ), np.uint8)

    def close(self) -> None:
        """Give the descriptor back; the memory goes with the last array over it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class Lanes:
    """The pipes of all lanes, and the memory that they share."""

    def __init__(self, number: int) -> None:
        self.memory = SharedMemory(max(MEMORY_BUDGET_BYTES, MAX_CHUNK_BYTES + _PAGE))
        self.lanes: list[_Lane] = []
        self.childs: list[tuple[int, int]] = []
        for i in range(number):
            child_reads, we_write = os.pipe()
            we_read, child_writes = os.pipe()
            self.lanes.append(_Lane(i, we_write, we_read))
            self.childs.append((child_reads, child_writes))

    @property
    def child_fds(self) -> list[int]:
        """Descriptors that the child inherits."""
        return [self.memory.descriptor, *(fd for pair in self.childs for fd in pair)]

    def request(self) -> dict[str, Any]:
        """What the child needs to know."""
        return {"memory": self.memory.descriptor, "memory_bytes": len(self.memory.bytes), "lanes": self.childs}

    def close_childs(self) -> None:
        """Close the child's ends here, so that its death ends every wait."""
        for pair in self.childs:
            for descriptor in pair:
                os.close(descriptor)
        self.childs = []

    def close(self) -> None:
        """Close our ends, which ends the child's waits."""
        self.close_childs()
        for lane in self.lanes:
            os.close(lane.requests)
            os.close(lane.replies)
        self.lanes = []
        self.memory.close()


class ConfinedVolume(LabelVolume):
    """Chunks of a file that a child decodes. Types, sizes and ranges of the child's answers are checked.

    ``visited_whole``, of a segmentation, makes the sampler request all chunks (``_plan`` in sample.py). The list of
    chunks is all that the child learns, and it would tell where nodes are. So would a damaged chunk, by whether the
    file is rejected.
    """

    def __init__(
        self,
        path: Path,
        shape_zyx: Triple | None,
        process: ConfinedProcess,
        lanes: Lanes,
        answer: dict[str, Any],
    ) -> None:
        """shape_zyx : None where the file may have any."""
        super().__init__()
        self._process, self._lanes = process, lanes
        self.path = path
        self.info = _info(answer, path)
        self.shape_zyx, self.dtype = _triple(answer["shape_zyx"]), np.dtype(answer["dtype"])
        self.chunk_shape_zyx = _triple(answer["chunk_shape_zyx"])
        self.sequential, self.fill_value = bool(answer["sequential"]), int(answer["fill_value"])
        if shape_zyx not in (None, self.shape_zyx) or not 0 < self.chunk_bytes <= MAX_CHUNK_BYTES:
            raise ConfinedCrash("the reader states another shape than it checked")
        if self.n_chunks > MAX_CHUNKS:
            raise ConfinedCrash("the reader states too many chunks")
        if not np.iinfo(self.dtype).min <= self.fill_value <= np.iinfo(self.dtype).max:
            raise ConfinedCrash("the reader states a fill value that its dtype does not hold")
        self._rank, self._stored = self._index(bool(answer["in_order"]), bool(answer["stored_known"]))
        self._slot_bytes = -(-max(self.chunk_bytes, SLOT_BYTES) // _PAGE) * _PAGE
        usable = max(1, min(len(lanes.lanes), len(lanes.memory.bytes) // self._slot_bytes))
        self.reads_at_once = 1 if self.sequential else usable
        self.batch_bytes = self._slot_bytes
        self._free: queue.SimpleQueue[_Lane] = queue.SimpleQueue()
        for lane in lanes.lanes[:usable]:
            self._free.put(lane)
        self._held = threading.local()

    def _index(self, in_order: bool, stored_known: bool) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
        """Rank and presence of the chunks, which the child wrote at the start of the shared memory."""
        n, memory = self.n_chunks, self._lanes.memory.bytes
        rank = np.arange(n, dtype=np.int64) if in_order else memory[: 8 * n].view(np.int64).copy()
        return rank, memory[8 * n : 9 * n] != 0 if stored_known else None

    def storage_rank(self) -> NDArray[np.int64]:
        return self._rank

    def stored_chunks(self) -> NDArray[np.bool_] | None:
        return self._stored

    def read_chunks(self, chunks: NDArray[np.int64], scratch: Scratch) -> Labels:
        """As for every volume; valid until the same thread reads again."""
        if not hasattr(self._held, "lane"):
            self._held.lane = _Held(self._free)
        return self._ask(self._held.lane.lane, chunks)

    def read_chunk(self, chunk: int) -> Labels:
        held = _Held(self._free)
        labels: Labels = self._ask(held.lane, np.array([chunk], np.int64))[0].copy()
        return labels

    def _ask(self, lane: _Lane, chunks: NDArray[np.int64]) -> Labels:
        if len(chunks) > MAX_CHUNKS_A_REQUEST or len(chunks) * self.chunk_bytes > self._slot_bytes:
            raise ValueError(f"{len(chunks)} chunks asked for at once")
        offset, size = lane.number * self._slot_bytes, len(chunks) * self.chunk_bytes
        message = REQUEST.pack(offset, len(chunks)) + np.ascontiguousarray(chunks, "<i8").tobytes()
        try:
            _write(lane.requests, message)
            status, length = REPLY.unpack(_read(lane.replies, REPLY.size))
            if not 0 <= length <= MAX_REPLY_BYTES:
                raise ConfinedCrash("the reader's reply is too long")
            said = _read(lane.replies, length)
        except (EOFError, BrokenPipeError):
            raise self._process.failure() from None
        if status != 0:
            raise InputError(_complaints(said))
        stack = self._lanes.memory.bytes[offset : offset + size]
        return stack.view(self.dtype).reshape(len(chunks), *self.chunk_shape_zyx)

    def close(self) -> None:
        self._lanes.close()
        self._process.end()


class _Held:
    """A lane taken from the free ones and returned when its thread ends or drops it."""

    def __init__(self, free: "queue.SimpleQueue[_Lane]") -> None:
        self._free = free
        self.lane = free.get()

    def __del__(self) -> None:
        if hasattr(self, "lane"):
            self._free.put(self.lane)


def _info(answer: dict[str, Any], path: Path) -> LabelInfo:
    said = dict(answer["info"])
    if str(answer["dtype"]) not in _DTYPES:
        raise ConfinedCrash("the reader states a dtype that is no integer")
    size, begin = said["voxel_size_nm_zyx"], said["offset_nm_zyx"]
    return LabelInfo(
        format=str(said["format"])[:60],
        dataset=str(said["dataset"])[:300],
        shape_zyx=_triple(said["shape_zyx"]),
        dtype=str(said["dtype"])[:40],
        chunk_shape_zyx=_triple(said["chunk_shape_zyx"]),
        compression=str(said["compression"])[:100],
        voxel_size_nm_zyx=None if size is None else (float(size[0]), float(size[1]), float(size[2])),
        stored_bytes=path.stat().st_size,
        chunks_total=int(said["chunks_total"]),
        chunks_stored=None if said["chunks_stored"] is None else int(said["chunks_stored"]),
        offset=str(said["offset"])[:100],
        offset_nm_zyx=None if begin is None else (float(begin[0]), float(begin[1]), float(begin[2])),
        warnings=tuple(str(line)[:500] for line in said["warnings"][:20]),
    )


def _triple(said: Any) -> Triple:
    z, y, x = (int(n) for n in said)
    if min(z, y, x) < 1:
        raise ConfinedCrash("the reader states a shape without voxels")
    return (z, y, x)


def _complaints(said: bytes) -> list[Complaint]:
    try:
        complaints = complaints_of(json.loads(said)[:20])
    except MISREAD:
        complaints = []
    if not complaints:
        raise ConfinedCrash("the reader's complaint is not readable")
    return complaints


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _read(descriptor: int, size: int) -> bytes:
    """Exactly that many bytes. Raises EOFError."""
    data = b""
    while len(data) < size:
        piece = os.read(descriptor, size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def serve(
    volume: LabelVolume, memory: memoryview, reads: int, writes: int, failed: Callable[[Exception], bytes]
) -> None:
    """Decode chunks for one lane until the other side closes it; runs in the child.

    failed : turns what reading raised into the JSON of the reply.
    """
    whole, scratch = np.frombuffer(memory, np.uint8), _Slot()
    while True:
        try:
            offset, n = REQUEST.unpack(_read(reads, REQUEST.size))
            chunks = np.frombuffer(_read(reads, 8 * n), "<i8")
        except EOFError:
            return
        try:
            scratch.slot = whole[offset : offset + n * volume.chunk_bytes]
            _decode(volume, chunks, scratch)
        except Exception as error:
            text = failed(error)
            _write(writes, REPLY.pack(1, len(text)) + text)
        else:
            _write(writes, REPLY.pack(0, 0))


class _Slot(Scratch):
    """Scratch whose stack is the shared memory itself, so that readers which fill a stack fill that."""

    slot: NDArray[np.uint8]

    def bytes(self, name: str, size: int) -> NDArray[np.uint8]:
        return self.slot[:size] if name == "stack" and size <= len(self.slot) else super().bytes(name, size)


def _decode(volume: LabelVolume, chunks: NDArray[np.int64], scratch: _Slot) -> None:
    """Fill the slot with whole chunks; voxels beyond the volume's edge are undefined."""
    stack = scratch.slot.view(volume.dtype).reshape(len(chunks), *volume.chunk_shape_zyx)
    found = volume.read_chunks(chunks, scratch)
    if np.may_share_memory(found, stack):
        return
    if len(chunks) == 1:
        stack[0][tuple(slice(0, n) for n in found.shape[1:])] = found[0]
    else:
        stack[:] = found
