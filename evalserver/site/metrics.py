"""/metrics for Prometheus: requests, jobs, queues, workers' reconciler, disk."""

import secrets
import shutil
from collections.abc import Iterator

import redis
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from evalserver.front import BOUNDS_S, counted
from evalserver.jobs import health, redis_client

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics(request: HttpRequest) -> HttpResponse:
    """For who has METRICS_TOKEN. Where none is set for nobody: a proxy on this machine looks like a program on it."""
    sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not settings.METRICS_TOKEN or not secrets.compare_digest(sent.encode(), settings.METRICS_TOKEN.encode()):
        raise Http404
    registry = CollectorRegistry()
    registry.register(_Server())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE)


class _Server(Collector):
    def collect(self) -> Iterator[Metric]:
        yield from _jobs()
        free = shutil.disk_usage(settings.MEDIA_ROOT).free
        yield GaugeMetricFamily("axonem_disk_free_bytes", "Free space where uploads are stored", free)
        try:
            client = redis_client()
            found = list(_of_redis(client))
        except redis.RedisError:
            found = [GaugeMetricFamily("axonem_redis_up", "Whether Redis answers", 0)]
        yield from found


def _jobs() -> Iterator[Metric]:
    rows = GaugeMetricFamily("axonem_jobs", "Jobs by kind and status", labels=["kind", "status"])
    oldest = GaugeMetricFamily("axonem_oldest_waiting_seconds", "Age of the job that waits longest", labels=["kind"])
    for kind in health.figures():
        for status, count in kind.by_status.items():
            rows.add_metric([kind.name, status], count)
        oldest.add_metric([kind.name], kind.oldest_waiting_s)
    yield rows
    yield oldest


def _of_redis(client: "redis.Redis") -> Iterator[Metric]:
    queues = GaugeMetricFamily("axonem_queue_tasks", "Tasks in a queue", labels=["queue"])
    for name, count in health.queue_lengths(client).items():
        queues.add_metric([name], count)
    swept = health.last_sweep_of(client)
    counts = counted(client)
    requests = CounterMetricFamily("axonem_requests", "Requests that were answered", labels=["method", "status"])
    for name, amount in sorted(counts.items()):
        if name.startswith("requests "):
            requests.add_metric(name.split()[1:], amount)
    yield GaugeMetricFamily("axonem_redis_up", "Whether Redis answers", 1)
    yield queues
    age = (timezone.now() - swept).total_seconds() if swept else float("nan")
    yield GaugeMetricFamily("axonem_reconciler_age_seconds", "Time since the reconciler last ran", age)
    yield requests
    yield _durations(counts)


def _durations(counts: dict[str, float]) -> Metric:
    total, buckets = 0.0, []
    for bound in (*map(str, BOUNDS_S), "+Inf"):
        total += counts.get(f"le {bound}", 0.0)
        buckets.append((bound, total))
    family = HistogramMetricFamily("axonem_request_seconds", "Time until an answer was sent whole")
    family.add_metric([], buckets, sum_value=counts.get("seconds", 0.0))
    return family
