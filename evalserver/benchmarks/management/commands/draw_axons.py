"""`manage.py draw_axons`."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from axonem_eval.skeletons import SkeletonGraph
from evalserver.benchmarks.axons import draw_axons
from evalserver.benchmarks.models import GroundTruth
from evalserver.benchmarks.preview import make_preview, store_preview
from evalserver.uploads import local_path


class Command(BaseCommand):
    """`manage.py draw_axons`."""

    help = (
        "Draw the axons of a benchmark's current ground truth again, with figures and preview. Only ground truth that "
        "an earlier release registered needs this."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("benchmark", help="short name of the benchmark")

    def handle(self, *args: Any, **options: Any) -> None:
        rows = GroundTruth.objects.filter(volume__benchmark__slug=options["benchmark"], is_current=True)
        rows = rows.exclude(bundle="")  # dense labels alone have no axons
        for row in rows.select_related("volume"):
            with local_path(row.bundle) as path:
                graph = SkeletonGraph.load(path)
            axons = draw_axons(graph, row.bundle.name or "")
            store_preview(row, {**make_preview(graph), "axons": axons})
            self.stdout.write(f"{row}: {len(axons)} axons drawn")
        if not rows:
            self.stdout.write(f"{options['benchmark']}: no current ground truth, nothing to draw")
