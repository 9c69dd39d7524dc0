"""What is in the database at the end, beside what a quiet run made of the same input."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.chaos.traffic import Intended

# Of a report: what differs between two runs over the same file.
TIMES = {"seconds", "timings", "created", "peak_mb", "elapsed_s", "versions"}


def active() -> list[tuple[str, Any]]:
    """Jobs that wait or run: name and status."""
    from evalserver.jobs import RUNNING, WAITING
    from evalserver.jobs.registry import KINDS

    return [
        (job.task_id, job.status)
        for model in KINDS
        for job in model._default_manager.filter(status__in=(WAITING, RUNNING))
    ]


def verdict(intended: Intended, quiet: Intended) -> list[str]:
    """What is lost, doubled, failed or different; empty where all is well."""
    from evalserver.submissions.models import Submission

    found: list[str] = []
    expected = {kind: _result(name) for name, kind in quiet.submissions.items()}
    for name, kind in intended.submissions.items():
        rows = list(Submission.objects.filter(method_name=name))
        if len(rows) != 1:
            found.append(f"{name}: {'lost' if not rows else 'doubled'}: {len(rows)} submissions")
            continue
        if rows[0].status != Submission.DONE_STATUS:
            found.append(f"{name}: {rows[0].status} {rows[0].incident_id} {rows[0].complaints}")
            continue
        result = _result(name)
        found += [f"{name}: {part} differs" for part in expected[kind] if result[part] != expected[kind][part]]
    known = {*intended.submissions, *quiet.submissions}
    others = Submission.objects.exclude(method_name__in=known).values_list("method_name", flat=True)
    found += [f"{name}: nobody submitted it" for name in others]
    return found + _comparisons(intended, quiet) + _registrations(intended) + _uploads()


def _result(name: str) -> dict[str, Any]:
    from evalserver.submissions.models import Submission

    row = Submission.objects.get(method_name=name)
    file = row.files.get()
    diagnosis = getattr(file, "diagnosis", None)
    return {
        "scores": list(row.scores.values_list("mean_erl_nm", "mean_normalized_erl", "erl_low_nm", "erl_high_nm")),
        "evaluations": [(e.erl_nm, _plain(e.report)) for e in file.evaluations.all()],
        "node labels": file.node_labels.count(),
        "slots": int(hasattr(row, "quota_slot")),
        "published": row.published_at is not None,
        "diagnosis": (diagnosis and diagnosis.status, diagnosis and _plain(diagnosis.report)),
    }


def _plain(report: Any) -> Any:
    """Without times and without the name under which the file was stored."""
    if isinstance(report, dict):
        return {key: _plain(value) for key, value in report.items() if key not in TIMES}
    if isinstance(report, list):
        return [_plain(value) for value in report]
    return report


def _comparisons(intended: Intended, quiet: Intended) -> list[str]:
    from evalserver.submissions.models import Comparison

    rows = {(row.a.method_name, row.b.method_name): row for row in Comparison.objects.select_related("a", "b")}
    kinds = {**intended.submissions, **quiet.submissions}
    expected = {(kinds[a], kinds[b]): rows[a, b] for a, b in quiet.comparisons}
    found = []
    for pair in intended.comparisons:
        row, right = rows.get(pair), expected[kinds[pair[0]], kinds[pair[1]]]
        if row is None:
            found.append(f"{pair}: the comparison is lost")
        elif row.status != "ready" or json.dumps(row.result) != json.dumps(right.result):
            found.append(f"{pair}: {row.status} {row.incident_id}, or another result")
    return found


def _registrations(intended: Intended) -> list[str]:
    from evalserver.benchmarks.models import GroundTruth

    found = []
    checksums: dict[str, set[str]] = {}
    for name in intended.registrations:
        rows = list(GroundTruth.objects.filter(source_name=name))
        if len(rows) != 1:
            found.append(f"{name}: {len(rows)} versions")
            continue
        if rows[0].status != "ready" or not hasattr(rows[0], "preview"):
            found.append(f"{name}: {rows[0].status} {rows[0].incident_id} {rows[0].complaints}")
        checksums.setdefault(rows[0].source_kind, set()).add(rows[0].checksum)
    found += [f"{kind}: {len(some)} different results" for kind, some in checksums.items() if len(some) != 1]
    current = Counter(GroundTruth.objects.filter(is_current=True).values_list("volume__slug", flat=True))
    return found + [f"{volume}: {n} current versions" for volume, n in current.items() if n != 1]


def _uploads() -> list[str]:
    from evalserver.submissions.models import Submission
    from evalserver.uploads.models import Upload

    used = Counter(Upload.objects.filter(status=Upload.USED).values_list("used_by", flat=True))
    codes = set(Submission.objects.values_list("code", flat=True))
    found = [f"{code}: {n} uploads say that it used them" for code, n in used.items() if n != 1 or code not in codes]
    bad = Upload.objects.filter(status__in=("rejected", "failed"))
    return found + [f"upload {row.code} is {row.status}: {row.complaints}" for row in bad]


def left_over(var: Path) -> dict[str, int]:
    """Files that no row names; these lose nothing, they only take space."""
    from evalserver.submissions.models import NodeLabels, VolumeFile

    stored = {*NodeLabels.objects.values_list("file", flat=True), *VolumeFile.objects.values_list("file", flat=True)}
    private = var / "private"
    there = {path.relative_to(private).as_posix() for path in (private / "submissions").rglob("*") if path.is_file()}
    views = {name for name in there if "/view" in name or "-skeletons" in name}
    return {
        "files of submissions": len(there - stored - views),
        "entries of the scratch folder": len(list((var / "scratch").glob("*"))),
        "files of uploads": len(list((private / "resumable").glob("*"))),
    }
