"""Skeletons of a label volume, whole, with one process or many, resumable.

`tasks.py` does the work. This module runs it in order, and puts nodes on full-resolution voxels of their own label.
"""

import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.processes import die_with_parent
from axonem_eval.sampling import sample_nodes
from axonem_eval.skeletonize.ends import end_notes, move_ends_inside
from axonem_eval.skeletonize.tasks import (
    ALL_LABELS,
    SKELETON_VERSION,
    Plan,
    SkeletonOptions,
    collect,
    make_batches,
    prepare,
    read_block,
    read_block_of,
    skeletonize_batch,
)
from axonem_eval.skeletonize.teasar import program
from axonem_eval.skeletons import SkeletonGraph
from axonem_eval.spec import FloatTriple, Triple
from axonem_eval.volumes import (
    AS_STORED,
    LabelVolume,
    Progress,
    ReadOptions,
    StageProgress,
    reserved_id_warnings,
    unpacked,
)

# Of positions looked up at once while nodes are placed.
_MAX_CANDIDATES = 16 << 20
# Of a volume that is open already: one reads while the other downsamples.
LEAST_THREADS = 2


class Mapper(Protocol):
    """Whatever runs tasks: `concurrent.futures` executors and their like."""

    def map(self, work: Callable[[int], None], numbers: Iterable[int]) -> Iterable[None]:
        """Run a task for each number, in any order."""
        ...


def skeletonize_labels(
    labels: str | Path | LabelVolume,
    voxel_size_nm_zyx: FloatTriple,
    options: SkeletonOptions = ALL_LABELS,
    *,
    reading: ReadOptions = AS_STORED,
    processes: int = 1,
    work_dir: str | Path | None = None,
    executor: Mapper | None = None,
    on_progress: StageProgress | None = None,
) -> SkeletonGraph:
    """Skeletonize the labels of a volume, with the radius at each node and the volume of each label.

    Labels are downsampled to near-isotropic voxels by the most frequent label, because the tolerance counts nodes;
    nodes are then placed on full-resolution voxels of their own label.
    labels : a file, or a volume that is open: then this process reads it, by threads, and processes of its own only
        trace. Tasks of an ``executor`` open the file themselves.
    reading : how the file is read; warnings come at the start.
    processes : worker processes, unless an ``executor`` is given: anything with ``map(function, numbers)``.
    work_dir : a folder to keep the work in; the same call on it after a kill goes on where it stood. It must be
        reachable by the executor's workers. By default a temporary one.
    on_progress : called with (stage, done, total); stages read, skeletonize, place.
    Raises InputError for unreadable labels, another voxel size in the file, another run's work folder, no skeleton.
    """

    def report(stage: str) -> Progress:
        return lambda done, total: on_progress(stage, done, total) if on_progress else None

    with ExitStack() as stack:
        if not isinstance(labels, LabelVolume):
            labels = stack.enter_context(unpacked(labels, reading.rule))
        if work_dir is None:
            work_dir = stack.enter_context(tempfile.TemporaryDirectory(prefix="axonem-"))
        plan = prepare(labels, voxel_size_nm_zyx, work_dir, options, reading)
        tracers = executor
        if executor is None and processes > 1:
            tracers = stack.enter_context(
                # Killed, this process must not leave workers behind that go on tracing for nobody.
                ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=die_with_parent)
            )
        with _open(labels, plan) as volume:
            if reading.on_warning:
                reading.warn([*volume.info.warnings, *reserved_id_warnings(volume)])
            if isinstance(labels, LabelVolume):
                source, readers, threads = volume.path.name, executor, max(LEAST_THREADS, processes)
            else:
                source, readers, threads = Path(labels).name, tracers, 1
            read_blocks(plan, volume, work_dir, readers, report("read"), threads=threads)
        skeletonize_batches(work_dir, tracers, report("skeletonize"))
        skeletons = with_ends(collect(work_dir, provenance(plan, source)), plan, options.ends_inside_voxels)
        with _open(labels, plan) as volume:
            kept = _long_enough(skeletons, options.min_length_um, volume.path.name)
            return place_nodes(kept, plan.factor, lambda node: sample_nodes(volume, node).node_segment, report("place"))


def read_labels(
    path: str | Path,
    voxel_size_nm_zyx: FloatTriple,
    work_dir: str | Path,
    reading: ReadOptions = AS_STORED,
    on_progress: StageProgress | None = None,
) -> None:
    """The first part of ``skeletonize_labels`` alone, for all labels: ``skeletonize_share`` can then go on in any
    process, and the whole of it finds its work done. ``path`` is not packed. Raises as the whole does."""

    def report(done: int, total: int) -> None:
        if on_progress:
            on_progress("read", done, total)

    plan = prepare(path, voxel_size_nm_zyx, work_dir, reading=reading)
    with plan.open_labels() as volume:
        read_blocks(plan, volume, work_dir, None, report)
    make_batches(work_dir)


def skeletonize_share(work_dir: str | Path, share: int, of: int) -> None:
    """Every ``of``-th batch from number ``share`` on, after ``read_labels``."""
    for batch in range(share, len(make_batches(work_dir)), of):
        skeletonize_batch(work_dir, batch)


def _open(labels: str | Path | LabelVolume, plan: Plan) -> AbstractContextManager[LabelVolume]:
    return nullcontext(labels) if isinstance(labels, LabelVolume) else plan.open_labels()


