"""Pages that belong to no app: the home page, the health probe, and the forms of Django's error pages."""

import redis
from django.db import DatabaseError, connection
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from evalserver.benchmarks.models import Benchmark
from evalserver.queue import redis_client


def home(request: HttpRequest) -> HttpResponse:
    listed = Q(
        phases__submissions__published_at__isnull=False,
        phases__submissions__withdrawn_at__isnull=True,
        phases__submissions__hidden_at__isnull=True,
        phases__submissions__status="scored",
    )
    benchmarks = Benchmark.objects.annotate(
        entries=Count("phases__submissions", filter=listed, distinct=True)
    ).prefetch_related("volumes__ground_truths")
    if not request.user.is_staff:
        benchmarks = benchmarks.filter(is_visible=True)
    return render(request, "home.html", {"benchmarks": benchmarks})


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
