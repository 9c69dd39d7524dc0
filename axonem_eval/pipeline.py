"""Check, sample and score one segmentation: the whole evaluation of a volume in one call."""

from contextlib import ExitStack
from pathlib import Path

from axonem_eval.check import check_labels
from axonem_eval.dense import DenseScores, OverlapCounter, dense_scores
from axonem_eval.erl import DEFAULT_TOLERANCE_NODES, ErlReport, score_nodes
from axonem_eval.sample import NodeSample, sample_nodes
from axonem_eval.skeletons import SkeletonGraph
from axonem_eval.volume import Progress, StageProgress, open_labels


def sample_file(
    path: str | Path,
    graph: SkeletonGraph,
    *,
    no_merge_mask: str | Path | None = None,
    threads: int | None = None,
    on_progress: StageProgress | None = None,
) -> NodeSample:
    """Check a label file and read it at the nodes of the ground truth; stages check and sample.

    Raises InputError with every complaint about the file.
    """
    sample, _ = sample_and_count(path, graph, no_merge_mask=no_merge_mask, threads=threads, on_progress=on_progress)
    return sample


def sample_and_count(
    path: str | Path,
    graph: SkeletonGraph,
    *,
    no_merge_mask: str | Path | None = None,
    dense_ground_truth: str | Path | None = None,
    threads: int | None = None,
    on_progress: StageProgress | None = None,
    checkpoint: str | Path | None = None,
) -> tuple[NodeSample, DenseScores | None]:
    """Like ``sample_file``, and in the same pass ARAND and VOI where there is dense ground truth.

    checkpoint : file that lets a killed call go on (see ``sample_nodes``); not together with dense ground truth.
    Raises InputError with every complaint about the file, and for dense ground truth of another shape.
    """

    def report(stage: str) -> Progress:
        return lambda done, total: on_progress(stage, done, total) if on_progress else None

    check_labels(path, graph.spec, on_progress=report("check"))
    with ExitStack() as files:
        volume = files.enter_context(open_labels(path))
        mask = None if no_merge_mask is None else files.enter_context(open_labels(no_merge_mask))
        counter = None
        if dense_ground_truth is not None:
            counter = OverlapCounter(volume, files.enter_context(open_labels(dense_ground_truth)))
        sample = sample_nodes(
            volume,
            graph.node_voxel_zyx,
            no_merge_mask=mask,
            threads=threads,
            on_progress=report("sample"),
            checkpoint=checkpoint,
            also=counter.add if counter else None,
        )
        return sample, dense_scores(counter.table()) if counter else None


def score_file(
    path: str | Path,
    ground_truth: str | Path,
    *,
    tolerance_nodes: int = DEFAULT_TOLERANCE_NODES,
    no_merge_mask: str | Path | None = None,
    threads: int | None = None,
    on_progress: StageProgress | None = None,
) -> ErlReport:
    """Tolerant ERL of a label file against a skeleton bundle.

    Raises InputError where the file or the bundle is at fault.
    """
    graph = SkeletonGraph.load(ground_truth)
    sample = sample_file(path, graph, no_merge_mask=no_merge_mask, threads=threads, on_progress=on_progress)
    return score_nodes(graph, sample, tolerance_nodes=tolerance_nodes)
