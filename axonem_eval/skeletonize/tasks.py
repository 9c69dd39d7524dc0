"""Skeletonizing a label volume in tasks that share nothing but a work folder.

    prepare          -> plan.json: the source's checksum, shape, voxel size and parameters
    read_block       -> blocks/: the runs of the labels of one block of the volume, downsampled
    make_batches     -> index.npz, targets.npz, batches.npz: where each label lies, where it leaves the volume, and
                        which labels are done together
    skeletonize_batch-> skeletons/: the skeletons of one batch
    collect          -> all of them

``read_block`` and ``skeletonize_batch`` take the folder and a number, so that a process pool, a Celery task or a loop
can call them; each writes its file whole or not at all and does nothing where it exists. A run that was killed goes on
where it stood, and a task delivered twice does no harm. Every label is skeletonized by itself from all its voxels,
whatever the blocks, so the result does not depend on how the work was shared.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.files import write_atomically
from axonem_eval.skeletonize.giants import coarse_factor, giants_json, trace_giant
from axonem_eval.skeletonize.label_runs import (
    LabelRunIndex,
    LabelRunReader,
    has_block,
    index_blocks,
    read_arrays,
    read_face,
    write_arrays,
    write_block,
)
from axonem_eval.skeletonize.teasar import Teasar, Tree, face_targets, program, trace
from axonem_eval.skeletons import SkeletonGraph
from axonem_eval.spec import FloatTriple, Triple
from axonem_eval.submission_rule import Axes
from axonem_eval.volumes import (
    AS_STORED,
    Box,
    LabelVolume,
    ReadOptions,
    blocks,
    near_isotropic_factor,
    open_labels,
    read_small,
    require_voxel_size,
    small_shape,
)

# Changes when other skeletons come out of the same labels and parameters.
SKELETON_VERSION = "2"
# About ten seconds of work: enough to outweigh a task's start, little enough to be lost without regret.
BATCH_VOXELS = 4 << 20
BATCH_LABELS = 20_000
# A small volume has less than one such batch: it is shared out more finely, so that its progress moves.
LEAST_BATCHES = 50
_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")


@dataclass(frozen=True)
class SkeletonOptions:
    """Which labels become which skeletons.

    label_ids : the labels that become skeletons; empty: all.
    ends_inside_voxels : branches end so many of the downsampled voxels from the surface, or as deep as the label is
        there; 0 leaves ends where TEASAR puts them, which is on the surface.
    min_length_um : shorter skeletons are left out.
    target_voxel_nm : labels are downsampled to about this voxel size.
    """

    label_ids: Sequence[int] = ()
    ends_inside_voxels: int = 0
    min_length_um: float = 0.0
    target_voxel_nm: float = 30.0


ALL_LABELS = SkeletonOptions()


@dataclass(frozen=True)
class Plan:
    """What the tasks on a work folder have to know; axes z,y,x, sizes in nm."""

    path: str
    dataset: str
    source_sha256: str
    shape: Triple
    chunk_shape: Triple
    voxel_size_nm: FloatTriple
    factor: Triple
    teasar: Teasar
    background_ids: tuple[int, ...] = ()
    axes: Axes = "zyx"
    label_ids: tuple[int, ...] = ()
    version: str = SKELETON_VERSION

    @property
    def small_shape(self) -> Triple:
        """Shape of the downsampled volume."""
        return small_shape(self.shape, self.factor)

    @property
    def small_voxel_nm(self) -> FloatTriple:
        """Voxel size of the downsampled volume."""
        z, y, x = (v * f for v, f in zip(self.voxel_size_nm, self.factor, strict=True))
        return z, y, x

    @cached_property
    def boxes(self) -> list[Box]:
        """The blocks, in voxels of the full volume."""
        return list(blocks(self.shape, self.chunk_shape, self.factor))

    def open_labels(self) -> LabelVolume:
        """The labels, which may lie on another machine's disk."""
        return open_labels(self.path, self.dataset, background_ids=self.background_ids, axes=self.axes)

    def save(self, work_dir: Path) -> None:
        """Write the plan into the work folder."""
        text = json.dumps(asdict(self), indent=2)
        write_atomically(work_dir / "plan.json", lambda file: file.write(text.encode()))

    @classmethod
    def load(cls, work_dir: str | Path) -> "Plan":
        """Read the plan of a work folder."""
        data: dict[str, Any] = json.loads((Path(work_dir) / "plan.json").read_text())
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        fields["teasar"] = Teasar(**data["teasar"])
        return cls(**fields)


