"""A view of the table as CSV or JSON: all its rows, rounded as on the page."""

from typing import Any

from django.http import HttpRequest

from evalserver.benchmarks.models import Benchmark
from evalserver.csv_text import csv_text
from evalserver.leaderboard.rows import PublishedRow, Row, VolumeScore
from evalserver.leaderboard.selectors import Leaderboard


def board_json(request: HttpRequest, benchmark: Benchmark, board: Leaderboard) -> dict[str, Any]:
    """ERL in um with two decimals, shares in percent with one."""
    slugs = [column.volume.slug for column in board.columns]
    query = board.query
    return {
        "benchmark": benchmark.slug,
        "phase": board.phase.slug,
        "metric_version": board.metric_version,
        "ruler": board.ruler,
        "variant": board.variant.to_json(),
        "view": {
            "sort": f"-{query.sort}" if query.descending else query.sort,
            "q": query.text,
            "rows": query.rows,
            "marks": query.marks or None,
            "superseded": query.superseded,
            "from": query.since.isoformat() if query.since else None,
            "to": query.until.isoformat() if query.until else None,
        },
        "figures": [figure.name for figure in board.figures],
        "listed": board.total,
        "entries": [_entry(request, row, slugs) for row in board.rows],
        "published": [_published(row, slugs) for row in board.published],
    }


def _entry(request: HttpRequest, row: Row, slugs: list[str]) -> dict[str, Any]:
    return {
        "rank": row.rank,
        "method": row.method,
        "team": row.team,
        "submission": row.code,
        "is_reference": row.is_reference,
        "is_superseded": row.is_superseded,
        "marks": [mark.field for mark in row.marks],
        "runs": row.runs,
        "same_files_as": row.same_files_as[0] if row.same_files_as else None,
        "mean_erl_um": _um(row.mean_erl_nm),
        "mean_percent_of_gt": _percent(row.mean_normalized_erl),
        "mean_erl_low_um": _um(row.low_nm),
        "mean_erl_high_um": _um(row.high_nm),
        "headline": row.headline,
        "headline_half_interval": row.half_interval,
        "volumes": _volumes(row.scores, slugs),
        "submitted_at": row.submitted_at.isoformat(timespec="seconds"),
        "page": request.build_absolute_uri(f"/submissions/{row.code}/"),
    }


def _published(row: PublishedRow, slugs: list[str]) -> dict[str, Any]:
    return {
        "method": row.method,
        "source": row.source,
        "url": row.url,
        "is_ground_truth": row.is_ground_truth,
        "mean_erl_um": _um(row.mean_erl_nm),
        "mean_percent_of_gt": _percent(row.mean_normalized_erl),
        "headline": row.headline,
        "volumes": _volumes(row.scores, slugs),
    }


def _volumes(scores: tuple[VolumeScore, ...], slugs: list[str]) -> dict[str, Any]:
    return {
        slug: None
        if score.is_empty
        else {"erl_um": _um(score.erl_nm), "percent_of_gt": _percent(score.normalized_erl), **dict(score.figures)}
        for slug, score in zip(slugs, scores, strict=True)
    }


def _um(value_nm: float | None) -> float | None:
    return None if value_nm is None else round(value_nm / 1000, 2)


def _percent(share: float | None) -> float | None:
    return None if share is None else round(share * 100, 1)


def board_csv(content: dict[str, Any]) -> str:
    """The same, one line an entry; published results follow with an empty rank."""
    slugs = list(next((row["volumes"] for row in content["entries"] + content["published"]), {}))
    figures = content["figures"]
    head = ["rank", "kind", "method", "team", "submission", "mean_erl_um", "mean_percent_of_gt"]
    head += ["mean_erl_low_um", "mean_erl_high_um", "headline", "headline_half_interval", "runs", "marks"]
    head += [f"{slug}_{name}" for slug in slugs for name in ("erl_um", "percent_of_gt", *figures)]
    head += ["submitted_at", "page"]
    lines = []
    for row in content["entries"]:
        kind = "superseded" if row["is_superseded"] else "reference" if row["is_reference"] else "entry"
        lines.append(_line(row, kind, head))
    for row in content["published"]:
        lines.append(_line({**row, "team": row["source"], "page": row["url"]}, "published", head))
    return csv_text(head, lines)


def _line(row: dict[str, Any], kind: str, head: list[str]) -> list[Any]:
    flat = {**row, "kind": kind, "marks": " ".join(row.get("marks", ()))}
    for slug, score in row["volumes"].items():
        flat |= {f"{slug}_{name}": value for name, value in (score or {}).items()}
    return [flat.get(name) for name in head]
