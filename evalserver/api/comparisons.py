"""Two entries side by side, with the significance of their difference; a worker computes that."""

from typing import Any

from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router

from evalserver.api.auth import PUBLIC_SECURITY, public, reader
from evalserver.api.problems import Problem
from evalserver.api.schemas.common import PROBLEMS, ProblemOut
from evalserver.api.schemas.results import (
    ComparedVolumeOut,
    ComparisonOut,
    FigureOut,
    HeadlineDifferenceOut,
    PairedOut,
)
from evalserver.jobs import FAILED, REJECTED
from evalserver.submissions import selectors
from evalserver.submissions.evaluation import comparison as service
from evalserver.submissions.models import Comparison, Submission
from evalserver.submissions.results.compare import PairedResult, volume_pairs
from evalserver.submissions.results.dense_comparison import DenseVerdict, dense_verdict
from evalserver.submissions.results.selectors import result_of

router = Router(tags=["comparisons"])

WAIT_S = 60


@router.get(
    "/{slug:a}/{slug:b}",
    auth=public,
    response={200: ComparisonOut, PROBLEMS: ProblemOut},
    openapi_extra=PUBLIC_SECURITY,
)
def get_comparison(request: HttpRequest, a: str, b: str) -> ComparisonOut:
    """Figures of two scored entries of one phase. `mean` and `paired` are there once a worker has computed them."""
    return comparison_out(*_pair(request, a, b))


@router.post("/{slug:a}/{slug:b}", auth=reader, response={200: ComparisonOut, PROBLEMS: ProblemOut})
def start_comparison(request: HttpRequest, a: str, b: str) -> ComparisonOut:
    """Ask a worker to compute the paired bootstrap. Then GET until `state` is ready. Asking twice does no harm."""
    pair = _pair(request, a, b)
    try:
        service.request_comparison(*pair)
    except service.TooManyWaiting:
        message = "Many comparisons are waiting for a worker. Try again in a few minutes."
        raise Problem(429, "too_many_waiting", message, {"wait_s": WAIT_S}, Retry_After=str(WAIT_S)) from None
    return comparison_out(*pair)


def _pair(request: HttpRequest, a: str, b: str) -> tuple[Submission, Submission]:
    rows = selectors.visible_submissions(request.user).filter(status=Submission.DONE_STATUS)
    rows = rows.select_related("team", "phase__benchmark")
    first, second = (get_object_or_404(rows, code=code) for code in (a, b))
    refusal = service.comparable(first, second)
    if refusal:
        raise Problem(409, "not_comparable", refusal)
    return first, second


def comparison_out(a: Submission, b: Submission) -> ComparisonOut:
    """What is known of a comparable pair, rounded as on the page where the ground truth is hidden."""
    results = [result_of(entry) for entry in (a, b)]
    pairs = volume_pairs(*results)
    known = service.comparison_of(a, b)
    paired = PairedResult.of(known, pairs) if known else None
    a_result, b_result = results
    dense = dense_verdict(known, a_result, b_result) if known and a_result and b_result else None
    by_volume = {row["volume"]: row for row in paired.volumes} if paired else {}
    if results[0] is None:
        raise Http404
    return ComparisonOut(
        a=a.code,
        b=b.code,
        benchmark=a.phase.benchmark.slug,
        phase=a.phase.slug,
        metric_version=results[0].score.metric_version,
        state=_state(known),
        stage=known.stage if known and known.is_active else "",
        percent=known.percent if known else 0,
        message=_message(known),
        mean=_paired_out(paired.mean) if paired else None,
        headline=_headline_out(dense) if dense else None,
        volumes=[
            ComparedVolumeOut(
                volume=pair.slug,
                withheld=pair.withheld,
                figures=[
                    FigureOut(figure=f.label, unit=f.unit, a=f.a, b=f.b, difference=f.difference) for f in pair.figures
                ],
                paired=_paired_out(by_volume[pair.slug]["paired_bootstrap"]) if pair.slug in by_volume else None,
                **{name: by_volume.get(pair.slug, {}).get(name) for name in AXONS},
            )
            for pair in pairs
        ],
    )


def _headline_out(verdict: DenseVerdict) -> HeadlineDifferenceOut:
    names = HeadlineDifferenceOut.model_fields.keys() - {"p_value_is_bound"}
    return HeadlineDifferenceOut(
        **{name: getattr(verdict, name) for name in names}, p_value_is_bound=bool(verdict.p_words)
    )


AXONS = ("axons_better", "axons_equal", "axons_worse")


def _state(known: Comparison | None) -> str:
    if known is None:
        return "none"
    if known.is_active:
        return "computing"
    return {REJECTED: "refused", FAILED: "failed"}.get(known.status, "ready")


def _message(known: Comparison | None) -> str:
    if known is None or known.is_active:
        return ""
    if known.status == FAILED:
        return f"The comparison failed on our side; incident {known.incident_id}."
    return "; ".join(c["message"] for c in known.complaints)


def _paired_out(row: dict[str, Any]) -> PairedOut:
    names = PairedOut.model_fields
    return PairedOut(**{name: row[name] for name in names})
