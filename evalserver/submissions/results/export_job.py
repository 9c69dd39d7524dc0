"""The job that writes the archive of a benchmark for its organisers."""

from tempfile import TemporaryFile

from django.conf import settings
from django.core.files import File
from django.db import transaction

from evalserver.accounts.models import User
from evalserver.benchmarks.models import Benchmark
from evalserver.jobs import WAITING, Lease, run_job, send
from evalserver.submissions.models import Export
from evalserver.submissions.results.archive import export_benchmark


def newest_export(benchmark: Benchmark) -> Export | None:
    """The last export that was asked for, in whatever state."""
    return Export.objects.filter(benchmark=benchmark).first()


@transaction.atomic
def request_export(benchmark: Benchmark, by: User) -> Export:
    """Queue an archive; the one that waits already where there is one."""
    waiting = Export.objects.filter(benchmark=benchmark, status=WAITING).first()
    if waiting:
        return waiting
    export = Export.objects.create(benchmark=benchmark, created_by=by, stage="Waiting for a worker")
    send(export)
    return export


def make_export(export_id: int) -> None:
    """Write the archive, unless another worker does or did."""
    run_job(Export, export_id, _make)


def _make(lease: Lease) -> None:
    export = Export.objects.select_related("benchmark").get(pk=lease.pk)
    lease.progress("Writing the archive", 10)
    with TemporaryFile(dir=settings.SCRATCH_DIR) as scratch:
        export_benchmark(export.benchmark, scratch)
        scratch.seek(0)
        lease.progress("Storing the archive", 90)
        export.file.storage.delete(f"exports/{export.pk}.zip")
        export.file.save("export.zip", File(scratch), save=False)
    lease.finish(Export.DONE_STATUS, percent=100, complaints=[], file=export.file.name)
    for earlier in Export.objects.filter(benchmark=export.benchmark, pk__lt=export.pk):
        if not earlier.is_active:
            earlier.file.delete(save=False)
            earlier.delete()
