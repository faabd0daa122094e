"""What makes a database tvarr's: the same judgement for a live file, for a copy of one, and for a server."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from tvarr_backup.errors import DatabaseForeign, DatabaseIncomplete, DatabaseNewer

TVARRS_OWN_TABLE = "schema_migrations"
"""Written by tvarr's Go program; where it stands, no table is ever created or changed by us."""

TVARRS_NEWEST = "029"
"""The newest of tvarr's migrations that this program was written for."""

OUR_TABLE = "django_migrations"
"""Written by Django; it says which migrations were applied."""


class State(StrEnum):
    """The states of the file; `empty` is what a creation that was cut short leaves behind."""

    MISSING = "missing"
    EMPTY = "empty"
    OURS = "ours"
    ATTACHED = "attached"


@dataclass(frozen=True)
class RequiredSchema:
    """What this program needs: columns by table, our own migrations (of the app `app_label`), tvarr's newest one.

    `tvarr_newest` is at least `TVARRS_NEWEST`, and that of the live database where tvarr has gone further there.
    """

    columns: Mapping[str, frozenset[str]]
    app_label: str
    migrations: frozenset[str]
    tvarr_newest: str = TVARRS_NEWEST


class Tables(Protocol):
    """What a database is asked to tell whose it is."""

    def names(self) -> set[str]:
        """Its tables."""

    def columns(self, table: str) -> set[str]:
        """Of a table; none where there is no such table."""

    def has_migrations(self) -> bool:
        """Whether there is any row in `django_migrations`; asked only where that table is, as the next."""

    def migrations(self, app_label: str) -> set[str]:
        """The names of the migrations of an application that were applied."""


def judge(tables: Tables, required: RequiredSchema, name: str) -> State:
    """Whose tables these are; `name` begins the sentence of a refusal.

    Raises `DatabaseForeign` (neither tvarr's nor ours), `DatabaseIncomplete` (naming the first table or column of
    tvarr's that is missing) or `DatabaseNewer` (migrated by a later version of this program).
    """
    found = tables.names()
    if TVARRS_OWN_TABLE in found:
        require_columns(tables, required, name)
        return State.ATTACHED
    if found <= {"sqlite_sequence"} or (found <= {OUR_TABLE, "sqlite_sequence"} and not tables.has_migrations()):
        return State.EMPTY
    if OUR_TABLE in found:
        _require_known_migrations(tables, required, name)
        return State.OURS
    some = ", ".join(sorted(found)[:5])
    raise DatabaseForeign(f"{name} is not tvarr's database: it has neither tvarr's nor our tables, but {some}.")


def require_columns(tables: Tables, required: RequiredSchema, name: str) -> None:
    """Every table and column that we need; further ones, and any order, are fine. Raises `DatabaseIncomplete`."""
    for table, columns in required.columns.items():
        present = tables.columns(table)
        if not present:
            raise DatabaseIncomplete(f"{name} is not a database of a tvarr that we know: the table {table} is missing.")
        for column in sorted(columns - present):
            raise DatabaseIncomplete(
                f"{name} is not a database of a tvarr that we know: the column {table}.{column} is missing. "
                "Start the current tvarr on it once, so that it brings its tables up to date."
            )


def schema_of(connection: sqlite3.Connection, required: RequiredSchema) -> str:
    """The last migration, as a sidecar records it: `tvarr 029` or `tvarr-backup 0002_system_rows`; empty for neither."""
    tables = SqliteTables(connection)
    if TVARRS_OWN_TABLE in tables.names():
        (newest,) = connection.execute(f"SELECT max(version) FROM {TVARRS_OWN_TABLE}").fetchone()  # noqa: S608  # ours
        return f"tvarr {newest}" if newest else ""
    if OUR_TABLE in tables.names():
        applied = tables.migrations(required.app_label)
        return f"tvarr-backup {max(applied)}" if applied else ""
    return ""


def is_newer(schema: str, required: RequiredSchema) -> bool:
    """Whether a recorded schema is one that this program does not know yet."""
    program, _, migration = schema.partition(" ")
    if program == "tvarr":
        return migration > required.tvarr_newest
    return program == "tvarr-backup" and migration not in required.migrations


def is_older(schema: str, required: RequiredSchema) -> bool:
    """Whether a recorded schema is one of ours that later migrations of this program bring up to date."""
    program, _, migration = schema.partition(" ")
    return program == "tvarr-backup" and migration < max(required.migrations, default="")


class SqliteTables:
    """The tables behind an SQLite connection, SQLite's own among them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def names(self) -> set[str]:
        return {name for (name,) in self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def columns(self, table: str) -> set[str]:
        return {column for (column,) in self._connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}

    def has_migrations(self) -> bool:
        return self._connection.execute("SELECT 1 FROM django_migrations").fetchone() is not None

    def migrations(self, app_label: str) -> set[str]:
        rows = self._connection.execute("SELECT name FROM django_migrations WHERE app = ?", (app_label,))
        return {str(name or "") for (name,) in rows}  # a column may hold anything, whatever its type


def _require_known_migrations(tables: Tables, required: RequiredSchema, name: str) -> None:
    applied = tables.migrations(required.app_label)
    if not applied:
        raise DatabaseForeign(f"{name} is the database of another Django program, not tvarr's and not ours.")
    unknown = sorted(applied - required.migrations)
    if unknown:
        raise DatabaseNewer(
            f"{name} was migrated by a newer version of this program (it has {unknown[0]}); update tvarr-backup first."
        )
