"""Pages that belong to no app: the home page, the health probe, and the forms of Django's error pages."""

from dataclasses import dataclass

import redis
from django.db import DatabaseError, connection
from django.db.models import Count, Exists, Max, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.utils import timezone
from django.views.decorators.http import require_safe

from axonem_eval.report import MetricExample, metric_svg
from evalserver.benchmarks.models import Benchmark, News, Picture, TrainingFile
from evalserver.benchmarks.selectors import OF_OPENING
from evalserver.jobs import redis_client
from evalserver.leaderboard.cache import anonymous_cache
from evalserver.leaderboard.rows import Row
from evalserver.leaderboard.selectors import best_of, may_see_ranking
from evalserver.site import own_markup
from evalserver.submissions.models import LISTED, Submission, shown_to_all
from evalserver.submissions.selectors import may_read_all

NEWS_SHOWN = 5


@dataclass(frozen=True)
class Card:
    """A benchmark on the home page. best : None while nothing is ranked, or nobody may know."""

    benchmark: Benchmark
    picture: Picture | None
    best: Row | None


@anonymous_cache
def home(request: HttpRequest) -> HttpResponse:
    """The home page."""
    # Organisers see the best entry of what is hidden, so its entries are counted for them too.
    seen = LISTED if may_read_all(request.user) else shown_to_all()
    listed = Submission.objects.filter(seen, phase__benchmark=OuterRef("pk")).order_by()
    by_benchmark = listed.values("phase__benchmark")
    benchmarks = Benchmark.objects.annotate(
        entries=Coalesce(Subquery(by_benchmark.annotate(n=Count("pk")).values("n")), 0),
        teams=Coalesce(Subquery(by_benchmark.annotate(n=Count("team", distinct=True)).values("n")), 0),
        has_data=Exists(TrainingFile.objects.filter(benchmark=OuterRef("pk"))),
        last_entry_at=Subquery(by_benchmark.annotate(last=Max("created_at")).values("last")),
    ).prefetch_related("volumes", OF_OPENING, "pictures")
    if not request.user.is_staff:
        benchmarks = benchmarks.filter(is_visible=True)
    cards = [_card(request, benchmark) for benchmark in benchmarks]
    news = News.objects.filter(published_at__lte=timezone.now())[:NEWS_SHOWN]
    return render(request, "home.html", {"cards": cards, "news": news})


def _card(request: HttpRequest, benchmark: Benchmark) -> Card:
    phase = benchmark.default_phase
    best = best_of(benchmark, phase) if phase and may_see_ranking(request.user, phase) else None
    return Card(benchmark, next(iter(benchmark.pictures.all()), None), best)


def metric(request: HttpRequest) -> HttpResponse:
    """The metric to try out: a picture, which a script draws again when the reader moves an error."""
    example = MetricExample()
    context = {"example": example, "picture": own_markup(metric_svg(example)), **MetricExample.constants()}
    return render(request, "metric.html", context)


@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    """Where browsers look for the icon of a page that names none, such as the viewer's."""
    return redirect(static("icon.svg"))


def health(request: HttpRequest) -> JsonResponse:
    """200 when database and Redis answer, 503 otherwise; for load balancers and `docker compose`."""
    answers = {"database": True, "redis": True}
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        answers["database"] = False
    try:
        redis_client().ping()
    except redis.RedisError:
        answers["redis"] = False
    return JsonResponse(answers, status=200 if all(answers.values()) else 503)
