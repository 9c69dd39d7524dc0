"""Queries: benchmarks and phases as a reader asks for them, and the ground truth that scores now."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone

from axonem_eval.scoring import AXONEM, METRIC_VERSION
from evalserver.benchmarks.disclosure_rule import NOTED, PICTURES, GroundTruthFigures, hidden_complaint
from evalserver.benchmarks.models import Benchmark, GroundTruth, Phase, TrainingFile, Volume
from evalserver.benchmarks.roles import sees_hidden

KINDS_IN_WORDS = {"skeletons": "skeletons", "dense": "dense labels"}


def visible_benchmark_or_404(request: HttpRequest, slug: str) -> Benchmark:
    """A benchmark that everybody may see, or any for an organiser."""
    benchmark = get_object_or_404(Benchmark.objects.prefetch_related("phases"), slug=slug)
    if not benchmark.is_visible and not sees_hidden(request.user, benchmark.pk):
        raise Http404
    return benchmark


def phase_or_404(benchmark: Benchmark, slug: str | None) -> Phase:
    """The phase of that name; the default one when none is named."""
    phase = benchmark.phases.filter(slug=slug).first() if slug else benchmark.default_phase
    if phase is None:
        raise Http404
    return phase


def closed_reason(phase: Phase) -> str | None:
    """Why no team can submit to a phase now; None when teams can."""
    volumes = list(phase.volumes.all())
    if phase.is_frozen:
        return f"The ranking of “{phase.name}” is frozen: no more submissions are taken."
    if phase.opens_at > timezone.now():
        return f"The phase “{phase.name}” opens on {phase.opens_at:%Y-%m-%d %H:%M} UTC."
    if not phase.is_open:
        return f"The phase “{phase.name}” closed on {phase.closes_at:%Y-%m-%d %H:%M} UTC."
    if not volumes:
        return f"The phase “{phase.name}” has no volume yet."
    if not all(any(row.is_current for row in volume.ground_truths.all()) for volume in volumes):
        return "The organisers have not registered the ground truth of every volume yet."
    variant = phase.benchmark.variant
    for volume in volumes:
        current = next(row for row in volume.ground_truths.all() if row.is_current)
        if missing := variant.headline.needs - current.kinds:
            what = " and ".join(KINDS_IN_WORDS[kind] for kind in sorted(missing))
            return f"The ground truth of “{volume.name}” has no {what}, by which “{phase.benchmark.name}” ranks."
    if hidden_complaint(variant, volumes):
        return f"The organisers must change the scoring of “{phase.name}” first: scores would reveal hidden nodes."
    return None


@dataclass(frozen=True)
class Opening:
    """Where a benchmark takes submissions now. phase : None where it takes none; closed : why; otherwise empty."""

    phase: Phase | None
    closed: str


# What `opening` reads of a benchmark, for queries of many.
OF_OPENING = "phases__volumes__ground_truths"


def opening(benchmark: Benchmark) -> Opening:
    """The phase that teams submit to: the one that pages show first, or else the last one that is open."""
    first = benchmark.default_phase
    if first is None:
        return Opening(None, "The organisers have not added a phase yet.")
    reasons = {phase: closed_reason(phase) for phase in [first, *reversed(benchmark.phases.all())]}
    taken = next((phase for phase, reason in reasons.items() if reason is None), None)
    return Opening(taken, "" if taken else reasons[first] or "")


def current_figures(volumes: Iterable[Volume]) -> dict[int, GroundTruthFigures]:
    """What everybody is told of the ground truth that scores now, by volume id."""
    return {row.volume_id: GroundTruthFigures.of(row.volume, row) for row in _current(volume__in=volumes)}


def current_ground_truths(phase: Phase) -> dict[int, GroundTruth]:
    """Current ground truth by volume id; a volume without one is missing."""
    return {row.volume_id: row for row in _current(volume__phases=phase)}


def _current(**volumes: Any) -> QuerySet[GroundTruth]:
    """With all that `Disclosure.of` reads."""
    return (
        GroundTruth.objects.filter(is_current=True, **volumes)
        .select_related("volume__benchmark", NOTED)
        .defer(*PICTURES)
    )


def node_table_refusal(ground_truth: GroundTruth) -> str:
    """Why the labels at the nodes cannot stand for the volume; empty where they can."""
    volume = ground_truth.volume
    if not volume.ground_truth_public:
        return (
            "a table of labels at nodes is taken only where everybody knows the nodes, and this ground truth is "
            "hidden. Upload the volume"
        )
    if not volume.rule.node_tables:
        return "this benchmark takes no tables of labels at nodes. Upload the volume"
    if ground_truth.no_merge_mask and volume.variant.no_merge_mask:
        return (
            "the no-merge mask is counted over all voxels, which a table of labels at nodes has not. Upload the volume"
        )
    if ground_truth.dense:
        return (
            "the dense ground truth is scored over all voxels, which a table of labels at nodes has not. Upload the "
            "volume"
        )
    return ""


def ruler_of(ground_truths: Iterable[GroundTruth]) -> str:
    """Digest of all that a score depends on besides the submission. Scores with one ruler are ranked together."""
    rows = list(ground_truths)
    parts: list[object] = [*sorted((g.volume_id, g.version, g.checksum, g.volume.tolerance_nodes) for g in rows)]
    # What benchmarks did not have before is not named where it is not there, so that their scores keep their ruler.
    parts += sorted({g.volume.benchmark.scoring_variant for g in rows} - {AXONEM.name})
    parts += sorted((g.volume_id, g.dense_checksum) for g in rows if g.dense_checksum)
    benchmark = rows[0].volume.benchmark if rows else None
    if benchmark is not None and benchmark.headline_expression:
        parts += [benchmark.headline_expression, benchmark.headline_lower_is_better]
    return hashlib.sha256(json.dumps([METRIC_VERSION, parts]).encode()).hexdigest()


def current_ruler(phase: Phase) -> str | None:
    """The ruler that the phase is ranked with now; None while a volume has no ground truth."""
    ground_truths = current_ground_truths(phase)
    if not ground_truths or len(ground_truths) != phase.volumes.count():
        return None
    return ruler_of(ground_truths.values())


def stored_image(volume: Volume, *, in_viewer: bool = False) -> TrainingFile | None:
    """The EM of a volume, where the organisers stored it and results lie on its grid.

    in_viewer : only where the viewer can show it.
    """
    if not volume.rule.is_plain:
        return None
    rows = TrainingFile.objects.filter(volume=volume, content=TrainingFile.Content.IMAGE).exclude(file="")
    rows = rows.filter(view_files__gt=0) if in_viewer else rows
    return rows.select_related("benchmark").first()
