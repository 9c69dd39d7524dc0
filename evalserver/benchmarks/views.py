from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from evalserver.benchmarks.models import Benchmark, GroundTruth, Phase


def visible_benchmark_or_404(request: HttpRequest, slug: str) -> Benchmark:
    benchmark = get_object_or_404(Benchmark.objects.prefetch_related("phases"), slug=slug)
    if not benchmark.is_visible and not request.user.is_staff:
        raise Http404
    return benchmark


def phase_or_404(benchmark: Benchmark, slug: str | None) -> Phase | None:
    """The phase of that name; the default one when none is named."""
    if not slug:
        return benchmark.default_phase
    return get_object_or_404(benchmark.phases, slug=slug)


def detail(request: HttpRequest, slug: str) -> HttpResponse:
    benchmark = visible_benchmark_or_404(request, slug)
    volumes = list(benchmark.volumes.all())
    current = {
        ground_truth.volume_id: ground_truth
        for ground_truth in GroundTruth.objects.filter(volume__in=volumes, is_current=True)
    }
    context = {
        "benchmark": benchmark,
        "volumes": [(volume, current.get(volume.pk)) for volume in volumes],
        "ready": bool(volumes) and len(current) == len(volumes),
    }
    return render(request, "benchmarks/detail.html", context)
