"""`manage.py export_benchmark`."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from evalserver.benchmarks.models import Benchmark
from evalserver.submissions.results.archive import export_benchmark


class Command(BaseCommand):
    """`manage.py export_benchmark`."""

    help = "Write a benchmark's records (no ground truth, no uploads) as JSON and CSV into a zip archive."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="short name of the benchmark")
        parser.add_argument("-o", "--output", required=True, type=Path, help="archive to write (.zip)")

    def handle(self, *args: Any, slug: str, output: Path, **options: Any) -> None:
        benchmark = Benchmark.objects.filter(slug=slug).first()
        if benchmark is None:
            known = ", ".join(Benchmark.objects.values_list("slug", flat=True))
            raise CommandError(f"no benchmark {slug!r}; there are: {known or 'none'}")
        counts = export_benchmark(benchmark, output)
        self.stdout.write(f"{output}: {counts['submissions']} submissions, {counts['evaluations']} evaluations")
