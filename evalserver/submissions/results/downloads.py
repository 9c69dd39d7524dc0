"""Results as files."""

from typing import Any

from axonem_eval.scoring import axon_table, locate_errors, restrict, run_table, variant_named
from evalserver.csv_text import csv_text
from evalserver.submissions.evaluation import scoring
from evalserver.submissions.models import Diagnosis, Evaluation, NodeLabels, Submission
from evalserver.submissions.results.disclosure import rounded_to_zero_from
from evalserver.submissions.results.selectors import Result

# Made while the reader waits; larger volumes take axonem-eval on the reader's own machine.
MAX_NODES = 2_000_000
COLUMNS = (
    *("volume", "erl_nm", "gt_erl_nm", "normalized_erl", "erl_low_nm", "erl_high_nm"),
    *("correct_nm", "omitted_nm", "split_nm", "merged_nm", "total_nm"),
    *("lost_to_omissions_nm", "lost_to_splits_nm", "lost_to_mergers_nm"),
    *("gaps", "splits", "mergers", "gaps_per_mm", "splits_per_mm", "mergers_per_mm"),
    *(
        "tolerance_nodes",
        "tolerance_um",
        "scoring_variant",
        "skeletons",
        "metric_version",
        "ground_truth_checksum",
        "code_version",
    ),
    *("arand", "voi_split", "voi_merge", "cremi_score"),
    "withheld",
)

HIDDEN = "The ground truth of this volume is hidden, so figures of single axons are not shown."

NAMED = ("volume", "ground_truth_checksum", "code_version", "scoring_variant", "withheld")


class NotOffered(Exception):
    """The table is not available. The message says why.   status : of the answer to a request for it."""

    def __init__(self, message: str, status: int = 404) -> None:
        super().__init__(message)
        self.status = status


def result_json(submission: Submission, result: Result) -> dict[str, Any]:
    """Everything that the page shows of a result; lengths in nm, shares 0 to 1."""
    mean = result.headline
    return {
        "submission": submission.code,
        "method": submission.method_name,
        "team": submission.team.name,
        "benchmark": submission.phase.benchmark.slug,
        "phase": submission.phase.slug,
        "submitted_at": submission.created_at.isoformat(timespec="seconds"),
        "is_current": result.is_current,
        "headline": mean.ranked,
        "mean_erl_nm": mean.mean_erl_nm,
        "mean_erl_low_nm": mean.erl_low_nm,
        "mean_erl_high_nm": mean.erl_high_nm,
        "mean_normalized_erl": mean.mean_normalized_erl,
        "volumes": [
            {
                "volume": volume.volume.slug,
                "ground_truth_public": volume.is_public,
                "ground_truth_checksum": volume.evaluation.ground_truth_checksum,
                "code_version": volume.evaluation.code_version,
                "scoring_variant": volume.evaluation.scoring_variant,
                "evaluated_at": volume.evaluation.created_at.isoformat(timespec="seconds"),
                "withheld": volume.score.withheld,
                "report": volume.report or None,
            }
            for volume in result.volumes
        ],
    }


def result_csv(content: dict[str, Any]) -> str:
    """The result as CSV, one line per volume; empty cells where figures are withheld."""
    rows = []
    for volume in content["volumes"]:
        report = volume["report"] or {}
        lost, counts = report.get("erl_lost_nm", {}), report.get("error_counts", {})
        rows.append(
            {
                **report,
                **report.get("erl_interval", {}),
                **{f"{name}_nm": value for name, value in report.get("edges_nm", {}).items()},
                **{name: _count(value, report) for name, value in counts.items()},
                **(report.get("dense") or {}),
                "mergers": _count(report.get("mergers"), report),
                "lost_to_omissions_nm": lost.get("omitted"),
                "lost_to_splits_nm": lost.get("split"),
                "lost_to_mergers_nm": lost.get("merged"),
                **{name: volume[name] for name in NAMED},
            }
        )
    return csv_text(COLUMNS, [[row.get(name) for name in COLUMNS] for row in rows])


def _count(value: float | None, report: dict[str, Any]) -> float | str | None:
    """A number of errors; `<20` where a hidden one is rounded to 0."""
    step = rounded_to_zero_from(value, report)
    return f"<{step}" if step else value


def diagnosis_json(diagnosis: Diagnosis, *, places: bool) -> dict[str, Any]:
    """The diagnosis; without ``places`` only its counts and sums."""
    report: dict[str, Any] = diagnosis.report or {}
    if places or not report:
        return report
    without = {name: {**report[name], "places": []} for name in ("end_points", "likely_splits", "likely_mergers")}
    return {**report, **without, "longest_segments": [], "traced_coarsely": {}}


def volume_table(evaluation: Evaluation, table: str) -> str:
    """CSV of each axon (`axons`) or of each error with its position (`errors`). Raises NotOffered."""
    volume, ground_truth = evaluation.volume_file.volume, evaluation.ground_truth
    if not volume.ground_truth_public:
        raise NotOffered(HIDDEN, status=403)
    if (ground_truth.nodes or 0) > MAX_NODES:
        raise NotOffered("This volume is too large for a table here: run `axonem-eval report` on your file.")
    labels = NodeLabels.objects.filter(volume_file=evaluation.volume_file, ground_truth=ground_truth).first()
    if labels is None:
        raise NotOffered("The labels of this evaluation are no longer stored.")
    graph, sample = scoring.load_graph(ground_truth), scoring.load_sample(labels)
    variant = variant_named(evaluation.scoring_variant).at_tolerance(evaluation.tolerance_nodes)
    graph, sample = restrict(graph, sample, variant)
    runs = run_table(graph, sample, variant)
    if table == "axons":
        columns = axon_table(graph, sample, runs, evaluation.tolerance_nodes).columns()
    else:
        columns = locate_errors(graph, sample, runs, evaluation.tolerance_nodes).columns()
    return csv_text(list(columns), zip(*(column.tolist() for column in columns.values()), strict=True))
