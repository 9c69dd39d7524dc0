"""Pages that belong to no app: the home page, the health probe, and the forms of Django's error pages."""

import redis
from django.db import DatabaseError, connection
from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from axonem_eval.report import MetricExample, metric_svg
from evalserver.benchmarks.models import Benchmark
from evalserver.benchmarks.selectors import OF_OPENING
from evalserver.jobs import redis_client
from evalserver.site import own_markup
from evalserver.submissions.models import Submission, shown_to_all


def home(request: HttpRequest) -> HttpResponse:
    entries = Submission.objects.filter(shown_to_all(), phase__benchmark=OuterRef("pk")).order_by()
    counted = entries.values("phase__benchmark").annotate(count=Count("pk")).values("count")
    benchmarks = Benchmark.objects.annotate(entries=Coalesce(Subquery(counted), 0)).prefetch_related(
        "volumes", OF_OPENING
    )
    if not request.user.is_staff:
        benchmarks = benchmarks.filter(is_visible=True)
    return render(request, "home.html", {"benchmarks": benchmarks})


def metric(request: HttpRequest) -> HttpResponse:
    """The metric to try out: a picture, which a script draws again when the reader moves an error."""
    example = MetricExample()
    context = {"example": example, "picture": own_markup(metric_svg(example)), **MetricExample.constants()}
    return render(request, "metric.html", context)


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
