"""The tables of labels and decisions: what is written is read, and each fault is told with its line."""

import pytest

from axonem_eval import InputError
from axonem_eval.workshop import (
    MERGER,
    SPLIT,
    Correction,
    Cut,
    Decision,
    SegmentLabel,
    decisions_csv,
    labels_csv,
    read_decisions,
    read_labels,
)

AT = "2026-11-28T16:30:00+00:00"
CUT = Correction(MERGER, (2**64 - 1,), ((1, 2, 3), (4, 5, 6)), ((7, 8, 9),), Cut((1, 1, 1), (0.6, 0.0, 0.8), 800.0))
JOIN = Correction(SPLIT, (7, 8), ((1, 2, 3),), ((4, 5, 6),))


def test_labels_come_back_as_they_were_written(tmp_path):
    rows = [
        SegmentLabel(2**64 - 1, (1, 2, 3), "axon", '=cmd,"x"', AT),
        SegmentLabel(7, (0, 0, 0), "glia", "Ö", AT, True),
    ]
    (tmp_path / "labels.csv").write_text(labels_csv(rows))
    assert "\n18446744073709551615,1 2 3,axon,\"'=cmd" in labels_csv(rows)
    assert read_labels(tmp_path / "labels.csv") == rows


def test_decisions_come_back_as_they_were_written(tmp_path):
    rows = [Decision(CUT, "accepted", "ada", AT), Decision(JOIN, "postponed", "ben", AT)]
    (tmp_path / "decisions.csv").write_text(decisions_csv(rows))
    assert read_decisions(tmp_path / "decisions.csv") == rows


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("accepted", "fine", "verdict 'fine': expected 'accepted'"),
        (",7 8,", ",7,", "expected two ids for a split"),
        (AT, "yesterday", "is not ISO 8601"),
        (AT, "2026-11-28T16:30:00", "no time zone"),
        ("4 5 6", "4 5", "is not three whole numbers z y x"),
        ("4 5 6", f"4 5 {10**30}", "is not three whole numbers z y x below 2147483648"),
        (",ada,", ",,", "no author"),
        ("split-7-8-1.2.3", "split-7-9-1.2.3", "is not what the other columns say"),
    ],
)
def test_a_faulty_decision_is_told_with_its_line(tmp_path, old, new, told):
    table = decisions_csv([Decision(JOIN, "accepted", "ada", AT)])
    assert old in table
    (tmp_path / "decisions.csv").write_text(table.replace(old, new))
    with pytest.raises(InputError, match="line 2: ") as raised:
        read_decisions(tmp_path / "decisions.csv")
    assert told in str(raised.value)


def test_a_cell_that_is_too_long_is_told_with_its_line(tmp_path):
    table = decisions_csv([Decision(JOIN, "accepted", "ada", AT)])
    (tmp_path / "decisions.csv").write_text(table.replace(",ada,", f",{'a' * 140_000},"))
    with pytest.raises(InputError, match="line 2: not readable as CSV"):
        read_decisions(tmp_path / "decisions.csv")


def test_a_table_without_its_columns_is_told(tmp_path):
    (tmp_path / "labels.csv").write_text("id,label\n1,axon\n")
    with pytest.raises(InputError, match="lacks the columns segment, voxel, annotator"):
        read_labels(tmp_path / "labels.csv")
