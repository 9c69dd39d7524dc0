"""The tables of labels and decisions as CSV: exported, edited elsewhere, imported.

Voxels are written ``z y x``; several of one side are joined by ``;``. Ids are whole numbers. Every fault of a table is
said with its line.
"""

import csv
import io
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from axonem_eval.errors import Complaint, InputError, raise_all
from axonem_eval.spec import Triple
from axonem_eval.workshop.decisions import KINDS, MERGER, VERDICTS, Correction, Cut, Decision
from axonem_eval.workshop.labels import CLASSES, SegmentLabel

Row = TypeVar("Row")

LABEL_COLUMNS = ("segment", "voxel", "label", "annotator", "at", "settles")
DECISION_COLUMNS = (
    *("candidate", "kind", "verdict", "author", "at", "segments", "this_side", "other_side"),
    *("cut_point", "cut_normal", "cut_radius_nm"),
)
# Of a table with many faults so many are told.
MOST_COMPLAINTS = 20


def labels_csv(rows: Iterable[SegmentLabel]) -> str:
    """The table of labels."""
    return _csv(
        LABEL_COLUMNS,
        ([r.segment, _voxel(r.anchor_zyx), r.label, r.annotator, r.at, "yes" if r.settles else ""] for r in rows),
    )


def decisions_csv(decisions: Iterable[Decision]) -> str:
    """The table of decisions."""
    return _csv(DECISION_COLUMNS, map(_decision_row, decisions))


def _decision_row(decision: Decision) -> list[object]:
    correction, cut = decision.correction, decision.correction.cut
    return [
        *(correction.name, correction.kind, decision.verdict, decision.author, decision.at),
        " ".join(map(str, correction.segments)),
        *(";".join(map(_voxel, side)) for side in (correction.this_side, correction.other_side)),
        *(
            (_voxel(cut.point_zyx), " ".join(f"{v:.4f}" for v in cut.normal_zyx), f"{cut.radius_nm:g}")
            if cut
            else ("",) * 3
        ),
    ]


def read_labels(path: str | Path) -> list[SegmentLabel]:
    """Labels of a table. Raises InputError with each faulty line."""
    return _read(path, LABEL_COLUMNS, _label)


def read_decisions(path: str | Path) -> list[Decision]:
    """Decisions of a table. Raises InputError with each faulty line."""
    return _read(path, DECISION_COLUMNS, _decision)


def _csv(columns: tuple[str, ...], rows: Iterable[list[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_harmless(value) for value in row] for row in rows)
    return out.getvalue()


def _harmless(value: object) -> object:
    """A spreadsheet takes a text that begins so for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+@" and value else value


def _plain(text: str) -> str:
    text = text.strip()
    return text[1:] if text[:1] == "'" and text[1:2] in ("=", "+", "@") else text


def _voxel(zyx: Triple) -> str:
    return " ".join(map(str, zyx))


def _read(path: str | Path, columns: tuple[str, ...], parse: Callable[[dict[str, str]], Row]) -> list[Row]:
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError.of("no_file", f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError.of("unreadable", f"{path}: not readable as a table in UTF-8 ({error})") from None
    reader = csv.DictReader(io.StringIO(text))
    try:
        fields, table = reader.fieldnames or [], [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise InputError.of("bad_table", f"{path}: line {reader.line_num + 1}: not readable as CSV ({error})") from None
    missing = [name for name in columns if name not in fields]
    if missing:
        raise InputError.of(
            "bad_table",
            f"{path}: the first line lacks the columns {', '.join(missing)}; expected {','.join(columns)}",
        )
    rows, complaints = [], []
    for line, row in table:
        try:
            rows.append(parse({name: _plain(row[name] or "") for name in columns}))
        except ValueError as error:
            complaints.append(Complaint("bad_table", f"{path}: line {line}: {error}"))
    if len(complaints) > MOST_COMPLAINTS:
        more = len(complaints) - MOST_COMPLAINTS
        complaints[MOST_COMPLAINTS:] = [Complaint("bad_table", f"{path}: and {more:,} more faulty lines")]
    raise_all(complaints)
    return rows


def _label(row: dict[str, str]) -> SegmentLabel:
    return SegmentLabel(
        _id(row["segment"]),
        _triple(row["voxel"]),
        _one_of(row["label"], CLASSES, "label"),
        _required(row["annotator"], "annotator"),
        _time(row["at"]),
        _one_of(row["settles"], ("", "yes"), "settles") == "yes",
    )


def _decision(row: dict[str, str]) -> Decision:
    kind = _one_of(row["kind"], KINDS, "kind")
    cut = None
    columns = ("cut_point", "cut_normal", "cut_radius_nm")
    if kind == MERGER and any(row[name] for name in columns):  # without a plane it is cut by its points
        z, y, x = _numbers(row["cut_normal"], "cut_normal")
        radius = _numbers(row["cut_radius_nm"] + " 0 0", "cut_radius_nm")[0]
        if (z, y, x) == (0, 0, 0) or radius <= 0:
            raise ValueError("a cut needs a normal other than 0 0 0 and a radius above 0 nm")
        cut = Cut(_triple(row["cut_point"]), (z, y, x), radius)
    segments = tuple(map(_id, row["segments"].split()))
    if len(segments) != (1 if kind == MERGER else 2):
        raise ValueError(f"segments {row['segments']!r}: expected two ids for a split, one for a merger")
    this_side, other_side = ((*map(_triple, row[name].split(";")),) for name in ("this_side", "other_side"))
    correction = Correction(kind, segments, this_side, other_side, cut)
    if row["candidate"] not in ("", correction.name):
        raise ValueError(f"candidate {row['candidate']!r} is not what the other columns say: {correction.name!r}")
    verdict = _one_of(row["verdict"], VERDICTS, "verdict")
    return Decision(correction, verdict, _required(row["author"], "author"), _time(row["at"]))


def _id(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1 << 64:
        raise ValueError(f"segment {text!r} is no whole number above 0 of at most 64 bits")
    return int(text)


def _triple(text: str) -> Triple:
    parts = text.split()
    if len(parts) != 3 or not all(part.isdecimal() and len(part) < 11 and int(part) < 1 << 31 for part in parts):
        raise ValueError(f"voxel {text[:60]!r} is not three whole numbers z y x below 2147483648")
    z, y, x = map(int, parts)
    return z, y, x


def _numbers(text: str, name: str) -> tuple[float, float, float]:
    try:
        z, y, x = map(float, text.split())
    except ValueError:
        z = float("nan")
    if not all(abs(v) < float("inf") for v in ((z, y, x) if z == z else (z,))) or z != z:
        raise ValueError(f"{name} {text!r} is not made of numbers") from None
    return z, y, x


def _one_of(text: str, choices: tuple[str, ...], name: str) -> str:
    if text not in choices:
        raise ValueError(f"{name} {text!r}: expected {' or '.join(map(repr, choices))}")
    return text


def _required(text: str, name: str) -> str:
    if not text:
        raise ValueError(f"no {name}")
    return text


def _time(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"time {text!r} is not ISO 8601, such as 2026-11-28T16:30:00+00:00") from None
    if moment.tzinfo is None:
        raise ValueError(f"time {text!r} has no time zone; add +00:00 for UTC")
    return moment.astimezone(UTC).isoformat()
