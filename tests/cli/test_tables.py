"""Tables of axons and errors as files."""

import csv
import json

import numpy as np
import pytest

from axonem_eval import InputError
from axonem_eval.cli.tables import require_table_path, write_table

COLUMNS = {"id": np.array([2**64 - 1, 7], np.uint64), "kind": np.array(["split", "merger"]), "nm": np.array([1.5, 2.0])}


def test_csv_keeps_ids_beyond_float64_whole(tmp_path):
    write_table(tmp_path / "t.csv", COLUMNS)
    with open(tmp_path / "t.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {"id": "18446744073709551615", "kind": "split", "nm": "1.5"}
    assert len(rows) == 2


def test_json_is_a_list_of_objects(tmp_path):
    write_table(tmp_path / "t.json", COLUMNS)
    assert json.loads((tmp_path / "t.json").read_text())[1] == {"id": 7, "kind": "merger", "nm": 2.0}


def test_parquet_keeps_types(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    write_table(tmp_path / "t.parquet", COLUMNS)
    read = parquet.read_table(tmp_path / "t.parquet")
    assert read.column("id").to_pylist() == [2**64 - 1, 7]


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(InputError, match="pip install pyarrow"):
        require_table_path(tmp_path / "t.parquet")


@pytest.mark.parametrize("name", ["t.xlsx", "t"])
def test_another_suffix_is_refused_before_work_is_done(tmp_path, name):
    with pytest.raises(InputError, match=r"ends in \.csv, \.json or \.parquet"):
        require_table_path(tmp_path / name)


def test_a_missing_folder_is_refused_before_work_is_done(tmp_path):
    with pytest.raises(InputError, match="folder does not exist"):
        require_table_path(tmp_path / "no" / "t.csv")
