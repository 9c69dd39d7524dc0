"""`manage.py make_demo`."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from evalserver.benchmarks.models import Benchmark
from evalserver.embedded import demo


class Command(BaseCommand):
    """`manage.py make_demo`."""

    help = "Make the demo benchmark and its entries. It needs a running worker. A second run does only what is missing."

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("load_benchmark", "demo", "axonem", "snemi3d", verbosity=0, stdout=self.stderr)
        try:
            submissions = demo.make_demo(Benchmark.objects.get(slug="demo"))
        except TimeoutError as error:
            raise CommandError(f"{error}. Is a worker running? x and its log.") from None
        for submission in submissions:
            score = submission.scores.order_by("-created_at", "-pk").first()
            result = (
                f"{score.mean_erl_nm / 1000:6.2f} um {(score.mean_normalized_erl or 0.0) * 100:6.1f}%"
                if score and score.mean_erl_nm is not None
                else "; ".join(c["code"] for c in submission.complaints) or f"incident {submission.incident_id}"
            )
            self.stdout.write(f"{submission.method_name:20} {submission.status:9} {result}")
