"""Labels of a segmentation at the nodes of the ground truth, in one pass over the chunks that hold nodes.

Neither a process that decodes the volume for us (``confined_volume.py``) nor who made its file may learn where nodes
are. Then all chunks are visited: one that is damaged, or takes long, would tell by the outcome whether it has a node.
"""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError, of_ground_truth
from axonem_eval.files import read_npz, write_atomically
from axonem_eval.progress import Progress
from axonem_eval.sampling import kernels
from axonem_eval.sampling.checkpoint import Checkpoint
from axonem_eval.sampling.contingency import PairCounter
from axonem_eval.spec import Triple, format_triple
from axonem_eval.volumes import (
    Labels,
    LabelVolume,
    Scratch,
    native_unsigned,
    read_only,
    reading_threads,
    run_threads,
    warm_filters,
)

# Memory for chunks of a mask that differ from those of the labels, so that each is decoded about once.
MASK_KEPT_BYTES = 512 << 20
MAX_BATCH = 4096


@dataclass(frozen=True)
class NodeSample:
    """Labels at skeleton nodes and under a no-merge mask.

    node_segment : (n_nodes,) uint64, 0 is background.
    mask_segment, mask_voxels : (n,) uint64 and int64, the labels at voxels of the mask, and how many such
        voxels each has; None without a mask.
    """

    node_segment: NDArray[np.uint64]
    mask_segment: NDArray[np.uint64] | None = None
    mask_voxels: NDArray[np.int64] | None = None

    @classmethod
    def of_labels(cls, labels: NDArray[Any]) -> "NodeSample":
        """Sample from an integer array; raises InputError for other dtypes and negative labels."""
        labels = np.asarray(labels)
        if labels.dtype.kind not in "iu":
            raise InputError.of("wrong_dtype", f"node labels have dtype {labels.dtype}, expected integers")
        if labels.dtype.kind == "i" and labels.size and labels.min() < 0:
            raise InputError.of("negative_label", f"node labels go down to {labels.min()}, expected 0 or more")
        return cls(labels.astype(np.uint64))

    def save(self, path: str | Path) -> None:
        """Write to exactly ``path`` as .npz, so that a new version of the metric needs no second read of the labels."""
        arrays = {"node_segment": self.node_segment}
        if self.mask_segment is not None and self.mask_voxels is not None:
            arrays |= {"mask_segment": self.mask_segment, "mask_voxels": self.mask_voxels.astype(np.uint64)}
        write_atomically(path, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))

    @classmethod
    def load(cls, path: str | Path) -> "NodeSample":
        """Read what ``save`` wrote."""
        arrays = read_npz(path)
        if "node_segment" not in arrays:
            raise InputError.of("not_a_sample", f"{path}: no node labels in it")
        voxels = arrays.get("mask_voxels")
        return cls(
            arrays["node_segment"],
            arrays.get("mask_segment"),
            None if voxels is None else voxels.astype(np.int64),
        )


