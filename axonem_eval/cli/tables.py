"""Tables of errors and axons as files: CSV, JSON, or parquet where pyarrow is installed."""

import csv
import json
from importlib import import_module
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from axonem_eval.errors import InputError

SUFFIXES = (".csv", ".json", ".parquet")


def require_folder(path: str | Path) -> None:
    """Raises InputError where a file to be written has no folder, before any work is done."""
    if not Path(path).absolute().parent.is_dir():
        raise InputError.of("no_folder", f"{path}: its folder does not exist; make it first")


def require_table_path(path: str | Path) -> Path:
    """The path, if a table can be written there. Raises InputError before any work is done."""
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise InputError.of(
            "table_suffix", f"{path}: a table's name ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        )
    require_folder(path)
    if path.suffix == ".parquet":
        _pyarrow(path)
    return path


def write_table(path: Path, columns: dict[str, NDArray[Any]]) -> None:
    """Write columns of one length; the suffix says how. JSON is a list of objects with ids as numbers."""
    if path.suffix == ".parquet":
        pyarrow = _pyarrow(path)
        pyarrow.parquet.write_table(pyarrow.table({name: pyarrow.array(c) for name, c in columns.items()}), path)
        return
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    with open(path, "w", newline="") as file:
        if path.suffix == ".csv":
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(rows)
        else:
            json.dump([dict(zip(columns, row, strict=True)) for row in rows], file)


def _pyarrow(path: Path) -> Any:
    try:
        import_module("pyarrow.parquet")
        return import_module("pyarrow")
    except ImportError:
        raise InputError.of(
            "no_pyarrow", f"{path}: parquet needs pyarrow; `pip install pyarrow`, or write .csv or .json instead"
        ) from None
