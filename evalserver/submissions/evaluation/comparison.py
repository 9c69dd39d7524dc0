"""The paired bootstrap of two entries: asked for by a reader, computed by a worker from stored node labels."""

from typing import Any

from django.db import transaction

from axonem_eval.scoring import OverlapTable, compare_samples, dense_bootstrap, paired_bootstrap
from evalserver.benchmarks.selectors import current_ground_truths, current_ruler, ruler_of
from evalserver.jobs import FAILED, REJECTED, RUNNING, WAITING, Lease, Rejection, change_status, run_job, send
from evalserver.submissions.evaluation import scoring
from evalserver.submissions.models import Comparison, NodeLabels, Submission

# That wait or run, before no reader can ask for more; those who are not logged in leave room for the others.
MAX_WAITING = 50
MAX_WAITING_FOR_VISITORS = 5


class TooManyWaiting(Exception):
    """Too many comparisons are waiting."""


def comparison_of(a: Submission, b: Submission) -> Comparison | None:
    """What is known of A against B under the current ruler."""
    ruler = current_ruler(a.phase)
    return Comparison.objects.filter(a=a, b=b, ruler=ruler).first() if ruler else None


def comparable(a: Submission, b: Submission) -> str | None:
    """Why two entries cannot be compared axon by axon; None when they can."""
    if a.pk == b.pk:
        return "These are the same entry. Choose two different ones."
    if a.phase_id != b.phase_id:
        return "These entries belong to different phases: they were not scored on the same axons."
    ruler = current_ruler(a.phase)
    if ruler is None or any(not s.scores.filter(ruler=ruler).exists() for s in (a, b)):
        return "Both entries need a result under the current metric and ground truth."
    return None


@transaction.atomic
def request_comparison(a: Submission, b: Submission, *, most_waiting: int = MAX_WAITING) -> Comparison:
    """Queue the comparison of two comparable entries, unless it was made. A failed one is queued again.

    Raises TooManyWaiting where as many as ``most_waiting`` wait or run.
    """
    ruler = current_ruler(a.phase)
    if ruler is None:
        raise ValueError(f"{a} and {b} are not comparable")
    if Comparison.objects.filter(status__in=(WAITING, RUNNING)).count() >= most_waiting:
        raise TooManyWaiting
    comparison, made = Comparison.objects.get_or_create(
        a=a, b=b, ruler=ruler, defaults={"stage": "Waiting for a worker"}
    )
    if made or change_status(
        Comparison, comparison.pk, sources=[FAILED, REJECTED], target=WAITING, attempts=0, complaints=[]
    ):
        send(comparison)
    return comparison


def compare(comparison_id: int) -> None:
    """Compute a comparison, unless another worker does or did."""
    run_job(Comparison, comparison_id, _compare)


def _compare(lease: Lease) -> None:
    comparison = Comparison.objects.select_related("a__phase", "b").get(pk=lease.pk)
    ground_truths = current_ground_truths(comparison.a.phase)
    if ruler_of(ground_truths.values()) != comparison.ruler:
        raise Rejection(
            [{"code": "other_ruler", "message": "The ground truth, tolerance or scoring rule has changed. Ask again."}]
        )
    lease.progress("Reading node labels", 5)
    sides = [
        {row.volume_file.volume_id: row for row in scoring.stored_labels(s, ground_truths).values()}
        for s in (comparison.a, comparison.b)
    ]
    ordered = sorted(ground_truths.values(), key=lambda g: (g.volume.position, g.volume_id))
    if any(g.volume_id not in side for g in ordered for side in sides):
        raise Rejection([{"code": "no_labels", "message": "The node labels of an entry are no longer stored."}])
    rule = ordered[0].volume.benchmark.variant.headline
    if rule.needs == {"dense"}:
        lease.progress("Comparing label by label", 20)
        pairs = [(_overlap(sides[0][g.volume_id]), _overlap(sides[1][g.volume_id])) for g in ordered]
        compared_dense = dense_bootstrap(pairs, rule, [g.volume.slug for g in ordered])
        result = {"headline": compared_dense.to_json(), "volumes": []}
        lease.finish(Comparison.DONE_STATUS, percent=100, complaints=[], result=result)
        return
    volumes: list[dict[str, Any]] = []
    tables = []
    for number, ground_truth in enumerate(ordered):
        lease.progress(f"Comparing on {ground_truth.volume.name}", 5 + 85 * number / len(ordered))
        graph = scoring.load_graph(ground_truth)
        a, b = (scoring.load_sample(side[ground_truth.volume_id]) for side in sides)
        compared = compare_samples(graph, a, b, variant=ground_truth.volume.variant)
        tables.append((compared.a.table, compared.b.table))
        volumes.append({"volume": ground_truth.volume.slug, **compared.to_json()})
    mean = paired_bootstrap(tables, [g.volume.tolerance_nodes for g in ordered])  # type: ignore[arg-type]
    lease.finish(
        Comparison.DONE_STATUS, percent=100, complaints=[], result={"mean": mean.to_json(), "volumes": volumes}
    )


def _overlap(labels: NodeLabels) -> OverlapTable:
    overlap = scoring.load_overlap(labels)
    if overlap is None:
        raise Rejection([{"code": "no_labels", "message": "The overlaps of an entry are no longer stored."}])
    return overlap
