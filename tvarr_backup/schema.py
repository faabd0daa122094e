"""What makes a database tvarr's: the same rule for a live file, a copy of one, and a server."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from tvarr_backup.errors import DatabaseForeign

TVARRS_OWN_TABLE = "schema_migrations"
"""Written by tvarr's Go program; where it stands, no table is ever created or changed by us."""

TVARRS_NEWEST = "029"
"""The newest of tvarr's migrations that this program was written for."""

OUR_TABLE = "django_migrations"
"""Written by Django; it says which migrations were applied."""


class DatabaseState(StrEnum):
    """The states of the file; `empty` is what a creation that was cut short leaves behind."""

    MISSING = "missing"
    EMPTY = "empty"
    OURS = "ours"
    ATTACHED = "attached"


@dataclass(frozen=True)
class RequiredSchema:
    """The schema that this program knows, and what it has seen of tvarr's database.

    `columns` are those of our models, by table. `migrations` are our own, of the app `app_label`. `tvarr_newest` is
    `TVARRS_NEWEST`, or a later migration that was seen in tvarr's database. `last_seen` is the schema that was seen there
    last, or empty. `was_ours` says that a database of ours was seen there.
    """

    columns: Mapping[str, frozenset[str]]
    app_label: str
    migrations: frozenset[str]
    tvarr_newest: str = TVARRS_NEWEST
    last_seen: str = ""
    was_ours: bool = False


def judge(
    tables: set[str], migrations: Callable[[], Collection[tuple[str, str]]], required: RequiredSchema, name: Path | str
) -> DatabaseState:
    """Return whose tables these are; `name` begins the sentence of a refusal.

    `migrations` returns the app and the name of each row of `django_migrations`, and is called only where that table is.
    Versions, columns and further tables make no difference: only what uses a table needs its columns. Raises
    `DatabaseForeign` (neither tvarr's nor ours).
    """
    if TVARRS_OWN_TABLE in tables:
        return DatabaseState.ATTACHED
    if tables <= {"sqlite_sequence"} or (tables <= {OUR_TABLE, "sqlite_sequence"} and not migrations()):
        return DatabaseState.EMPTY
    if OUR_TABLE in tables:
        if required.app_label not in {app for app, _name in migrations()}:
            raise DatabaseForeign(
                "{name} is the database of another Django program, not tvarr's and not ours.", name=name
            )
        return DatabaseState.OURS
    some = ", ".join(sorted(tables)[:5])
    raise DatabaseForeign(
        "{name} is not tvarr's database: it has neither tvarr's nor our tables, but {some}.", name=name, some=some
    )


def judge_sqlite(connection: sqlite3.Connection, required: RequiredSchema, name: Path | str) -> DatabaseState:
    """Return whose database is behind an SQLite connection, as `judge` does."""
    return judge(table_names(connection), partial(_migrations, connection), required, name)


def missing_columns(connection: sqlite3.Connection, required: RequiredSchema) -> tuple[str, ...]:
    """Return the columns of our models that a database lacks, as `table.column`, and whole tables by their name."""
    missing = []
    for table, columns in sorted(required.columns.items()):
        present = _column_names(connection, table)
        missing += [f"{table}.{column}" for column in sorted(columns - present)] if present else [table]
    return tuple(missing)


def schema_of(connection: sqlite3.Connection, required: RequiredSchema) -> str:
    """Return the last migration as a sidecar records it: `tvarr 029` or `tvarr-backup 0002_system_rows`; '' for neither.

    Of ours, one that this program does not know counts as the last.
    """
    tables = table_names(connection)
    if TVARRS_OWN_TABLE in tables:
        if "version" not in _column_names(connection, TVARRS_OWN_TABLE):
            return ""
        (newest,) = connection.execute(f"SELECT max(version) FROM {TVARRS_OWN_TABLE}").fetchone()  # noqa: S608  # ours
        return f"tvarr {newest}" if newest else ""
    if OUR_TABLE in tables:
        applied = {name for app, name in _migrations(connection) if app == required.app_label}
        unknown = applied - required.migrations - {""}
        return f"tvarr-backup {max(unknown or applied)}" if applied else ""
    return ""


def is_newer(schema: str, required: RequiredSchema) -> bool:
    """Whether a recorded schema is one that this program does not know yet."""
    program, _, migration = schema.partition(" ")
    if program == "tvarr":
        return migration > required.tvarr_newest
    return program == "tvarr-backup" and migration not in required.migrations


def newest_known(schema: str, required: RequiredSchema) -> str:
    """Return the newest known schema of the program that wrote this one."""
    program, _, _migration = schema.partition(" ")
    newest = max(required.migrations, default="") if program == "tvarr-backup" else required.tvarr_newest
    return f"{program} {newest}"


def is_older(schema: str, required: RequiredSchema) -> bool:
    """Whether a recorded schema is one of ours that later migrations of this program bring up to date."""
    program, _, migration = schema.partition(" ")
    is_known = migration in required.migrations
    return program == "tvarr-backup" and is_known and migration < max(required.migrations)


def table_names(connection: sqlite3.Connection) -> set[str]:
    """Return the tables of an SQLite database, SQLite's own among them."""
    names = "SELECT CAST(name AS TEXT) FROM sqlite_master WHERE type = 'table'"
    return {name for (name,) in connection.execute(names)}


def _column_names(connection: sqlite3.Connection, table: str) -> set[str]:
    return {column for (column,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}


def _migrations(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    rows = connection.execute("SELECT app, name FROM django_migrations")
    return [(str(app or ""), str(name or "")) for app, name in rows]  # a column may hold anything, whatever its type
