"""Skeletons of a label volume with kimimaro (TEASAR, Sato et al. 2000), label by label.

kimimaro treats each label by itself, so each is cut out by its own box (one voxel wider, where the volume goes
on) and skeletonized alone: the result does not depend on how many processes share the work, and nothing holds
the volume in memory. This is the only module that imports kimimaro (GPL-3).
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.downsample import LabelBoxes, downsample_to_npy, near_isotropic_factor
from axonem_eval.errors import InputError
from axonem_eval.sample import sample_nodes
from axonem_eval.skeletons import SkeletonGraph
from axonem_eval.spec import FloatTriple, Triple
from axonem_eval.volume import LabelVolume, StageProgress, open_labels, split_dataset

# Scale and constant as in the AxonEM authors' scorer; lengths in nm.
TEASAR = {
    "scale": 1.5,
    "const": 500,
    "pdrf_scale": 100_000,
    "pdrf_exponent": 4,
    "soma_detection_threshold": 1100,
    "soma_acceptance_threshold": 3500,
    "soma_invalidation_scale": 1.0,
    "soma_invalidation_const": 300,
    "max_paths": 50,
}
DUST_VOXELS = 100


@dataclass(frozen=True)
class LabelSkeleton:
    """Skeleton of one label: node indices in the downsampled volume, edges, and each node's radius in nm."""

    label: int
    node_zyx: NDArray[np.int32]
    edges: NDArray[np.int32]
    radius_nm: NDArray[np.float32]


def skeletonize_one(copy: Path, voxel_size_nm_zyx: FloatTriple, task: tuple[int, Triple, Triple]) -> LabelSkeleton:
    """Skeletonize one label of a .npy volume; ``task`` is (label, lower, upper) with its box, z,y,x."""
    import kimimaro

    label, lower, upper = task
    volume = np.load(copy, mmap_mode="r")
    low = [max(0, n - 1) for n in lower]
    high = [min(n + 1, size) for n, size in zip(upper, volume.shape, strict=True)]
    mask = np.asarray(volume[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] == label)
    skeletons = kimimaro.skeletonize(
        mask.astype(np.uint8),
        teasar_params=TEASAR,
        anisotropy=voxel_size_nm_zyx,
        dust_threshold=DUST_VOXELS,
        fix_branching=True,
        fix_borders=True,
        progress=False,
        parallel=1,
    )
    if 1 not in skeletons:
        nothing = np.empty((0, 3), np.int32)
        return LabelSkeleton(label, nothing, np.empty((0, 2), np.int32), np.empty(0, np.float32))
    skeleton = skeletons[1]
    node = np.rint(skeleton.vertices / np.asarray(voxel_size_nm_zyx)).astype(np.int32) + np.asarray(low, np.int32)
    return LabelSkeleton(label, node, skeleton.edges.astype(np.int32), skeleton.radius.astype(np.float32))


