"""Malicious databases: code that hides from the schema table, and files that are expensive to check.

`PRAGMA writable_schema` makes the schema table an ordinary one. What is written into it counts for whoever opens the file next.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.backups.makers import settled, tvarrs

THIEF = "CREATE TRIGGER thief AFTER INSERT ON filters BEGIN DELETE FROM filters; END"
VIEW = "CREATE VIEW seen AS SELECT name FROM filters"
SEARCHED = "CREATE VIRTUAL TABLE searched USING fts5(a)"


def rewritten(path: Path, *statements: str) -> Path:
    """Run statements with which the schema table can be written."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in ("PRAGMA ignore_check_constraints=ON", "PRAGMA writable_schema=ON", *statements):
            connection.execute(statement)
    return path


def _retyped(statement: str, type_: str, rootpage: str = "rootpage") -> tuple[str, ...]:
    name = "searched" if "VIRTUAL" in statement else statement.split()[2]
    return (statement, f"UPDATE sqlite_master SET type = {type_}, rootpage = {rootpage} WHERE name = '{name}'")


HIDDEN_CODE: dict[str, tuple[str, ...]] = {
    "a trigger of the type Trigger": _retyped(THIEF, "'Trigger'"),
    "a trigger whose type is a BLOB": _retyped(THIEF, "CAST('trigger' AS BLOB)"),
    "a trigger whose type has a NUL": _retyped(THIEF, "'trigger' || char(0) || 'x'"),
    "a view of the type VIEW": _retyped(VIEW, "'VIEW'"),
    "a view whose type is a BLOB": _retyped(VIEW, "CAST('view' AS BLOB)"),
    "a virtual table with a false root page": _retyped(SEARCHED, "'table'", "2"),
    "a virtual table of the type Table": _retyped(SEARCHED, "'Table'"),
    "an index whose name is a BLOB": (
        "CREATE INDEX quiet ON filters (description)",
        "UPDATE sqlite_master SET name = CAST(name AS BLOB) WHERE name = 'quiet'",
    ),
}
"""Statements that hide code in tvarr's database, or prepare to; none of it is in a file that SQLite itself has written."""

_DEAR = "instr(hex(zeroblob(4000000 + a)), hex(zeroblob(2000000)) || '1')"
_HUGE = "length(hex(zeroblob(480000000 + a)))"
_ROWS = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) INSERT INTO dear (a) SELECT i FROM n"
)
_DOUBLED = ", ".join(f"c{n} AS (c{n - 1} + c{n - 1})" for n in range(1, 60))
_GENERATED = ("CREATE TABLE dear (a, b AS (a))", _ROWS)


def _instead(of: str, sql: str) -> str:
    """Give a table or an index another text."""
    return f"UPDATE sqlite_master SET sql = '{sql.replace(chr(39), chr(39) * 2)}' WHERE name = '{of}'"


COSTLY: dict[str, tuple[str, ...]] = {
    "a check that takes minutes": (f"CREATE TABLE dear (a CHECK ({_DEAR} >= 0))", _ROWS),
    "a check that takes gigabytes": (f"CREATE TABLE dear (a CHECK ({_HUGE} >= 0))", _ROWS),
    "an index of an expression": (
        "CREATE TABLE dear (a)",
        _ROWS,
        "CREATE INDEX dear_index ON dear (a + 1)",
        _instead("dear_index", f"CREATE INDEX dear_index ON dear ({_DEAR})"),
    ),
    "an index of some rows": (
        "CREATE TABLE dear (a)",
        _ROWS,
        "CREATE INDEX dear_index ON dear (a) WHERE a > 0",
        _instead("dear_index", f"CREATE INDEX dear_index ON dear (a) WHERE {_DEAR} >= 0"),
    ),
    "a generated column": (*_GENERATED, _instead("dear", f"CREATE TABLE dear (a, b AS ({_DEAR}))")),
    "a generated column that takes gigabytes": (
        *_GENERATED,
        _instead("dear", f"CREATE TABLE dear (a, b AS ({_HUGE}))"),
    ),
    "a generated time": (*_GENERATED, _instead("dear", f"CREATE TABLE dear (a, created_at AS (2 * {_DEAR}))")),
    "a default": (
        f"CREATE TABLE dear (a, b DEFAULT ({_DEAR.replace(' + a', '')}))",
        "INSERT INTO dear (a, b) VALUES (1, 2)",
    ),
    "generated columns that double": (
        *_GENERATED,
        _instead("dear", f"CREATE TABLE dear (a, c0 AS (a), {_DOUBLED}, CHECK (c59 > a))"),
    ),
}
"""Statements that make a file of a few hundred KB cost minutes or gigabytes once SQLite looks at its rows."""


def hostile(path: Path, statements: tuple[str, ...]) -> Path:
    """tvarr's database after these statements, in one file."""
    return settled(rewritten(settled(tvarrs(path)), *statements))
