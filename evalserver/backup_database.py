"""The database as files, in one consistent state, and back: by its own means, so that nothing need be installed."""

import gzip
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from django.apps import apps
from django.core.management.color import no_style
from django.db import connection, transaction

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

SQLITE_FILE, COLUMNS = "db.sqlite3", "columns.json"
# Made by the migrations, which run before rows are loaded.
OF_MIGRATIONS = "django_migrations"


def dump(folder: Path) -> dict[str, int]:
    """Write the database as it is at one moment; the number of rows by table. Others go on writing meanwhile."""
    return _dump_sqlite(folder) if connection.vendor == "sqlite" else _dump_postgresql(folder)


def load(folder: Path) -> None:
    """Replace all rows by those of a dump. The tables are there, by the same migrations."""
    if connection.vendor == "sqlite":
        connection.ensure_connection()
        with closing(sqlite3.connect(folder / SQLITE_FILE)) as source:
            source.backup(connection.connection)
        return
    columns = json.loads((folder / COLUMNS).read_text())
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(map(_quoted, columns))} RESTART IDENTITY CASCADE")
        # Foreign keys are checked at the end: the order of the tables does not matter.
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        for table, names in columns.items():
            statement = f"COPY {_quoted(table)} ({', '.join(map(_quoted, names))}) FROM STDIN"
            with gzip.open(folder / f"{table}.gz", "rb") as rows, cursor.copy(statement) as copy:
                shutil.copyfileobj(rows, cast("SupportsWrite[bytes]", copy), 2**20)
        models = list(apps.get_models(include_auto_created=True))
        for statement in connection.ops.sequence_reset_sql(no_style(), models):
            cursor.execute(statement)


def _dump_sqlite(folder: Path) -> dict[str, int]:
    connection.ensure_connection()
    with closing(sqlite3.connect(folder / SQLITE_FILE)) as target:
        connection.connection.backup(target)
        return {table: _count(target, table) for table in _tables()}


def _count(target: Any, table: str) -> int:
    return int(target.execute(f"SELECT count(*) FROM {_quoted(table)}").fetchone()[0])  # noqa: S608  (our own tables)


def _dump_postgresql(folder: Path) -> dict[str, int]:
    counts, columns = {}, {}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        for table in _tables():
            columns[table] = [row.name for row in connection.introspection.get_table_description(cursor, table)]
            names = ", ".join(map(_quoted, columns[table]))
            with (
                gzip.open(folder / f"{table}.gz", "wb", compresslevel=5) as out,
                cursor.copy(f"COPY {_quoted(table)} ({names}) TO STDOUT") as copy,
            ):
                for piece in copy:
                    out.write(piece)
            counts[table] = cursor.rowcount
    (folder / COLUMNS).write_text(json.dumps(columns))
    return counts


def _tables() -> list[str]:
    names = set(connection.introspection.django_table_names(only_existing=True, include_views=False))
    return sorted(names - {OF_MIGRATIONS})


def _quoted(name: str) -> str:
    return str(connection.ops.quote_name(name))
