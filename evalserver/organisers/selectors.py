"""What the organisers' pages read."""

from dataclasses import dataclass
from typing import Any

from django.contrib.admin.models import LogEntry
from django.db.models import Count, F, Max, Prefetch, Q, QuerySet
from django.urls import reverse

from evalserver.accounts.models import User
from evalserver.benchmarks.models import Benchmark, GroundTruth, Participation, TrainingFile, Volume
from evalserver.benchmarks.roles import READ, benchmarks_with
from evalserver.benchmarks.selectors import OF_OPENING
from evalserver.jobs import FAILED, REJECTED, RUNNING, WAITING
from evalserver.jobs.health import job_counts, restart_alarms
from evalserver.submissions.models import Score, Submission


@dataclass(frozen=True)
class Task:
    """Something that waits for an organiser. words : what it is; href : the page where it is done."""

    words: str
    href: str


def tasks(user: User) -> list[Task]:
    """What waits for the organisers, as far as this one may do it; the most pressing first."""
    found = []
    mine = benchmarks_with(user, "benchmarks.change_participation")
    if mine.exists():
        asked = Participation.objects.filter(status=Participation.Status.REQUESTED, benchmark__in=mine).count()
        found.append((asked, f"{_many(asked, 'request')} to take part", reverse("organise_requests")))
    mine = benchmarks_with(user, "submissions.change_submission")
    if mine.exists():
        failed = Submission.objects.filter(status=FAILED, phase__benchmark__in=mine).count()
        words = f"{_many(failed, 'submission')} failed on our side: evaluate again"
        found.append((failed, words, reverse("organise_submissions") + "?status=failed"))
    mine = benchmarks_with(user, "benchmarks.change_benchmark")
    if mine.exists():
        gone = TrainingFile.objects.filter(gone_at__isnull=False, benchmark__in=mine).order_by("gone_at")
        found += [
            (1, f"The data file “{row.title}” is gone from the storage: upload it again", address_of_data(row))
            for row in gone
        ]
    mine = benchmarks_with(user, "benchmarks.change_groundtruth")
    if mine.exists():
        address = reverse("organise_ground_truths")
        newest = newest_ground_truths().filter(volume__benchmark__in=mine)
        stopped = newest.filter(status__in=(FAILED, REJECTED)).count()
        found.append((stopped, f"{_many(stopped, 'version')} of ground truth could not be registered", address))
        newer = newest.filter(status=GroundTruth.DONE_STATUS, is_current=False).count()
        found.append(
            (newer, f"{_many(newer, 'new version')} of ground truth: look at it, then make it current", address)
        )
        missing = Volume.objects.filter(benchmark__in=mine).exclude(ground_truths__is_current=True).count()
        found.append((missing, f"{_many(missing, 'volume')} without ground truth", reverse("organise_benchmarks")))
    rest = _of_the_whole_server() if user.is_staff else []
    return rest + [Task(words, href) for count, words, href in found if count]


def _of_the_whole_server() -> list[Task]:
    """Programs that ended, and jobs that failed and are neither submissions nor ground truth."""
    other = job_counts()[FAILED] - sum(
        model.objects.filter(status=FAILED).count() for model in (Submission, GroundTruth)
    )
    found = restart_alarms() + ([f"{_many(other, 'other job')} failed: see the queue"] if other else [])
    return [Task(words, reverse("organise_queue")) for words in found]


def address_of_data(row: TrainingFile) -> str:
    """Where an organiser changes a data file."""
    return reverse("admin:benchmarks_benchmark_change", args=[row.benchmark_id])


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def newest_ground_truths() -> QuerySet[GroundTruth]:
    """The last version of each volume."""
    last = GroundTruth.objects.annotate(last=Max("volume__ground_truths__version"))
    return last.filter(version=F("last")).order_by("volume__benchmark", "volume")


def benchmarks(rows: QuerySet[Benchmark]) -> QuerySet[Benchmark]:
    """These benchmarks, with what the list says of each."""
    counted = rows.annotate(
        entries=Count("phases__submissions", distinct=True),
        requests=Count(
            "participations", filter=Q(participations__status=Participation.Status.REQUESTED), distinct=True
        ),
    )
    return counted.prefetch_related("volumes", OF_OPENING)


def volumes_of(benchmark: Benchmark) -> list[tuple[Volume, GroundTruth | None, GroundTruth | None]]:
    """Each volume with its current ground truth, and its newest version where that is another one."""
    rows = []
    for volume in benchmark.volumes.prefetch_related("ground_truths", "phases"):
        versions = sorted(volume.ground_truths.all(), key=lambda row: row.version)
        current = next((row for row in versions if row.is_current), None)
        newest = versions[-1] if versions and versions[-1] != current else None
        rows.append((volume, current, newest))
    return rows


STATUSES = (WAITING, RUNNING, Submission.DONE_STATUS, REJECTED, FAILED)


def submissions(
    benchmarks: QuerySet[Benchmark], *, text: str = "", status: str = "", benchmark: str = ""
) -> QuerySet[Submission]:
    """Submissions to these benchmarks, newest first.

    text : part of a method, team, address, code, incident or checksum.
    """
    rows = Submission.objects.filter(phase__benchmark__in=benchmarks)
    rows = rows.select_related("team", "phase__benchmark", "created_by")
    rows = rows.prefetch_related(Prefetch("scores", Score.objects.order_by("-created_at", "-pk")))
    if status in STATUSES:
        rows = rows.filter(status=status)
    if benchmark := benchmark.replace("\x00", ""):
        rows = rows.filter(phase__benchmark__slug=benchmark)
    if text := text.replace("\x00", "").strip()[:100]:
        places = ("code", "method_name", "team__name", "created_by__email", "incident_id", "files__sha256")
        wanted = Q()
        for place in places:
            wanted |= Q(**{f"{place}__icontains": text})
        rows = rows.filter(wanted).distinct()
    return rows


def audit_log(text: str = "") -> QuerySet[LogEntry]:
    """What organisers have changed, newest first. text : part of what or who."""
    rows = LogEntry.objects.select_related("user", "content_type").order_by("-action_time", "-pk")
    if text := text.replace("\x00", "").strip()[:100]:
        rows = rows.filter(
            Q(object_repr__icontains=text) | Q(change_message__icontains=text) | Q(user__email__icontains=text)
        )
    return rows


def overview(user: User) -> dict[str, Any]:
    """The dashboard."""
    return {
        "tasks": tasks(user),
        "counts": job_counts() if user.is_staff else None,
        "benchmarks": benchmarks(Benchmark.objects.all() if user.is_staff else benchmarks_with(user, *READ)),
        "latest": submissions(benchmarks_with(user, "submissions.change_submission"))[:8],
    }
