"""Compute what a schema has in expressions that no check of SQLite's computes, to see what they cost."""

from __future__ import annotations

import contextlib
import sqlite3

from tvarr_backup.sqlite_codes import primary_code

_COLUMNS = """
    SELECT CAST(tables.name AS TEXT), columns.name, columns.dflt_value, columns.hidden
    FROM sqlite_master AS tables, pragma_table_xinfo(tables.name) AS columns
    WHERE tables.type = 'table' AND tables.rootpage > 0 AND (columns.dflt_value IS NOT NULL OR columns.hidden > 1)
"""
_TOO_MUCH = (sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_TOOBIG)


def compute_expressions(connection: sqlite3.Connection) -> None:
    """Compute generated columns in each row, and the default of each column once.

    Whoever reads the table later has to do the one, and whoever adds a row the other. Checks and indexes are computed when the structure
    is checked. Only a limit is an error here, and is raised as SQLite tells it.
    """
    connection.text_factory = lambda raw: raw.decode(errors="replace")
    connection.execute("PRAGMA query_only=ON")
    for table, column, default, hidden in connection.execute(_COLUMNS).fetchall():
        quoted_table, quoted = (name.replace('"', '""') for name in (table, column))
        if hidden > 1:
            _compute(connection, f'SELECT max(length("{quoted}")) FROM "{quoted_table}"')  # noqa: S608  # quoted
        if default is not None:
            _compute(connection, f"SELECT length(({default}))")  # that is what it is for


def _compute(connection: sqlite3.Connection, statement: str) -> None:
    with contextlib.suppress(sqlite3.Warning):
        try:
            connection.execute(statement).fetchone()
        except sqlite3.DatabaseError as problem:
            if primary_code(problem) in _TOO_MUCH:
                raise