@dataclass(frozen=True)
class _Plan:
    """Chunks to visit, in storage order; the i-th holds the nodes order[start[i]:start[i + 1]].

    Chunks are visited ``batch`` at a time.
    """

    chunks: NDArray[np.int64]
    start: NDArray[np.int64]
    order: NDArray[np.uint32]
    batch: int

    @property
    def n_batches(self) -> int:
        return -(-len(self.chunks) // self.batch)


def _plan(
    volume: LabelVolume, nodes: NDArray[np.int32], mask: LabelVolume | None, threads: int, *, every_chunk: bool
) -> _Plan:
    chunk_of_node = kernels.chunk_of_nodes(nodes, volume.chunk_shape_zyx, volume.grid_zyx, threads)
    count = kernels.count(chunk_of_node, np.zeros(volume.n_chunks, np.int64))
    all_of_them = every_chunk or mask is not None or volume.sequential or volume.visited_whole
    needed = np.ones(volume.n_chunks, bool) if all_of_them else count > 0
    stored = volume.stored_chunks()
    # A chunk that is not stored reads as the fill value; it is visited where that is negative or a mask counts it.
    droppable = volume.fill_value == 0 or (volume.fill_value > 0 and mask is None)
    if stored is not None and droppable and not every_chunk:
        needed &= stored
    chunks = np.flatnonzero(needed)
    rank = volume.storage_rank()[chunks]
    if mask is None or mask.chunk_shape_zyx == volume.chunk_shape_zyx or volume.sequential:
        chunks = chunks[np.argsort(rank, kind="stable")]
    else:  # the chunks that share one of the mask follow one another, so that it is read once
        chunks = chunks[np.lexsort((rank, _chunk_of_mask(volume, mask, chunks)))]
    start = np.zeros(len(chunks) + 1, np.int64)
    np.cumsum(count[chunks], out=start[1:])
    place = _first_of_each_chunk(count, chunks, start)
    batch = 1 if volume.sequential else max(1, min(MAX_BATCH, volume.batch_bytes // volume.chunk_bytes))
    return _Plan(chunks, start, kernels.scatter(chunk_of_node, place), batch)


def _first_of_each_chunk(
    count: NDArray[np.int64], chunks: NDArray[np.int64], start: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(n_chunks,) where the nodes of each chunk begin in the order of visits; chunks not visited come last."""
    visited = np.zeros(len(count), bool)
    visited[chunks] = True
    rest = np.where(visited, 0, count)
    place = start[-1] + np.cumsum(rest) - rest
    place[chunks] = start[:-1]
    return np.asarray(place, np.int64)


def _chunk_of_mask(volume: LabelVolume, mask: LabelVolume, chunks: NDArray[np.int64]) -> NDArray[np.int64]:
    place = np.unravel_index(chunks, volume.grid_zyx)
    shapes = zip(place, volume.chunk_shape_zyx, mask.chunk_shape_zyx, strict=True)
    return np.ravel_multi_index([p * c // m for p, c, m in shapes], mask.grid_zyx)


def sample_nodes(
    volume: LabelVolume,
    node_voxel_zyx: NDArray[np.int32],
    *,
    no_merge_mask: LabelVolume | None = None,
    threads: int | None = None,
    on_progress: Progress | None = None,
    checkpoint: str | Path | None = None,
    also: Callable[[int, Labels], None] | None = None,
) -> NodeSample:
    """Read the label at each node, visiting each chunk that holds one exactly once, in storage order.

    node_voxel_zyx : (n_nodes, 3) int32 voxel indices inside the volume.
    no_merge_mask : volume of the same shape; non-zero voxels belong to no scored axon. With it all chunks are read.
    on_progress : called with (chunks done, chunks to do), from any thread.
    checkpoint : file that stores what is done, about every ten seconds. The same call with the same input continues
        from it; at the end it is removed. A file of other input is overwritten.
    also : called with each chunk of the volume and its labels (unsigned, undefined beyond the volume's edge), from any
        thread, for other counts in the same pass. With it all chunks are read, and ``checkpoint`` must be None.
    Raises InputError for a damaged chunk, a negative label or a node outside the volume, and GroundTruthError for a
    damaged mask.
    """
    if also is not None and checkpoint is not None:
        raise ValueError("a checkpoint cannot store the results of `also`")
    nodes = np.ascontiguousarray(node_voxel_zyx, np.int32)
    _require_inside(nodes, volume.shape_zyx)
    if no_merge_mask is not None and no_merge_mask.shape_zyx != volume.shape_zyx:
        raise InputError.of(
            "mask_shape",
            f"the no-merge mask has shape {no_merge_mask.shape_zyx}, the labels {volume.shape_zyx} (z,y,x)",
        )
    if no_merge_mask is not None and no_merge_mask.sequential:
        _require_small_mask(no_merge_mask)
    n_threads = reading_threads(volume, threads)
    plan = _plan(volume, nodes, no_merge_mask, n_threads, every_chunk=also is not None)
    found = _Pass(volume, nodes, plan, no_merge_mask, also)
    kept = None if checkpoint is None else Checkpoint(Path(checkpoint), [volume, no_merge_mask], nodes, plan.batch)
    first = found.restore(kept.restore()) if kept else 0

    def report(batches: int) -> None:
        if on_progress:
            on_progress(min(batches * plan.batch, len(plan.chunks)), len(plan.chunks))

    while first < plan.n_batches:
        until = kept.due if kept else None
        first = run_threads(first, plan.n_batches, found.visit, n_threads, on_progress=report, until=until)
        if kept and first < plan.n_batches:  # no thread is at work now, so labels and counts agree
            kept.save(found.arrays(first))
    if kept:
        kept.remove()
    return found.sample()


class _Pass:
    """What one pass over the chunks has found: the label at each node, and the voxels of each label under the mask."""

    def __init__(
        self,
        volume: LabelVolume,
        nodes: NDArray[np.int32],
        plan: _Plan,
        no_merge_mask: LabelVolume | None,
        also: Callable[[int, Labels], None] | None,
    ) -> None:
        self._volume, self._nodes, self._plan, self._mask, self._also = volume, nodes, plan, no_merge_mask, also
        # Chunks that the file does not store are not visited: their nodes keep the fill value.
        self._node_segment = np.full(len(nodes), _fill_label(volume), np.uint64)
        self._grid = np.array([*volume.grid_zyx, *volume.chunk_shape_zyx], np.int64)
        self._threads = _PerThread()
        self._same_grid = no_merge_mask is not None and no_merge_mask.chunk_shape_zyx == volume.chunk_shape_zyx
        if no_merge_mask is not None and not self._same_grid:
            no_merge_mask.kept_bytes = MASK_KEPT_BYTES

    def visit(self, item: int, scratch: Scratch) -> None:
        """Read the item-th batch of chunks; look up the labels at its nodes, and count those under the mask."""
        first = item * self._plan.batch
        chunks = self._plan.chunks[first : first + self._plan.batch]
        stack = self._volume.read_chunks(chunks, scratch)
        stack = _unsigned_stack(self._volume, stack, chunks)
        start = self._plan.start[first : first + len(chunks) + 1]
        if start[-1] > start[0]:
            kernels.gather(stack, chunks, self._grid, self._nodes, self._plan.order, start, self._node_segment)
        if self._mask is not None:
            for labels, chunk in zip(stack, chunks, strict=True):
                self._count_under_mask(int(chunk), labels)
        if self._also is not None:
            for labels, chunk in zip(stack, chunks, strict=True):
                self._also(int(chunk), labels)

    def _count_under_mask(self, chunk: int, labels: Labels) -> None:
        assert self._mask is not None
        box = self._volume.chunk_box(chunk)
        inside = tuple(slice(0, s.stop - s.start) for s in box)
        counter, scratch = self._threads.own()
        with of_ground_truth():
            if self._same_grid:
                mask = self._mask.read_chunks(np.array([chunk]), scratch)[0][inside]
            else:
                mask = self._mask.read(box)
        # All voxels are counted, with 0 or 1 for the mask: long runs make that cheaper than selecting the masked ones.
        counter.add(labels[inside], mask != 0)

    def arrays(self, batches_done: int) -> dict[str, NDArray[Any]]:
        """The state after so many batches, for ``restore``."""
        segment, voxels = self._threads.voxels_under_mask()
        return {
            "batches_done": np.array(batches_done),
            "node_segment": self._node_segment,
            "mask_segment": segment,
            "mask_voxels": voxels,
        }

    def restore(self, arrays: dict[str, NDArray[Any]] | None) -> int:
        """Take over the state of an earlier pass, if there is one; returns the first batch that is still to do."""
        if arrays is None:
            return 0
        self._node_segment[:] = arrays["node_segment"]
        segment, voxels = arrays["mask_segment"], arrays["mask_voxels"]
        self._threads.total.add_counts(segment, np.ones_like(segment), voxels)
        return int(arrays["batches_done"])

    def sample(self) -> NodeSample:
        """The result of the whole pass."""
        if self._mask is None:
            return NodeSample(self._node_segment)
        return NodeSample(self._node_segment, *self._threads.voxels_under_mask())


def _fill_label(volume: LabelVolume) -> int:
    """The label where nothing is stored; a negative one is refused where such a chunk is read."""
    return max(0, volume.fill_value)


def _require_inside(nodes: NDArray[np.int32], shape_zyx: Triple) -> None:
    if len(nodes) and kernels.any_outside(nodes, np.asarray(shape_zyx, np.int64)):
        raise InputError.of(
            "node_outside",
            # No coordinates: a participant may read this, and hidden ground truth stays hidden.
            f"ground-truth nodes lie outside the segmentation of {format_triple(shape_zyx)} voxels (z,y,x)",
        )


def _require_small_mask(mask: LabelVolume) -> None:
    """A mask that is one long stream must fit in memory: the labels' chunks come in another order."""
    mask_bytes = math.prod(mask.shape_zyx) * mask.dtype.itemsize
    if mask_bytes > MASK_KEPT_BYTES:
        raise InputError.of(
            "mask_layout",
            f"{mask.path.name}: the no-merge mask is stored in chunks of {format_triple(mask.info.chunk_shape_zyx)} "
            "voxels, which can only be read as a whole. Rewrite it with `h5repack -l CHUNK=64x64x64 -f GZIP=4 IN OUT`",
        )


def _unsigned_stack(volume: LabelVolume, stack: Labels, chunks: NDArray[np.int64]) -> Labels:
    """Chunks (n, z, y, x) as native unsigned numbers; negative values beyond the volume's edge are ignored."""
    if volume.dtype.kind == "i" and stack.min() < 0:
        for labels, chunk in zip(stack, chunks, strict=True):
            inside = tuple(slice(0, s.stop - s.start) for s in volume.chunk_box(int(chunk)))
            native_unsigned(volume, labels[inside], volume.chunk_origin(int(chunk)))
    if not stack.dtype.isnative:
        stack = stack.astype(stack.dtype.newbyteorder("="))
    # No copy where axes are reversed: the kernel takes the strides as they are.
    return read_only(stack.view(f"u{stack.dtype.itemsize}"))


class _PerThread:
    """A pair counter and buffers for each thread, so that counting needs no lock."""

    def __init__(self) -> None:
        self.total = PairCounter()
        self._local = threading.local()
        self._all: list[PairCounter] = []

    def own(self) -> tuple[PairCounter, Scratch]:
        """The counter and buffers of the calling thread."""
        if not hasattr(self._local, "counter"):
            self._local.counter, self._local.scratch = PairCounter(), Scratch()
            self._all.append(self._local.counter)
        return self._local.counter, self._local.scratch

    def voxels_under_mask(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """(segment, voxels under the mask), segments ascending; no thread may count meanwhile."""
        for counter in self._all:
            self.total.merge(counter)
        self._all, self._local = [], threading.local()
        segment, masked, voxels = self.total.table()
        return segment[masked == 1], voxels[masked == 1]


def warm_kernels() -> None:
    """Compile, or load from the cache, every kernel that sampling may need, for each width of label.

    A process calls this before it confines itself: afterwards it cannot write to the cache.
    """
    kernels.warm()
    warm_filters()
    counter = PairCounter()
    for dtype in (np.uint8, np.uint16, np.uint32, np.uint64):
        counter.add(np.zeros(1, dtype), np.zeros(1, np.uint8))
        counter.add(read_only(np.zeros(1, dtype)), np.zeros(1, np.uint8))
    counter.merge(PairCounter())
