"""`manage.py register_ground_truth`: a volume's next version of ground truth, from a file on the server."""

from argparse import ArgumentParser
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.core.management.base import BaseCommand, CommandError

from axonem_eval.errors import InputError
from evalserver.benchmarks.models import GroundTruth, Volume
from evalserver.benchmarks.services import register_ground_truth


class Command(BaseCommand):
    help = "Store a file as a volume's next version of ground truth; a worker registers it, as from the pages."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("benchmark", help="short name of the benchmark")
        parser.add_argument("volume", help="short name of the volume")
        parser.add_argument("file", type=Path, help="labels, skeletons or bundle")
        parser.add_argument("--kind", choices=GroundTruth.Source.values, default=GroundTruth.Source.LABELS)
        parser.add_argument("--dataset", default="", help="dataset inside the file, where it holds several")
        parser.add_argument("--no-merge-mask", type=Path, help="labels of what belongs to no scored axon")
        parser.add_argument("--dense-labels", type=Path, help="labels that are scored voxel by voxel, beside skeletons")
        parser.add_argument("--dense-dataset", default="", help="dataset inside that file")

    def handle(self, *args: Any, **options: Any) -> None:
        volume = Volume.objects.filter(benchmark__slug=options["benchmark"], slug=options["volume"]).first()
        if volume is None:
            known = ", ".join(f"{b} {v}" for b, v in Volume.objects.values_list("benchmark__slug", "slug"))
            raise CommandError(f"there is no volume {options['benchmark']} {options['volume']}; there are: {known}")
        with ExitStack() as files:
            beside = (options["no_merge_mask"], options["dense_labels"])
            mask, dense = (_opened(files, path) if path else None for path in beside)
            try:
                stored = register_ground_truth(
                    volume=volume,
                    source_file=_opened(files, options["file"]),
                    source_kind=options["kind"],
                    no_merge_mask=mask,
                    dense_labels=dense,
                    dataset=options["dataset"],
                    dense_dataset=options["dense_dataset"],
                )
            except InputError as error:
                raise CommandError(str(error)) from None
        self.stdout.write(f"{stored}: stored. A worker registers it; see /organise/ground-truth/{stored.pk}/")


def _opened(files: ExitStack, path: Path) -> "UploadedFile[Any]":
    if not path.is_file():
        raise CommandError(f"{path}: no such file")
    return UploadedFile(files.enter_context(path.open("rb")), name=path.name, size=path.stat().st_size)
