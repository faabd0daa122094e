"""Recognize tvarr's database by its tables and read its schema version, in a live file, a copy, or on a server."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from tvarr_backup.errors import DatabaseForeign

TVARRS_OWN_TABLE = "schema_migrations"
"""tvarr creates this table. In a database that has it, we never create or change a table."""

TVARRS_NEWEST = "029"
"""The newest of tvarr's migrations that this program was written for."""

OUR_TABLE = "django_migrations"
"""Django records applied migrations in this table."""


class DatabaseState(StrEnum):
    """Whether a database exists and who made it; an interrupted creation leaves an `empty` one."""

    MISSING = "missing"
    EMPTY = "empty"
    OURS = "ours"
    ATTACHED = "attached"


@dataclass(frozen=True)
class RequiredSchema:
    """The schema that this program knows, and the observed history of tvarr's database.

    `columns` are those of our models, by table. `migrations` are our own, of the app `app_label`. `tvarr_newest` is
    `TVARRS_NEWEST`, or a later migration that was observed. `last_seen` is the last observed schema, or empty. `was_ours` says
    whether a database that we created was observed. `configuration` are the tables that users edit.
    """

    columns: Mapping[str, frozenset[str]]
    app_label: str
    migrations: frozenset[str]
    tvarr_newest: str = TVARRS_NEWEST
    last_seen: str = ""
    was_ours: bool = False
    configuration: frozenset[str] = frozenset()

    @property
    def configuration_columns(self) -> dict[str, frozenset[str]]:
        """The columns of the tables that users edit, by table."""
        return {table: self.columns[table] for table in self.configuration}


def judge(
    tables: set[str], migrations: Callable[[], Collection[tuple[str, str]]], required: RequiredSchema, name: Path | str
) -> DatabaseState:
    """Return the state of a database with these tables. Raises `DatabaseForeign` for any other program's tables.

    Versions, columns and further tables make no difference, because only actions on a table need its columns. `migrations`
    returns app and name of each row of `django_migrations`, and is called only if that table exists. Messages call the
    database `name`.
    """
    if TVARRS_OWN_TABLE in tables:
        return DatabaseState.ATTACHED
    if tables <= {"sqlite_sequence"} or (tables <= {OUR_TABLE, "sqlite_sequence"} and not migrations()):
        return DatabaseState.EMPTY
    if OUR_TABLE in tables:
        if required.app_label not in {app for app, _name in migrations()}:
            raise DatabaseForeign("{name} is the database of another Django program, not tvarr's or ours.", name=name)
        return DatabaseState.OURS
    some = ", ".join(sorted(tables)[:5])
    raise DatabaseForeign(
        "{name} is not tvarr's database. It has neither tvarr's nor our tables, but {some}.", name=name, some=some
    )


def judge_sqlite(connection: sqlite3.Connection, required: RequiredSchema, name: Path | str) -> DatabaseState:
    """Do what `judge` does, for an SQLite connection."""
    return judge(table_names(connection), partial(_migrations, connection), required, name)


def missing_columns(connection: sqlite3.Connection, required: RequiredSchema) -> tuple[str, ...]:
    """Return the missing columns of our models as `table.column`, and missing tables by their name."""
    missing = []
    for table, columns in sorted(required.columns.items()):
        present = _column_names(connection, table)
        missing += [f"{table}.{column}" for column in sorted(columns - present)] if present else [table]
    return tuple(missing)


def schema_of(connection: sqlite3.Connection, required: RequiredSchema) -> str:
    """Return the last migration, such as `tvarr 029`, or "". An unknown one of our own counts as the last."""
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
    """Return whether this program does not know a recorded schema yet."""
    program, _, migration = schema.partition(" ")
    if program == "tvarr":
        return migration > required.tvarr_newest
    return program == "tvarr-backup" and migration not in required.migrations


def newest_known(schema: str, required: RequiredSchema) -> str:
    """Return the newest known schema of the same program."""
    program, _, _migration = schema.partition(" ")
    newest = max(required.migrations, default="") if program == "tvarr-backup" else required.tvarr_newest
    return f"{program} {newest}"


def is_older(schema: str, required: RequiredSchema) -> bool:
    """Return whether a recorded schema is one of ours that this program can migrate forward."""
    program, _, migration = schema.partition(" ")
    is_known = migration in required.migrations
    return program == "tvarr-backup" and is_known and migration < max(required.migrations)


def table_names(connection: sqlite3.Connection) -> set[str]:
    """Return the tables of an SQLite database, including SQLite's own."""
    names = "SELECT CAST(name AS TEXT) FROM sqlite_master WHERE type = 'table'"
    return {name for (name,) in connection.execute(names)}


def _column_names(connection: sqlite3.Connection, table: str) -> set[str]:
    return {column for (column,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}


def _migrations(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    rows = connection.execute("SELECT app, name FROM django_migrations")
    return [(str(app or ""), str(name or "")) for app, name in rows]  # in SQLite, a column may contain any type
