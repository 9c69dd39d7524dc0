"""`manage.py rescore_benchmark`."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from evalserver.benchmarks.models import Benchmark
from evalserver.submissions.evaluation.rescore import rescore_benchmark


class Command(BaseCommand):
    """`manage.py rescore_benchmark`."""

    help = (
        "Score every scored submission of a benchmark with the current metric, ground truth and tolerance. "
        "Earlier evaluations are kept. Files are read again only if the ground truth changed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("benchmark", help="short name of the benchmark")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            benchmark = Benchmark.objects.get(slug=options["benchmark"])
        except Benchmark.DoesNotExist:
            known = ", ".join(Benchmark.objects.values_list("slug", flat=True)) or "none"
            raise CommandError(f"There is no benchmark {options['benchmark']!r}; there are: {known}") from None
        outcome = rescore_benchmark(benchmark)
        for word, count in sorted(outcome.items()):
            self.stdout.write(f"{count} {word}")
        if not outcome:
            self.stdout.write("no scored submission")
