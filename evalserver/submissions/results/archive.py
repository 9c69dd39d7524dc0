"""Everything that a benchmark holds except hidden ground truth and uploads, as one archive of plain files.

For organisers alone: scores on hidden ground truth are exact in it.
"""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from django.utils import timezone

from evalserver.benchmarks.models import Benchmark
from evalserver.csv_text import csv_text
from evalserver.submissions.marks import MARK_FIELDS
from evalserver.submissions.models import Evaluation, Submission

COLUMNS = [
    *["code", "team", "method", "status", "phase", "volume", "erl_nm", "gt_erl_nm", "normalized_erl"],
    *[
        "tolerance_nodes",
        "metric_version",
        "scoring_variant",
        "ground_truth_checksum",
        "created_at",
        "published_at",
        "evaluated_at",
    ],
]

ARCHIVED = ("slug", "name", "summary", "description", "rules", "citation", "scoring_variant")


def export_benchmark(benchmark: Benchmark, target: Path | IO[bytes]) -> dict[str, int]:
    """Write benchmark.json, submissions.json and evaluations.csv into a zip; how many rows of each.

    Teams are named, people are not. Skeletons, node labels and uploaded files stay where they are; their
    checksums are in the records.
    """
    submissions = [_submission(row) for row in _submissions(benchmark)]
    rows = list(_rows(benchmark))
    table = csv_text(COLUMNS, ([row[name] for name in COLUMNS] for row in rows))
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("benchmark.json", _json(_benchmark(benchmark)))
        archive.writestr("submissions.json", _json(submissions))
        archive.writestr("evaluations.csv", table)
    return {"submissions": len(submissions), "evaluations": len(rows)}


def _json(data: Any) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False, default=str)


def _benchmark(benchmark: Benchmark) -> dict[str, Any]:
    return {
        "exported_at": timezone.now().isoformat(),
        **{name: getattr(benchmark, name) for name in ARCHIVED},
        "volumes": [
            {
                "slug": volume.slug,
                "name": volume.name,
                "shape_zyx": volume.shape_zyx,
                "voxel_size_nm_zyx": volume.voxel_size_nm_zyx,
                "tolerance_nodes": volume.tolerance_nodes,
                "min_length_um": volume.min_length_um,
                "ground_truths": list(
                    volume.ground_truths.values("version", "checksum", "is_current", "skeletons", "nodes", "gt_erl_nm")
                ),
            }
            for volume in benchmark.volumes.all()
        ],
        "phases": list(
            benchmark.phases.values(
                *["slug", "name", "kind", "opens_at", "closes_at", "submissions_per_day", "submissions_total"],
                *["ranking_hidden_until", "frozen_at"],
            )
        ),
    }


def _submissions(benchmark: Benchmark) -> Iterator[Submission]:
    rows = Submission.objects.filter(phase__benchmark=benchmark).select_related("team", "phase", "supersedes", "run_of")
    yield from rows.prefetch_related("files__volume", "scores").order_by("pk").iterator(chunk_size=500)


def _submission(row: Submission) -> dict[str, Any]:
    names = ["code", "method_name", "description", "paper_url", "code_url", "model_url", "training_data", "compute"]
    names += [*MARK_FIELDS, "is_reference", "reproduce_command", "provenance", "status", "complaints", "incident_id"]
    times = ["created_at", "finished_at", "published_at", "withdrawn_at", "hidden_at"]
    return {
        **{name: getattr(row, name) for name in [*names, *times]},
        "team": row.team.name,
        "phase": row.phase.slug,
        "supersedes": row.supersedes.code if row.supersedes else None,
        "run_of": row.run_of.code if row.run_of else None,
        "files": [
            {"volume": f.volume.slug, "name": f.original_name, "size_bytes": f.size_bytes, "sha256": f.sha256}
            for f in row.files.all()
        ],
        "scores": [
            {"ruler": s.ruler, "metric_version": s.metric_version, "mean_erl_nm": s.mean_erl_nm, "at": s.created_at}
            for s in row.scores.all()
        ],
    }


def _rows(benchmark: Benchmark) -> Iterator[dict[str, Any]]:
    evaluations = Evaluation.objects.filter(volume_file__submission__phase__benchmark=benchmark).select_related(
        "volume_file__submission__team", "volume_file__submission__phase", "volume_file__volume"
    )
    for row in evaluations.order_by("pk").iterator(chunk_size=500):
        submission = row.volume_file.submission
        yield {
            "code": submission.code,
            "team": submission.team.name,
            "method": submission.method_name,
            "status": submission.status,
            "phase": submission.phase.slug,
            "volume": row.volume_file.volume.slug,
            **{name: getattr(row, name) for name in COLUMNS[6:13]},
            "created_at": submission.created_at.isoformat(),
            "published_at": submission.published_at.isoformat() if submission.published_at else "",
            "evaluated_at": row.created_at.isoformat(),
        }