@contextmanager
def opened(labels: str | Path | LabelVolume, reading: ReadOptions) -> Iterator[LabelVolume]:
    """The labels of a file; a volume that is open is left open."""
    if isinstance(labels, LabelVolume):
        yield labels
        return
    with open_labels(labels, reading.rule.dataset or None, axes=reading.rule.axes) as volume:
        yield volume


def prepare(
    labels: str | Path | LabelVolume,
    voxel_size_nm_zyx: FloatTriple,
    work_dir: str | Path,
    options: SkeletonOptions = ALL_LABELS,
    reading: ReadOptions = AS_STORED,
) -> Plan:
    """Begin or resume in a work folder.

    Raises InputError where it holds the work on other labels or parameters, or the labels state another voxel size.
    """
    program()  # said before hours of reading, if kimimaro is not there
    with opened(labels, reading) as volume:
        plan = Plan(
            path=str(volume.path.resolve()),
            dataset=volume.info.dataset,
            source_sha256=source_checksum(volume.path),
            shape=volume.shape_zyx,
            chunk_shape=volume.chunk_shape_zyx,
            voxel_size_nm=voxel_size_nm_zyx,
            factor=near_isotropic_factor(voxel_size_nm_zyx, options.target_voxel_nm),
            teasar=Teasar(),
            background_ids=tuple(reading.background_ids),
            axes=reading.rule.axes,
            label_ids=tuple(sorted(options.label_ids)),
        )
        if not reading.trust_voxel_size:
            require_voxel_size(volume, voxel_size_nm_zyx)
    folder = Path(work_dir)
    for part in ("blocks", "skeletons"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    if (folder / "plan.json").exists():
        before = Plan.load(folder)
        differ = [name for name, value in asdict(plan).items() if name != "path" and asdict(before)[name] != value]
        if differ:
            raise InputError.of(
                "other_work",
                f"{folder}: the work folder belongs to another run, its {', '.join(differ)} differs. Remove the "
                "folder, or name another with --work-dir",
            )
    plan.save(folder)
    return plan


def source_checksum(path: Path) -> str:
    """SHA-256 of a file; of a folder that of its files' names and contents."""
    if path.is_file():
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for part in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(f"{part.relative_to(path)}\0{source_checksum(part)}\0".encode())
    return digest.hexdigest()


def has_read_block(work_dir: str | Path, block: int) -> bool:
    """Whether ``read_block`` has nothing left to do."""
    return has_block(Path(work_dir) / "blocks", block)


def has_skeletonized_batch(work_dir: str | Path, batch: int) -> bool:
    """Whether ``skeletonize_batch`` has nothing left to do."""
    return _batch_path(work_dir, batch).exists()


def read_block(
    work_dir: str | Path, block: int, opener: Callable[[Plan], AbstractContextManager[LabelVolume]] = Plan.open_labels
) -> None:
    """Downsample one block of the labels and write its runs. Raises InputError for a damaged file.

    opener : opens the labels of a plan.
    """
    plan = Plan.load(work_dir)
    if not has_read_block(work_dir, block):
        with opener(plan) as volume:
            read_block_of(plan, volume, work_dir, block)


def read_block_of(plan: Plan, volume: LabelVolume, work_dir: str | Path, block: int) -> None:
    """As ``read_block``, of a volume that is open."""
    folder = Path(work_dir) / "blocks"
    if has_block(folder, block):
        return
    box = plan.boxes[block]
    z, y, x = (s.start // f for s, f in zip(box, plan.factor, strict=True))
    write_block(folder, block, read_small(volume, box, plan.factor), (z, y, x), plan.small_shape)


def make_batches(work_dir: str | Path) -> NDArray[np.int64]:
    """Share out the labels above the dust size, the largest first; returns (n_batches,) the voxels of each batch.

    All blocks must have been read.
    """
    folder = Path(work_dir)
    if not (folder / "batches.npz").exists():
        plan = Plan.load(folder)
        index, voxels = index_blocks(folder / "blocks", len(plan.boxes), plan.teasar.dust_voxels)
        index.save(folder / "index.npz")
        write_arrays(folder / "targets.npz", _exits(folder / "blocks", plan))
        label, row = np.unique(index.label, return_index=True)
        voxels = voxels[row]
        if plan.label_ids:
            wanted = np.isin(label, np.array(plan.label_ids, np.uint64))
            label, voxels = label[wanted], voxels[wanted]
        order = np.argsort(-voxels, kind="stable")
        batch = _batch_of(voxels[order])
        table = {"label": label[order], "voxels": voxels[order], "batch": batch}
        write_arrays(folder / "batches.npz", table)
    batches = read_arrays(folder / "batches.npz")
    return np.bincount(batches["batch"], weights=batches["voxels"]).astype(np.int64)


def _exits(folder: Path, plan: Plan) -> dict[str, NDArray[Any]]:
    """Where labels leave the volume, in the order in which kimimaro goes over the faces: label and zyx, by label."""
    shape, size = plan.small_shape, plan.small_voxel_nm
    label, zyx = [np.empty(0, np.uint64)], [np.empty((0, 3), np.int32)]
    for axis in range(3):
        rows, columns = (a for a in range(3) if a != axis)
        for at in (0, shape[axis] - 1):
            face = read_face(folder, _blocks_at(plan, axis, at), shape, axis, at)
            pixel = face_targets(face, (size[rows], size[columns]))
            place = np.full((len(pixel), 3), at, np.int32)
            place[:, [rows, columns]] = pixel
            label.append(face[tuple(pixel.T)])
            zyx.append(place)
    labels = np.concatenate(label)
    order = np.argsort(labels, kind="stable")
    return {"label": labels[order], "zyx": np.concatenate(zyx)[order]}


def _blocks_at(plan: Plan, axis: int, at: int) -> list[int]:
    """The blocks that hold the plane where the downsampled coordinate of an axis is ``at``."""
    factor = plan.factor[axis]
    return [i for i, box in enumerate(plan.boxes) if box[axis].start <= at * factor < box[axis].stop]


def _batch_of(voxels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Batch of each label: the next begins where the last has enough voxels or labels."""
    batch = np.zeros(len(voxels), np.int64)
    enough = min(BATCH_VOXELS, int(voxels.sum()) // LEAST_BATCHES)
    current, filled, labels = 0, 0, 0
    for i, n in enumerate(voxels.tolist()):
        if labels and (filled + n > enough or labels >= BATCH_LABELS):
            current, filled, labels = current + 1, 0, 0
        batch[i] = current
        filled, labels = filled + n, labels + 1
    return batch


def _batch_path(work_dir: str | Path, batch: int) -> Path:
    return Path(work_dir) / "skeletons" / f"{batch:06d}.npz"


def skeletonize_batch(work_dir: str | Path, batch: int) -> None:
    """Skeletonize the labels of one batch and write their skeletons."""
    if has_skeletonized_batch(work_dir, batch):
        return
    folder, plan = Path(work_dir), Plan.load(work_dir)
    batches = read_arrays(folder / "batches.npz")
    mine = np.flatnonzero(batches["batch"] == batch)
    mine = mine[np.argsort(batches["label"][mine])]  # as the runs lie on disk
    reader = LabelRunReader(folder / "blocks", LabelRunIndex.load(folder / "index.npz"), plan.small_shape)
    exits = read_arrays(folder / "targets.npz")
    trees = []
    for label, voxels in zip(batches["label"][mine], batches["voxels"][mine].tolist(), strict=True):
        own = slice(*(int(np.searchsorted(exits["label"], label, side=side)) for side in _SIDES))
        trees.append(_skeletonize_label(reader, int(label), coarse_factor(voxels), exits["zyx"][own], plan))
    table = {
        "label": batches["label"][mine],
        "voxels": batches["voxels"][mine],
        "nodes": np.array([len(t.node_zyx) for t in trees], np.int64),
        "edges": np.array([len(t.edges) for t in trees], np.int64),
        "node_zyx": np.concatenate([t.node_zyx for t in trees]),
        "edge": np.concatenate([t.edges for t in trees]),
        "radius_nm": np.concatenate([t.radius_nm for t in trees]),
    }
    write_arrays(_batch_path(work_dir, batch), table)


class LabelVoxels:
    """The voxels of single labels above the dust size, downsampled; of a work folder after ``make_batches``."""

    def __init__(self, work_dir: str | Path) -> None:
        """Read the plan and the index once, for any number of labels."""
        folder, plan = Path(work_dir), Plan.load(work_dir)
        self._reader = LabelRunReader(folder / "blocks", LabelRunIndex.load(folder / "index.npz"), plan.small_shape)
        self.voxel_nm_zyx = plan.small_voxel_nm

    def of(self, label: int) -> NDArray[np.int32]:
        """(n, 3) voxels z,y,x of a label, ascending; their size is ``voxel_nm_zyx``."""
        return self._reader.voxels(label)


def _skeletonize_label(
    reader: LabelRunReader, label: int, factor: int, exits_zyx: NDArray[np.int32], plan: Plan
) -> Tree:
    """Skeleton of one label from its voxels and its places on the volume's faces."""
    shape, size, parameters = plan.small_shape, plan.small_voxel_nm, plan.teasar
    if factor > 1:
        return trace_giant(reader, label, factor, exits_zyx, (shape, size, parameters))
    exits = [(z, y, x) for z, y, x in exits_zyx.tolist()]
    return trace(reader.voxels(label), shape, size, parameters, exits)


def collect(work_dir: str | Path, provenance: dict[str, Any]) -> SkeletonGraph:
    """The skeletons of all batches, ascending by label; those without an edge are left out.

    Nodes stand at the middle of their downsampled voxels. Edge lengths are measured between those, whose positions are
    smoother than those of the full-resolution voxels that ``place_nodes`` picks. The provenance names the giants, too.
    """
    plan = Plan.load(work_dir)
    parts = [read_arrays(_batch_path(work_dir, batch)) for batch in range(len(make_batches(work_dir)))]
    batches = read_arrays(Path(work_dir) / "batches.npz")
    giants = giants_json(batches["label"], batches["voxels"], plan.small_voxel_nm)
    kept: list[tuple[int, int, NDArray[Any], NDArray[Any], NDArray[Any]]] = []
    for part in parts:
        cut_node, cut_edge = np.cumsum(part["nodes"])[:-1], np.cumsum(part["edges"])[:-1]
        columns = (part["node_zyx"], cut_node), (part["edge"], cut_edge), (part["radius_nm"], cut_node)
        split = [np.split(values, cut) for values, cut in columns]
        kept += [
            (int(label), int(voxels), *arrays)
            for label, voxels, *arrays in zip(part["label"], part["voxels"], *split, strict=True)
            if len(arrays[1])
        ]
    kept.sort(key=lambda skeleton: skeleton[0])
    count = np.array([len(node) for _, _, node, _, _ in kept], np.int64)
    first = np.cumsum(count) - count
    node = np.concatenate([np.empty((0, 3), np.int32), *(k[2] for k in kept)])
    edge = np.concatenate([np.empty((0, 2), np.int64), *(k[3] + f for k, f in zip(kept, first, strict=True))])
    step = (node[edge[:, 0]] - node[edge[:, 1]]) * np.asarray(plan.small_voxel_nm)
    center = node * np.asarray(plan.factor) + np.asarray(plan.factor) // 2
    voxel_um3 = float(np.prod(plan.small_voxel_nm)) / 1e9
    return SkeletonGraph(
        skeleton_id=np.array([k[0] for k in kept], np.uint64),
        node_skeleton=np.repeat(np.arange(len(kept), dtype=np.int32), count),
        node_voxel_zyx=np.minimum(center, np.asarray(plan.shape) - 1).astype(np.int32),
        edge_u=edge[:, 0].astype(np.int32),
        edge_v=edge[:, 1].astype(np.int32),
        edge_length_nm=np.sqrt(np.square(step).sum(axis=1)),
        shape_zyx=plan.shape,
        voxel_size_nm_zyx=plan.voxel_size_nm,
        provenance={**provenance, **giants},
        node_radius_nm=np.concatenate([np.empty(0, np.float32), *(k[4] for k in kept)]),
        volume_um3=np.array([k[1] for k in kept], np.float64) * voxel_um3,
    )
