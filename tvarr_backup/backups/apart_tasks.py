"""The tasks of the separate process that `apart` starts for one database from elsewhere."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
import sqlite3
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from tvarr_backup.backups.configuration import read_packed_file
from tvarr_backup.backups.dates import newest_row
from tvarr_backup.backups.examine import examine_here
from tvarr_backup.backups.limits import Limits, connection_limiter, limit_this_process
from tvarr_backup.backups.sidecar import CheckLevel
from tvarr_backup.backups.sqlite import limit_connections, measure, open_database, raising_disk_errors
from tvarr_backup.processes import die_with_parent
from tvarr_backup.schema import RequiredSchema
from tvarr_backup.sqlite_codes import primary_code


def main() -> None:
    """Answer the request on standard input with one JSON object: a `result`, or an `error` and its details."""
    request = json.load(sys.stdin)
    die_with_parent(request["parent"], signal.SIGKILL)
    limits = Limits(**request["limits"])
    limit_this_process(limits)
    limit_connections(connection_limiter(limits))
    sys.stdout.write(json.dumps(_answer(_TASKS[request["task"]], request["arguments"])))


def _answer(task: Callable[..., Any], arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"result": task(**arguments)}
    except MemoryError:
        return {"error": "memory"}
    except sqlite3.Error as problem:
        code = primary_code(problem)
        if code in _TOO_MUCH:
            return {"error": _TOO_MUCH[code]}
        return {"error": "sqlite", "code": getattr(problem, "sqlite_errorcode", 0), "message": str(problem)}
    except OSError as problem:
        return {"error": "os", "number": problem.errno, "message": problem.strerror or str(problem)}


def _examine(path: str, required: dict[str, Any], level: str) -> dict[str, Any]:
    known = required | {
        "columns": {table: frozenset(columns) for table, columns in required["columns"].items()},
        "migrations": frozenset(required["migrations"]),
        "configuration": frozenset(required["configuration"]),
    }
    examined = examine_here(Path(path), RequiredSchema(**known), CheckLevel(level))
    if not examined.problems and not examined.irregular:
        with raising_disk_errors(), open_database(Path(path)) as connection:
            _compute_expressions(connection)
    return dataclasses.asdict(examined)


def _settle_and_date(path: str, now: str) -> tuple[int, str | None]:
    with raising_disk_errors(), open_database(Path(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        size = measure(connection).pages
    newest = newest_row(Path(path), datetime.fromisoformat(now))
    return size, None if newest is None else newest.isoformat()


def _read_configuration(path: str, tables: dict[str, list[str]]) -> str:
    return read_packed_file(Path(path), tables)


def _compute_expressions(connection: sqlite3.Connection) -> None:
    """Compute generated columns and defaults, which no check of SQLite's does. Only reaching a limit is an error here."""
    connection.text_factory = lambda raw: raw.decode(errors="replace")
    connection.execute("PRAGMA query_only=ON")
    for table, column, default, hidden in connection.execute(_EXPRESSIONS).fetchall():
        quoted_table, quoted = (name.replace('"', '""') for name in (table, column))
        if hidden > 1:
            _compute(connection, f'SELECT max(length("{quoted}")) FROM "{quoted_table}"')  # noqa: S608  # quoted
        if default is not None:
            _compute(connection, f"SELECT length(({default}))")  # runs the file's own SQL, within the limits


def _compute(connection: sqlite3.Connection, statement: str) -> None:
    with contextlib.suppress(sqlite3.Warning):
        try:
            connection.execute(statement).fetchone()
        except sqlite3.DatabaseError as problem:
            if primary_code(problem) in _TOO_MUCH:
                raise


_EXPRESSIONS = """
    SELECT CAST(tables.name AS TEXT), columns.name, columns.dflt_value, columns.hidden
    FROM sqlite_master AS tables, pragma_table_xinfo(tables.name) AS columns
    WHERE tables.type = 'table' AND tables.rootpage > 0 AND (columns.dflt_value IS NOT NULL OR columns.hidden > 1)
"""
_TOO_MUCH = {
    sqlite3.SQLITE_INTERRUPT: "time",
    sqlite3.SQLITE_NOMEM: "memory",
    sqlite3.SQLITE_TOOBIG: "size",
}
_TASKS: dict[str, Callable[..., Any]] = {
    "examine": _examine,
    "read_configuration": _read_configuration,
    "settle_and_date": _settle_and_date,
}