def skeletonize_boxes(
    copy: Path,
    boxes: LabelBoxes,
    voxel_size_nm_zyx: FloatTriple,
    executor: Executor | None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[LabelSkeleton]:
    """Skeletons of all labels above the dust size, in the order of their ids."""
    large = np.flatnonzero(boxes.voxels >= DUST_VOXELS)
    large = large[np.argsort(-boxes.voxels[large], kind="stable")]  # the giants first, so that none ends the run
    tasks = [(int(boxes.label[i]), _triple(boxes.lower[i]), _triple(boxes.upper[i])) for i in large]
    work = partial(skeletonize_one, copy, voxel_size_nm_zyx)
    results: Iterator[LabelSkeleton] = executor.map(work, tasks) if executor else map(work, tasks)
    skeletons = []
    for done, skeleton in enumerate(results, start=1):
        skeletons.append(skeleton)
        if on_progress:
            on_progress(done, len(tasks))
    return sorted(skeletons, key=lambda s: s.label)


def _triple(values: NDArray[np.int64]) -> Triple:
    z, y, x = (int(v) for v in values)
    return z, y, x


def skeletonize_labels(
    path: str | Path,
    voxel_size_nm_zyx: FloatTriple,
    *,
    dataset: str | None = None,
    min_length_um: float = 0.0,
    target_voxel_nm: float = 30.0,
    processes: int = 1,
    on_progress: StageProgress | None = None,
) -> SkeletonGraph:
    """Skeletonize every label of a volume into a ground-truth graph.

    Labels are downsampled to near-isotropic voxels of about ``target_voxel_nm`` by the most frequent label, because
    the tolerance counts nodes; nodes are then placed on full-resolution voxels of their own label.
    on_progress : called with (stage, done, total); stages read, skeletonize, place.
    Raises InputError for unreadable labels and where no skeleton is left.
    """

    def report(stage: str) -> Callable[[int, int], None]:
        return lambda done, total: on_progress(stage, done, total) if on_progress else None

    factor = near_isotropic_factor(voxel_size_nm_zyx, target_voxel_nm)
    small_voxel = _scaled(voxel_size_nm_zyx, factor)
    with open_labels(path, dataset) as volume, tempfile.TemporaryDirectory(prefix="axonem-") as folder:
        copy = Path(folder) / "labels.npy"
        boxes = downsample_to_npy(volume, factor, copy, report("read"))
        if processes > 1:
            with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as executor:
                skeletons = skeletonize_boxes(copy, boxes, small_voxel, executor, report("skeletonize"))
        else:
            skeletons = skeletonize_boxes(copy, boxes, small_voxel, None, report("skeletonize"))
        provenance = {
            "source": split_dataset(path)[0].name,
            "source_sha256": _sha256(volume.path),
            "dataset": volume.info.dataset,
            "program": f"kimimaro {version('kimimaro')}",
            "teasar": TEASAR,
            "dust_voxels": DUST_VOXELS,
            "downsample_zyx": factor,
            "skeleton_voxel_nm_zyx": small_voxel,
        }
        graph = join_skeletons(skeletons, small_voxel, volume, voxel_size_nm_zyx, factor, provenance)
        kept = graph.longer_than(min_length_um) if min_length_um > 0 else graph
        if kept.n_edges == 0:
            longest = graph.skeleton_length_nm.max(initial=0.0) / 1000.0
            raise InputError.of(
                "no_skeletons",
                f"{volume.path.name}: no skeleton of at least {min_length_um:g} um; the longest of "
                f"{graph.n_skeletons} is {longest:.2f} um. Lower --min-length-um, or check the labels and "
                f"the voxel size {voxel_size_nm_zyx} nm (z,y,x)",
            )
        return place_nodes(kept, volume, factor, report("place"))


def _scaled(voxel_size_nm_zyx: FloatTriple, factor: Triple) -> FloatTriple:
    z, y, x = (v * f for v, f in zip(voxel_size_nm_zyx, factor, strict=True))
    return z, y, x


def _sha256(path: Path) -> str:
    if path.is_dir():
        return ""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def join_skeletons(
    skeletons: list[LabelSkeleton],
    small_voxel_nm_zyx: FloatTriple,
    volume: LabelVolume,
    voxel_size_nm_zyx: FloatTriple,
    factor: Triple,
    provenance: dict[str, Any],
) -> SkeletonGraph:
    """One graph of all skeletons that have an edge; edge lengths are measured on the downsampled grid, whose
    positions are smoother than those of the full-resolution voxels that ``place_nodes`` picks."""
    kept = [s for s in skeletons if len(s.edges)]
    counts = np.array([len(s.node_zyx) for s in kept], np.int64)
    first = np.concatenate([[0], np.cumsum(counts)])[: len(kept)] if kept else np.empty(0, np.int64)
    node = np.concatenate([s.node_zyx for s in kept]) if kept else np.empty((0, 3), np.int32)
    edges = np.concatenate([s.edges + f for s, f in zip(kept, first, strict=True)]) if kept else np.empty((0, 2), int)
    step = (node[edges[:, 0]] - node[edges[:, 1]]) * np.asarray(small_voxel_nm_zyx)
    center = node * np.asarray(factor) + np.asarray(factor) // 2
    return SkeletonGraph(
        skeleton_id=np.array([s.label for s in kept], np.uint64),
        node_skeleton=np.repeat(np.arange(len(kept), dtype=np.int32), counts),
        node_voxel_zyx=np.minimum(center, np.asarray(volume.shape_zyx) - 1).astype(np.int32),
        edge_u=edges[:, 0].astype(np.int32),
        edge_v=edges[:, 1].astype(np.int32),
        edge_length_nm=np.sqrt(np.square(step).sum(axis=1)),
        shape_zyx=volume.shape_zyx,
        voxel_size_nm_zyx=voxel_size_nm_zyx,
        provenance=provenance,
    )


def place_nodes(
    graph: SkeletonGraph,
    volume: LabelVolume,
    factor: Triple,
    on_progress: Callable[[int, int], None] | None = None,
) -> SkeletonGraph:
    """Move each node to the voxel of its block that carries its label and lies nearest to the block's centre."""
    offsets = np.stack(np.meshgrid(*(np.arange(f) for f in factor), indexing="ij"), axis=-1).reshape(-1, 3)
    center = np.asarray(factor) // 2
    distance = np.square((offsets - center) * np.asarray(graph.voxel_size_nm_zyx)).sum(axis=1)
    offsets = offsets[np.argsort(distance, kind="stable")] - center
    wanted = graph.skeleton_id[graph.node_skeleton]
    block = graph.node_voxel_zyx // np.asarray(factor) * np.asarray(factor) + center
    position = graph.node_voxel_zyx.copy()
    open_nodes = np.arange(graph.n_nodes)
    for offset in offsets:
        candidate = (block[open_nodes] + offset).astype(np.int32)
        inside = (candidate < np.asarray(volume.shape_zyx)).all(axis=1)
        nodes = open_nodes[inside]
        found = sample_nodes(volume, candidate[inside]).node_segment == wanted[nodes]
        position[nodes[found]] = candidate[inside][found]
        open_nodes = np.setdiff1d(open_nodes, nodes[found], assume_unique=True)
        if on_progress:
            on_progress(graph.n_nodes - len(open_nodes), graph.n_nodes)
        if not len(open_nodes):
            break
    return SkeletonGraph(
        graph.skeleton_id,
        graph.node_skeleton,
        position,
        graph.edge_u,
        graph.edge_v,
        graph.edge_length_nm,
        graph.shape_zyx,
        graph.voxel_size_nm_zyx,
        graph.provenance,
    )
