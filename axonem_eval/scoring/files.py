"""Check, sample and score one segmentation: the whole evaluation of a volume in one call."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from axonem_eval.errors import InputError
from axonem_eval.sampling import NodeSample, sample_nodes
from axonem_eval.scoring.dense import DenseScores, OverlapCounter, dense_scores
from axonem_eval.scoring.variant import ALL_VOXELS, DenseRule
from axonem_eval.skeletons import SkeletonGraph
from axonem_eval.spec import VolumeSpec
from axonem_eval.volumes import (
    AS_STORED,
    LabelVolume,
    Progress,
    ReadOptions,
    StageProgress,
    check_volume,
    open_for,
    open_labels,
    require_voxel_size,
    reserved_of,
    reserved_warning,
    unpacked,
)

CORRECT_OR_TRUST = "Correct the file, or give --trust-voxel-size where it is wrong and the ground truth right"


@dataclass(frozen=True)
class DenseTruth:
    """A label file that voxels are counted against, and the rule for which of them count; all by default."""

    path: str | Path
    rule: DenseRule = ALL_VOXELS


def sample_file(
    path: str | Path,
    graph: SkeletonGraph,
    reading: ReadOptions = AS_STORED,
    *,
    no_merge_mask: str | Path | None = None,
    threads: int | None = None,
    on_progress: StageProgress | None = None,
    checkpoint: str | Path | None = None,
) -> NodeSample:
    """Check a label file and read it at the nodes of the ground truth; stages check and sample.

    checkpoint : file that lets a killed call go on (see ``sample_nodes``).
    Raises InputError with every complaint about the file, and for a mask of another shape or voxel size.
    """
    sample, _ = sample_and_count(
        path,
        graph,
        reading,
        no_merge_mask=no_merge_mask,
        threads=threads,
        on_progress=on_progress,
        checkpoint=checkpoint,
    )
    return sample


def sample_and_count(
    path: str | Path,
    graph: SkeletonGraph,
    reading: ReadOptions = AS_STORED,
    *,
    no_merge_mask: str | Path | None = None,
    dense: DenseTruth | None = None,
    threads: int | None = None,
    on_progress: StageProgress | None = None,
    checkpoint: str | Path | None = None,
) -> tuple[NodeSample, DenseScores | None]:
    """Like ``sample_file``, and in the same pass ARAND and VOI where there is dense ground truth.

    reading : of the segmentation; trust in the voxel size holds for mask and dense ground truth too.
    checkpoint : not together with dense ground truth.
    Raises InputError as ``sample_file``, and for dense ground truth of another shape or voxel size.
    """
    rule, trust_voxel_size = reading.rule, reading.trust_voxel_size

    def report(stage: str) -> Progress:
        return lambda done, total: on_progress(stage, done, total) if on_progress else None

    with ExitStack() as files:
        path = files.enter_context(unpacked(path, rule))
        volume = files.enter_context(open_for(graph.spec, path, reading=reading))
        info = check_volume(
            volume, graph.spec, rule=rule, trust_voxel_size=trust_voxel_size, on_progress=report("check")
        )
        mask = None if no_merge_mask is None else files.enter_context(open_labels(no_merge_mask, mask=True))
        truth = None if dense is None else files.enter_context(open_labels(dense.path))
        warnings = info.warnings
        for other in filter(None, (mask, truth)):
            warnings += other.info.warnings
            if not trust_voxel_size:
                require_voxel_size(other, graph.voxel_size_nm_zyx, CORRECT_OR_TRUST)
        counter = OverlapCounter(volume, truth, dense.rule) if dense and truth else None
        sample = sample_nodes(
            volume,
            graph.node_voxel_zyx,
            no_merge_mask=mask,
            threads=threads,
            on_progress=report("sample"),
            checkpoint=checkpoint,
            also=counter.add if counter else None,
        )
        reading.warn([*warnings, *_reserved_at_nodes(volume, sample)])
        return sample, dense_scores(counter.table()) if counter else None


def dense_only(dense_ground_truth: str | Path) -> SkeletonGraph:
    """No skeletons, in a volume like the dense ground truth: what ``sample_and_count`` takes to count voxels alone."""
    with open_labels(dense_ground_truth) as truth:
        shape, size = truth.shape_zyx, truth.info.voxel_size_nm_zyx
    if size is None:
        raise InputError.of(
            "no_voxel_size",
            f"{Path(dense_ground_truth).name}: the dense ground truth states no voxel size; write the attribute "
            "resolution (z, y, x in nm) on its dataset",
        )
    return no_skeletons(VolumeSpec(shape, size))


def no_skeletons(spec: VolumeSpec) -> SkeletonGraph:
    """A graph without nodes in such a volume."""
    nothing = np.empty(0, np.int32)
    return SkeletonGraph(
        skeleton_id=np.empty(0, np.uint64),
        node_skeleton=nothing,
        node_voxel_zyx=np.empty((0, 3), np.int32),
        edge_u=nothing,
        edge_v=nothing,
        edge_length_nm=np.empty(0),
        shape_zyx=spec.shape_zyx,
        voxel_size_nm_zyx=spec.voxel_size_nm_zyx,
    )


def _reserved_at_nodes(volume: LabelVolume, sample: NodeSample) -> list[str]:
    """A warning for each reserved id that lies at nodes of the ground truth."""
    at = {label: int(np.count_nonzero(sample.node_segment == label)) for label in reserved_of(volume.dtype)}
    return [
        reserved_warning(volume.path.name, label, f"at {n:,} of {len(sample.node_segment):,} ground-truth nodes")
        for label, n in at.items()
        if n
    ]
