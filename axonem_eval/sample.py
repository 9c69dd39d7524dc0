"""Labels of a segmentation at the nodes of the ground truth, in one pass over the chunks that hold nodes."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.pairs import PairCounter
from axonem_eval.skeletons import read_npz
from axonem_eval.spec import Triple, format_triple
from axonem_eval.volume import Labels, LabelVolume, Progress, for_each_chunk

# Below about 500 voxels a chunk, an index of the chunks outgrows the data.
MAX_CHUNKS = 30_000_000


@dataclass(frozen=True)
class NodeSample:
    """Labels at skeleton nodes, and what a no-merge mask saw.

    node_segment : (n_nodes,) uint64, 0 is background.
    mask_segment, mask_voxels : (n,) uint64 and int64, the labels on mask voxels and how many of those each has;
        None without a mask.
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
        """Write to exactly ``path`` as .npz, so that a change of the metric needs no second read."""
        arrays = {"node_segment": self.node_segment}
        if self.mask_segment is not None and self.mask_voxels is not None:
            arrays |= {"mask_segment": self.mask_segment, "mask_voxels": self.mask_voxels.astype(np.uint64)}
        with open(path, "wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

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


@numba.njit(nogil=True, cache=True)
def _chunk_of(node_voxel, chunk_shape, grid):  # type: ignore[no-untyped-def]
    out = np.empty(len(node_voxel), np.int32)
    for i in range(len(node_voxel)):
        z = node_voxel[i, 0] // chunk_shape[0]
        y = node_voxel[i, 1] // chunk_shape[1]
        x = node_voxel[i, 2] // chunk_shape[2]
        out[i] = (z * grid[1] + y) * grid[2] + x
    return out


@numba.njit(nogil=True, cache=True)
def _scatter(bucket, start):  # type: ignore[no-untyped-def]
    """Counting sort: node indices grouped by bucket; ``start`` (n_buckets,) is consumed."""
    order = np.empty(len(bucket), np.uint32)
    for i in range(len(bucket)):
        order[start[bucket[i]]] = i
        start[bucket[i]] += 1
    return order


@numba.njit(nogil=True, cache=True)
def _gather(labels, origin, node_voxel, nodes, out):  # type: ignore[no-untyped-def]
    for i in range(len(nodes)):
        node = nodes[i]
        out[node] = labels[
            node_voxel[node, 0] - origin[0], node_voxel[node, 1] - origin[1], node_voxel[node, 2] - origin[2]
        ]


@dataclass(frozen=True)
class _Plan:
    """Chunks to visit, in storage order, and for each the nodes it holds: order[start[i]:start[i + 1]]."""

    chunks: NDArray[np.int64]
    start: NDArray[np.int64]
    order: NDArray[np.uint32]


def _plan(volume: LabelVolume, node_voxel_zyx: NDArray[np.int32], all_chunks: bool) -> _Plan:
    if volume.n_chunks > MAX_CHUNKS:
        raise InputError.of(
            "tiny_chunks",
            f"{volume.path.name}: {volume.n_chunks:,} chunks of {format_triple(volume.chunk_shape_zyx)} voxels, "
            f"expected at most {MAX_CHUNKS:,}; rewrite it with chunks of about 64 x 64 x 64",
        )
    chunk_of_node = _chunk_of(
        node_voxel_zyx, np.asarray(volume.chunk_shape_zyx, np.int64), np.asarray(volume.grid_zyx, np.int64)
    )
    count = np.bincount(chunk_of_node, minlength=volume.n_chunks)
    chunks = np.arange(volume.n_chunks) if all_chunks else np.flatnonzero(count)
    chunks = chunks[np.argsort(volume.storage_rank()[chunks], kind="stable")]
    start = np.zeros(len(chunks) + 1, np.int64)
    np.cumsum(count[chunks], out=start[1:])
    place = np.zeros(volume.n_chunks, np.int64)
    place[chunks] = start[:-1]
    return _Plan(chunks, start, _scatter(chunk_of_node, place))


def sample_nodes(
    volume: LabelVolume,
    node_voxel_zyx: NDArray[np.int32],
    *,
    no_merge_mask: LabelVolume | None = None,
    threads: int | None = None,
    on_progress: Progress | None = None,
) -> NodeSample:
    """Read the label at each node, visiting each chunk that holds one exactly once, in storage order.

    node_voxel_zyx : (n_nodes, 3) int32 voxel indices inside the volume.
    no_merge_mask : volume of the same shape; non-zero voxels belong to no scored axon. With it all chunks are read.
    on_progress : called with (chunks done, chunks to do), from any thread.
    Raises InputError for a damaged chunk, a negative label or a node outside the volume.
    """
    nodes = np.ascontiguousarray(node_voxel_zyx, np.int32)
    _demand_inside(nodes, volume.shape_zyx)
    if no_merge_mask is not None and no_merge_mask.shape_zyx != volume.shape_zyx:
        raise InputError.of(
            "mask_shape",
            f"the no-merge mask has shape {no_merge_mask.shape_zyx}, the labels {volume.shape_zyx} (z,y,x)",
        )
    plan = _plan(volume, nodes, all_chunks=no_merge_mask is not None)
    node_segment = np.zeros(len(nodes), np.uint64)
    per_thread = _PerThread()

    def visit(position: int, labels: Labels) -> None:
        chunk = int(plan.chunks[position])
        labels = native_unsigned(volume, labels, volume.chunk_origin(chunk))
        here = plan.order[plan.start[position] : plan.start[position + 1]]
        if len(here):
            _gather(labels, volume.chunk_origin(chunk), nodes, here, node_segment)
        if no_merge_mask is not None:
            box = volume.chunk_box(chunk)
            mask = no_merge_mask.read(box) != 0
            clipped = labels[tuple(slice(0, n) for n in mask.shape)]
            per_thread.counter().add(clipped[mask], np.zeros(int(mask.sum()), np.uint8))

    for_each_chunk(volume, plan.chunks, visit, threads=threads, on_progress=on_progress)
    if no_merge_mask is None:
        return NodeSample(node_segment)
    segment, _, voxels = per_thread.merged().table()
    return NodeSample(node_segment, segment, voxels)


def _demand_inside(nodes: NDArray[np.int32], shape_zyx: Triple) -> None:
    if len(nodes) and (nodes.min() < 0 or (nodes.max(axis=0) >= shape_zyx).any()):
        raise InputError.of(
            "node_outside",
            f"ground-truth nodes reach voxel {tuple(int(v) for v in nodes.max(axis=0))}, outside the segmentation of "
            f"{format_triple(shape_zyx)} voxels (z,y,x)",
        )


def native_unsigned(volume: LabelVolume, labels: Labels, origin_zyx: Triple) -> Labels:
    """Labels in native byte order as unsigned numbers; raises InputError for a negative one."""
    if not labels.dtype.isnative:
        labels = labels.astype(labels.dtype.newbyteorder("="))
    if labels.dtype.kind == "i":
        lowest = labels.min()
        if lowest < 0:
            at = np.argwhere(labels == lowest)[0] + origin_zyx
            raise negative_label(volume, int(lowest), (int(at[0]), int(at[1]), int(at[2])))
        labels = labels.view(f"u{labels.dtype.itemsize}")
    if labels.flags.writeable:  # one compiled kernel, whether the buffer is ours or not
        labels = labels.view()
        labels.flags.writeable = False
    return labels


def negative_label(volume: LabelVolume, label: int, at_zyx: Triple) -> InputError:
    """The complaint about a negative label; shared by `check` and the sampler."""
    return InputError.of(
        "negative_label",
        f"{volume.path.name}: label {label} at voxel {at_zyx} (z,y,x); labels must be 0 (background) or positive. "
        f"Save them unsigned, e.g. as uint64, and write background as 0, not -1 (dtype is {volume.dtype})",
    )


class _PerThread:
    """A pair counter for each thread, so that counting needs no lock."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._all: list[PairCounter] = []

    def counter(self) -> PairCounter:
        if not hasattr(self._local, "counter"):
            self._local.counter = PairCounter()
            self._all.append(self._local.counter)
        return self._local.counter  # type: ignore[no-any-return]

    def merged(self) -> PairCounter:
        total = PairCounter()
        for counter in self._all:
            total.merge(counter)
        return total


def warm_kernels() -> None:
    """Compile, or load from the cache, every kernel that sampling may need, for each width of label.

    A process that is about to confine itself calls this first: afterwards it cannot write to the cache.
    """
    node = np.zeros((1, 3), np.int32)
    one = np.ones(3, np.int64)
    order = _scatter(_chunk_of(node, one, one), np.zeros(1, np.int64))
    counter = PairCounter()
    for dtype in (np.uint8, np.uint16, np.uint32, np.uint64):
        labels = np.zeros((1, 1, 1), dtype)
        labels.flags.writeable = False
        _gather(labels, (0, 0, 0), node, order, np.zeros(1, np.uint64))
        counter.add(np.zeros(1, dtype), np.zeros(1, np.uint8))
    counter.merge(PairCounter())
