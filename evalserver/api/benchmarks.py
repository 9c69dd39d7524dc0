"""Benchmarks and leaderboards, for everybody."""

from collections.abc import Sequence

from django.http import HttpRequest
from django.urls import reverse
from ninja import Query, Router

from axonem_eval.submission_rule import SubmissionRule
from evalserver.api.auth import PUBLIC_SECURITY, public
from evalserver.api.problems import Problem
from evalserver.api.schemas.benchmarks import (
    BenchmarkOut,
    BenchmarkPage,
    BoardView,
    GroundTruthOut,
    LeaderboardOut,
    PhaseOut,
    PublishedRowOut,
    RowOut,
    SubmissionRuleOut,
    TracksOut,
    VolumeOut,
    VolumeScoreOut,
)
from evalserver.api.schemas.common import PROBLEMS, PageNumber, ProblemOut, Slug
from evalserver.benchmarks.disclosure_rule import GroundTruthFigures
from evalserver.benchmarks.models import Benchmark
from evalserver.benchmarks.selectors import current_figures, phase_or_404, visible_benchmark_or_404
from evalserver.leaderboard import selectors as leaderboards
from evalserver.leaderboard.query import FIRST_DAY, LAST_DAY, BoardQuery
from evalserver.leaderboard.rows import PublishedRow, Row, VolumeScore
from evalserver.leaderboard.tracks import track_board, tracks_json, tracks_or_404
from evalserver.site import site_url

router = Router(tags=["benchmarks"], auth=public)


@router.get("", response={200: BenchmarkPage, PROBLEMS: ProblemOut}, openapi_extra=PUBLIC_SECURITY)
def list_benchmarks(request: HttpRequest) -> BenchmarkPage:
    """Every benchmark with its volumes and phases."""
    benchmarks = Benchmark.objects.prefetch_related("phases__volumes", "volumes")
    if not request.user.is_staff:
        benchmarks = benchmarks.filter(is_visible=True)
    items = [benchmark_out(benchmark) for benchmark in benchmarks]
    return BenchmarkPage(count=len(items), items=items)


@router.get("/{slug:slug}", response={200: BenchmarkOut, PROBLEMS: ProblemOut}, openapi_extra=PUBLIC_SECURITY)
def get_benchmark(request: HttpRequest, slug: str) -> BenchmarkOut:
    """One benchmark: what a file for each volume must look like, and when its phases are open."""
    return benchmark_out(visible_benchmark_or_404(request, slug))


@router.get(
    "/{slug:slug}/leaderboard",
    response={200: LeaderboardOut, PROBLEMS: ProblemOut},
    openapi_extra=PUBLIC_SECURITY,
)
def get_leaderboard(
    request: HttpRequest,
    slug: str,
    view: Query[BoardView],
    phase: Slug | None = None,
    page: PageNumber = 1,
) -> LeaderboardOut:
    """One page of the ranking, sorted and filtered as on the site. The first page also has the published results."""
    benchmark = visible_benchmark_or_404(request, slug)
    chosen = phase_or_404(benchmark, phase)
    if not leaderboards.may_see_ranking(request.user, chosen):
        until = chosen.ranking_hidden_until
        raise Problem(403, "embargo", f"The ranking of this phase is shown from {until:%Y-%m-%d %H:%M} UTC.")
    board = leaderboards.leaderboard(benchmark, chosen, page, query=_board_query(view))
    volumes = [column.volume.slug for column in board.columns]
    return LeaderboardOut(
        benchmark=benchmark.slug,
        phase=chosen.slug,
        metric_version=board.metric_version,
        scoring_variant=board.variant.name,
        headline=board.variant.headline.name,
        headline_expression=board.variant.headline.expression.text,
        lower_is_better=board.variant.lower_is_better,
        count=board.page.paginator.count,
        listed=board.total,
        page=board.page.number,
        pages=board.page.paginator.num_pages,
        rows=[_row_out(row, volumes) for row in board.rows],
        published=[_published_out(row, volumes) for row in board.published],
    )


@router.get(
    "/{slug:slug}/tracks",
    response={200: TracksOut, PROBLEMS: ProblemOut},
    openapi_extra=PUBLIC_SECURITY,
)
def get_tracks(request: HttpRequest, slug: str) -> TracksOut:
    """All phases of a benchmark whose phases are tracks as one table: a row for each method, and its mean."""
    board = track_board(tracks_or_404(request, slug), request.user)
    return TracksOut(**tracks_json(board, site_url("")))


