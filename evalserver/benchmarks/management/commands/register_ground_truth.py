"""`manage.py register_ground_truth`."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from django.core.files import File
from django.core.management.base import BaseCommand, CommandError, CommandParser

from axonem_eval.errors import InputError
from evalserver.benchmarks import services
from evalserver.benchmarks.models import GroundTruth, Volume


class Command(BaseCommand):
    """`manage.py register_ground_truth`."""

    help = (
        "Store the ground truth of a volume as its next version. A worker then registers it, as if it was added on the "
        "organisers' page."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("benchmark", help="short name of the benchmark")
        parser.add_argument("volume", help="short name of the volume")
        parser.add_argument("file", help="labels, skeletons or a bundle")
        parser.add_argument("--kind", choices=GroundTruth.Source.values, default="labels", help="what the file holds")
        parser.add_argument("--dataset", default="", help="dataset of the labels, if the file has several")
        parser.add_argument(
            "--unit", choices=GroundTruth.Unit.values, default="nm", help="unit of the coordinates in the file"
        )
        parser.add_argument(
            "--axes", choices=GroundTruth.AxisOrder.values, default="zyx", help="order of the axes in the file"
        )
        parser.add_argument("--no-merge-mask", help="label file of what belongs to no scored axon")
        parser.add_argument("--dense-labels", help="label file that is scored voxel by voxel, beside skeletons")
        parser.add_argument("--dense-dataset", default="", help="dataset of the dense labels, if the file has several")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            volume = Volume.objects.get(benchmark__slug=options["benchmark"], slug=options["volume"])
        except Volume.DoesNotExist:
            known = ", ".join(f"{v.benchmark.slug} {v.slug}" for v in Volume.objects.select_related("benchmark"))
            raise CommandError(
                f"there is no volume {options['volume']} of {options['benchmark']}; there are: {known or 'none'}"
            ) from None
        try:
            with (
                _opened(options["file"]) as file,
                _opened(options["no_merge_mask"]) as mask,
                _opened(options["dense_labels"]) as dense,
            ):
                row = services.register_ground_truth(
                    volume=volume,
                    source_file=File(file, name=Path(options["file"]).name),
                    source_kind=options["kind"],
                    dataset=options["dataset"],
                    unit=options["unit"],
                    axes=options["axes"],
                    no_merge_mask=File(mask, name=Path(options["no_merge_mask"]).name) if mask else None,
                    dense_labels=File(dense, name=Path(options["dense_labels"]).name) if dense else None,
                    dense_dataset=options["dense_dataset"],
                )
        except InputError as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}") from None
        self.stdout.write(f"{row}: stored; a worker registers it now. /organise/ shows its progress")


def _opened(path: str | None) -> AbstractContextManager[Any]:
    return open(path, "rb") if path else nullcontext()