def with_ends(graph: SkeletonGraph, plan: Plan, ends_inside_voxels: int) -> SkeletonGraph:
    """The skeletons with their ends moved inside, and notes on ends at a surface, giants and missing ids."""
    if ends_inside_voxels:
        graph = move_ends_inside(graph, ends_inside_voxels * max(plan.small_voxel_nm))
    notes = [*graph.notes, *end_notes(graph, plan.small_voxel_nm)]
    if graph.traced_coarsely:
        notes.append(graph.traced_coarsely["words"])
    if missing := sorted(set(plan.label_ids) - set(graph.skeleton_id.tolist())):
        listed = ", ".join(map(str, missing[:10]))
        notes.append(f"{len(missing):,} of {len(plan.label_ids):,} ids have no skeleton, such as {listed}")
    return replace(graph, provenance={**graph.provenance, "ends_inside_voxels": ends_inside_voxels, "notes": notes})


def read_blocks(
    plan: Plan,
    volume: LabelVolume,
    work_dir: str | Path,
    executor: Mapper | None,
    report: Progress,
    *,
    threads: int = 1,
) -> None:
    """Read all blocks; one after another where the file can only be read from front to back.

    threads : of this process, that read where there is no executor.
    """
    numbers, here = range(len(plan.boxes)), partial(read_block_of, plan, volume, work_dir)
    with ExitStack() as stack:
        results: Iterable[None]
        if volume.sequential or (executor is None and threads == 1):
            results = map(here, numbers)
        elif executor is None:
            results = stack.enter_context(ThreadPoolExecutor(threads, "blocks")).map(here, numbers)
        else:
            results = executor.map(partial(read_block, str(work_dir)), numbers)
        for done, _ in enumerate(results, start=1):
            report(done, len(numbers))


def skeletonize_batches(work_dir: str | Path, executor: Mapper | None, report: Progress) -> None:
    """Skeletonize all batches of labels; progress counts voxels."""
    voxels = make_batches(work_dir)
    results = (executor.map if executor else map)(partial(skeletonize_batch, str(work_dir)), range(len(voxels)))
    done, total = np.cumsum(voxels), int(voxels.sum())
    for batch, _ in enumerate(results):
        report(int(done[batch]), total)


def provenance(plan: Plan, source: str) -> dict[str, Any]:
    """How the skeletons were made, for the bundle."""
    return {
        "source": source,
        "source_sha256": plan.source_sha256,
        "dataset": plan.dataset,
        "background_ids": plan.background_ids,
        "axes": plan.axes,
        "label_ids": plan.label_ids,
        "program": f"{program()}, plan version {SKELETON_VERSION}",
        "teasar": asdict(plan.teasar),
        "downsample_zyx": plan.factor,
        "skeleton_voxel_nm_zyx": plan.small_voxel_nm,
    }


def _long_enough(graph: SkeletonGraph, min_length_um: float, name: str) -> SkeletonGraph:
    kept = graph.longer_than(min_length_um) if min_length_um > 0 else graph
    if kept.n_edges == 0:
        raise InputError.of(
            "no_skeletons",
            f"{name}: no skeleton of at least {min_length_um:g} um; the longest of {graph.n_skeletons} is "
            f"{graph.skeleton_length_nm.max(initial=0.0) / 1000.0:.2f} um. Lower --min-length-um, or check the labels "
            f"and the voxel size {graph.voxel_size_nm_zyx} nm (z,y,x)",
        )
    return kept


def place_nodes(
    graph: SkeletonGraph,
    factor: Triple,
    sample: Callable[[NDArray[np.int32]], NDArray[np.uint64]],
    on_progress: Progress | None = None,
) -> SkeletonGraph:
    """Move each node to the voxel of its block that carries its label and lies nearest to the block's centre.

    sample : the labels at (n, 3) voxels z,y,x. It is asked for the centres first, which settles most nodes, and then
    for the other voxels of the rest, in as few calls as memory allows: each is a pass over the file.
    """
    offsets = np.stack(np.meshgrid(*(np.arange(f) for f in factor), indexing="ij"), axis=-1).reshape(-1, 3)
    center = np.asarray(factor) // 2
    distance = np.square((offsets - center) * np.asarray(graph.voxel_size_nm_zyx)).sum(axis=1)
    offsets = (offsets[np.argsort(distance, kind="stable")] - center).astype(np.int32)
    wanted = graph.skeleton_id[graph.node_skeleton]
    block = (graph.node_voxel_zyx // np.asarray(factor) * np.asarray(factor) + center).astype(np.int32)
    position = graph.node_voxel_zyx.copy()
    open_nodes, tried = np.arange(graph.n_nodes), 0
    while len(open_nodes) and tried < len(offsets):
        more = 1 if tried == 0 else max(1, _MAX_CANDIDATES // len(open_nodes))
        candidate = block[open_nodes, None] + offsets[None, tried : tried + more]
        tried += more
        inside = (candidate < np.asarray(graph.shape_zyx)).all(axis=2)
        match = np.zeros(inside.shape, np.bool_)
        label = np.broadcast_to(wanted[open_nodes, None], inside.shape)
        match[inside] = sample(candidate[inside]) == label[inside]
        found, nearest = match.any(axis=1), match.argmax(axis=1)
        position[open_nodes[found]] = candidate[found, nearest[found]]
        open_nodes = open_nodes[~found]
        if on_progress:
            on_progress(graph.n_nodes - len(open_nodes), graph.n_nodes)
    return replace(graph, node_voxel_zyx=position)