def _board_query(view: BoardView) -> BoardQuery:
    return BoardQuery(
        sort=view.sort.removeprefix("-"),
        descending=view.sort.startswith("-"),
        text=view.q.strip(),
        rows=view.rows,
        marks=view.marks,
        superseded=view.superseded == "1",
        since=view.since and max(view.since, FIRST_DAY),
        until=view.until and min(view.until, LAST_DAY),
    )


def benchmark_out(benchmark: Benchmark) -> BenchmarkOut:
    """A benchmark with its volumes and phases."""
    volumes = list(benchmark.volumes.all())
    current = current_figures(volumes)
    default = benchmark.default_phase
    return BenchmarkOut(
        slug=benchmark.slug,
        name=benchmark.name,
        summary=benchmark.summary,
        scoring_variant=benchmark.scoring_variant,
        page=reverse("benchmark", args=[benchmark.slug]),
        default_phase=default.slug if default else None,
        phases=[
            PhaseOut(
                slug=phase.slug,
                name=phase.name,
                kind=phase.kind,
                is_open=phase.is_open,
                opens_at=phase.opens_at,
                closes_at=phase.closes_at,
                submissions_per_day=phase.submissions_per_day,
                volumes=[v.slug for v in sorted(phase.volumes.all(), key=lambda v: (v.position, v.pk))],
            )
            for phase in benchmark.phases.all()
        ],
        volumes=[
            VolumeOut(
                **{name: getattr(volume, name) for name in VOLUME_FIELDS},
                submission=_rule_out(volume.rule),
                ground_truth=_ground_truth_out(current.get(volume.pk)),
            )
            for volume in volumes
        ],
    )


VOLUME_FIELDS = (
    *("slug", "name", "tissue", "shape_zyx", "voxel_size_nm_zyx"),
    *("tolerance_nodes", "min_length_um", "ground_truth_public"),
)


def _rule_out(rule: SubmissionRule) -> SubmissionRuleOut:
    return SubmissionRuleOut(
        **rule.file.to_json(),
        shape_zyx=rule.spec.shape_zyx,
        voxel_size_nm_zyx=rule.spec.voxel_size_nm_zyx,
        factor_zyx=rule.factor_zyx,
        node_tables=rule.node_tables,
    )


def _ground_truth_out(figures: GroundTruthFigures | None) -> GroundTruthOut | None:
    names = GroundTruthOut.model_fields
    return None if figures is None else GroundTruthOut(**{name: getattr(figures, name) for name in names})


def _row_out(row: Row, volumes: list[str]) -> RowOut:
    return RowOut(
        rank=row.rank,
        is_superseded=row.is_superseded,
        is_reference=row.is_reference,
        marks=[mark.field for mark in row.marks],
        runs=row.runs,
        submission=row.code,
        method=row.method,
        team=row.team,
        mean_erl_nm=row.mean_erl_nm,
        mean_normalized_erl=row.mean_normalized_erl,
        mean_erl_low_nm=row.low_nm,
        mean_erl_high_nm=row.high_nm,
        volumes=_volumes_out(row.scores, volumes),
        submitted_at=row.submitted_at,
        headline=row.headline,
        headline_half_interval=row.half_interval,
        page=reverse("submission", args=[row.code]),
    )


def _published_out(row: PublishedRow, volumes: list[str]) -> PublishedRowOut:
    return PublishedRowOut(
        method=row.method,
        source=row.source,
        url=row.url,
        is_ground_truth=row.is_ground_truth,
        mean_erl_nm=row.mean_erl_nm,
        headline=row.headline,
        volumes=_volumes_out(row.scores, volumes),
    )


def _volumes_out(scores: Sequence[VolumeScore], volumes: list[str]) -> list[VolumeScoreOut]:
    return [
        VolumeScoreOut(
            volume=slug,
            erl_nm=score.erl_nm,
            normalized_erl=score.normalized_erl,
            figures={name: value for name, value in score.figures if value is not None},
        )
        for slug, score in zip(volumes, scores, strict=True)
        if not score.is_empty
    ]
